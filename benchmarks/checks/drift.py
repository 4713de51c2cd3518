"""Drift of ten columns against a stored profile: the time of the whole process."""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

from windlass_project import DRIFTING, drift_checks, write_project

from common.measure import Measurement


def measure_drift(
    binary: Path, before: Path, later: Path, folder: Path, arguments: argparse.Namespace
) -> list[Measurement]:
    """Accepts the profile of one million rows, then checks another million against it."""
    windlass = [str(binary), "-p", str(folder)]
    write_project(folder, before, arguments.threads, "source", drift_checks())
    subprocess.run([*windlass, "profile", "shop.events", "--accept", "-q"], check=True, capture_output=True)
    sources = folder / "sources.yml"
    sources.write_text(sources.read_text().replace(str(before), str(later)))
    measured = []
    for _ in range(max(arguments.repeat, 3)):
        log = folder / "log.txt"
        measured.append(timed([*windlass, "check", "shop.events", "--format", "json"], log))
        printed = next(line for line in log.read_text().splitlines() if line.startswith('{"schema"'))
        checks = json.loads(printed)["data"]["nodes"][0]["checks"]
        passed = [check["column"] for check in checks if check["status"] == "pass"]
        if sorted(passed) != sorted(DRIFTING):
            raise SystemExit(f"drift was found where there is none: {checks}")
    return measured


def timed(command: list[str], log: Path) -> Measurement:
    """Runs a command that is over soon. Nothing looks at it meanwhile, which would take a part of its time."""
    with log.open("wb") as output:
        started_s = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    offset_s = time.time() - time.monotonic()
    cpu_s, peak_bytes = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
    return Measurement(process.returncode, wall_s, cpu_s, peak_bytes, started_s, offset_s, [])

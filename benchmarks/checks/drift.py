"""Drift of ten columns against a stored profile: the time of the whole process."""

import argparse
import json
import subprocess
from pathlib import Path

from windlass_project import DRIFTING, drift_checks, write_project

from common.measure import Measurement, measure


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
        measured.append(measure([*windlass, "check", "shop.events", "--format", "json"], log))
        printed = next(line for line in log.read_text().splitlines() if line.startswith('{"schema"'))
        checks = json.loads(printed)["data"]["nodes"][0]["checks"]
        passed = [check["column"] for check in checks if check["status"] == "pass"]
        if sorted(passed) != sorted(DRIFTING):
            raise SystemExit(f"drift was found where there is none: {checks}")
    return measured

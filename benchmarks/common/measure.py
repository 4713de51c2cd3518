"""Runs one command in a process of its own and measures it with all its descendants."""

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from common.processes import TICKS, Process, adopt_orphans, orphans_cpu_s, resident_bytes, tree_ticks

SAMPLE_SECONDS = 0.05


@dataclass(frozen=True)
class Sample:
    """What the processes of a command had taken by one moment of `time.monotonic()`."""

    at_s: float
    cpu_s: float
    resident_bytes: int


@dataclass
class Measurement:
    """What one run of a command took, descendants included."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_bytes: int
    # The beginning on the clock of `time.monotonic()`, and how far the time of day is ahead of that clock.
    started_s: float
    clock_offset_s: float
    samples: list[Sample] = field(repr=False)


def measure(command: list[str], log: Path, environment: dict[str, str] | None = None) -> Measurement:
    """Runs `command` to its end; what it prints goes to `log`."""
    adopt_orphans()
    samples: list[Sample] = []
    ticks: dict[Process, int] = {}
    highest = 0
    with log.open("wb") as output:
        started_s = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            highest = max(highest, highest_bytes(process.pid))
            samples.append(sample(process.pid, ticks))
            time.sleep(SAMPLE_SECONDS)
        wall_s = time.monotonic() - started_s
    process.returncode = os.waitstatus_to_exitcode(status)
    # What the kernel adds up is exact, but knows nothing of processes whose parent did not wait for them, as
    # Ray's; samples know of those, and miss what a process does after its last one.
    waited_s = usage.ru_utime + usage.ru_stime + orphans_cpu_s()
    sampled_s = samples[-1].cpu_s if samples else 0.0
    peak_bytes = max([highest, *(one.resident_bytes for one in samples)])
    offset_s = time.time() - time.monotonic()
    return Measurement(process.returncode, wall_s, max(waited_s, sampled_s), peak_bytes, started_s, offset_s, samples)


def sample(root: int, ticks: dict[Process, int]) -> Sample:
    """Returns a sample; `ticks` holds what each process was last seen with."""
    now = tree_ticks(root)
    ticks |= now
    return Sample(time.monotonic(), sum(ticks.values()) / TICKS, sum(resident_bytes(pid) for pid, _ in now))


def highest_bytes(pid: int) -> int:
    """Returns the most that one process has held so far, between samples too.

    `ru_maxrss` does not serve: it also counts what this process held when it forked.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else 0

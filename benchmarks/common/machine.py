"""What figures depend on: the machine, the interpreter, where a release build lies."""

import os
import platform
from pathlib import Path

GIB = 1024**3
ROOT = Path(__file__).parent.parent.parent


def machine() -> dict[str, object]:
    """Returns what the figures depend on."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / GIB, 1),
        "system": platform.platform(),
    }


def processor() -> str:
    """Returns the processor's name as Linux knows it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def release_folder() -> Path:
    """Returns where `cargo build --release` puts what it makes."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"

"""What `/proc` says about a running `windlass`: its processes, their memory and their files.

`windlass` starts one process per environment that imports packages (`windlass._zygote`); workers are
its children.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from common.processes import children, resident_bytes, tree

ZYGOTE = b"windlass._zygote"


@dataclass(frozen=True)
class Sample:
    """What the processes hold at one moment."""

    at_s: float
    own_bytes: int
    tree_bytes: int
    own_files: int
    own_maps: int
    zygote_files: int
    zygote_maps: int
    processes: int


def zygotes(root: int) -> list[int]:
    """Returns the processes that fork the workers of `root`."""
    return [pid for pid in children().get(root, []) if ZYGOTE in command_line(pid)]


def workers(root: int) -> tuple[list[int], list[int]]:
    """Returns the workers, and apart those that try a batch in children of their own."""
    below = children()
    found = [pid for zygote in zygotes(root) for pid in below.get(zygote, [])]
    return [pid for pid in found if pid not in below], [pid for pid in found if pid in below]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def open_files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def map_count(pid: int) -> int:
    try:
        return Path(f"/proc/{pid}/maps").read_bytes().count(b"\n")
    except OSError:
        return 0


def sample(root: int, at_s: float) -> Sample:
    """Returns what `root` and its descendants hold now."""
    pids = tree(root)
    forkers = zygotes(root)
    return Sample(
        at_s=at_s,
        own_bytes=resident_bytes(root),
        tree_bytes=sum(map(resident_bytes, pids)),
        own_files=open_files(root),
        own_maps=map_count(root),
        zygote_files=sum(map(open_files, forkers)),
        zygote_maps=sum(map(map_count, forkers)),
        processes=len(pids),
    )

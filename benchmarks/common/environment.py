"""Makes virtual environments with pinned packages, with the standard library alone.

Each engine may have one of its own, so that a package that cannot be installed costs one engine, not
the benchmark. An environment is a file of pins, and is shared by all files with the same pins.
"""

import hashlib
import os
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path


class InstallError(Exception):
    """Packages could not be installed; the text is what pip said last."""


def pins(file: Path) -> dict[str, str]:
    """Returns the pinned version of each package."""
    lines = [line.strip() for line in file.read_text().splitlines()]
    return dict(line.split("==") for line in lines if line)


def environment(requirements: Path, cache: Path) -> Path:
    """Returns the interpreter of an environment, made on the first call."""
    versions = pins(requirements)
    key = repr([*sorted(versions.items()), sys.version_info[:2]])
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    folder = cache / f"venv-{digest}"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if done.exists():
        return python
    print(f"installing {', '.join(f'{name} {pin}' for name, pin in versions.items())}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    command = [python, "-m", "pip", "install", "--quiet", "-r", requirements]
    installed = subprocess.run(command, capture_output=True, text=True)
    if installed.returncode:
        raise InstallError((installed.stderr.strip().splitlines() or ["pip failed"])[-1])
    done.touch()
    return python


def enter(requirements: Path, cache: Path) -> None:
    """Restarts this command in an environment, unless its packages are importable already."""
    if all(is_installed(*pin) for pin in pins(requirements).items()):
        return
    python = environment(requirements, cache)
    if Path(sys.prefix) == python.parent.parent:
        raise SystemExit(f"the packages in {sys.prefix} are not the pinned ones; remove the folder")
    os.execv(python, [str(python), *sys.argv])


def is_installed(package: str, version: str) -> bool:
    """Returns whether this interpreter has exactly this version of a package."""
    try:
        return metadata.version(package.partition("[")[0]) == version
    except metadata.PackageNotFoundError:
        return False

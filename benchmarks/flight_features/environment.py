"""Makes sure that the pinned packages are importable, with the standard library alone."""

import hashlib
import os
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path


def pins(files: list[Path]) -> dict[str, str]:
    """Returns the pinned version of each package."""
    lines = [line.strip() for file in files for line in file.read_text().splitlines()]
    return dict(line.split("==") for line in lines if line)


def are_installed(versions: dict[str, str]) -> bool:
    """Returns whether this interpreter has exactly these versions."""
    try:
        return all(metadata.version(name) == version for name, version in versions.items())
    except metadata.PackageNotFoundError:
        return False


def ensure(files: list[Path], cache: Path) -> None:
    """Restarts this command in a virtual environment of its own where packages are missing."""
    versions = pins(files)
    if are_installed(versions):
        return
    digest = hashlib.sha256(repr(sorted(versions.items())).encode()).hexdigest()[:12]
    folder = cache / f"venv-{digest}"
    python = folder / "bin" / "python"
    if Path(sys.prefix) == folder:
        raise SystemExit(f"the packages in {folder} are not the pinned ones; remove the folder")
    venv.create(folder, with_pip=True, clear=not python.exists())
    requirements = [argument for file in files for argument in ("-r", str(file))]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
    os.execv(python, [str(python), *sys.argv])

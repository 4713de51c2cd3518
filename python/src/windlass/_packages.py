"""Which packages the environment has, and what to say about one that is missing or too old."""

from __future__ import annotations

import importlib
import importlib.metadata
import os

# The oldest releases that workers are known to run with.
OLDEST = {"pyarrow": (16, 0), "numpy": (1, 24), "pandas": (2, 0), "polars": (1, 0)}


class PackageError(Exception):
    """A package that is missing or too old; the text says what to add."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def versions() -> dict[str, str | None]:
    """Returns the installed version of every package that workers know, without importing any."""
    found: dict[str, str | None] = {}
    for name in OLDEST:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def require_pyarrow() -> None:
    """Imports pyarrow, without which nothing works."""
    reason = "Windlass hands batches to Python with it"
    _require("pyarrow", f"this environment has no pyarrow; {reason}", 'add it: `dependencies = ["pyarrow"]`')


def require_format(batch_format: str, file: str) -> None:
    """Imports what `batch_format` needs."""
    if batch_format == "pyarrow":
        return
    needs = f'`batch_format="{batch_format}"` needs {batch_format}'
    _require(batch_format, needs, f"add it to the dependencies of {os.path.basename(file)}")


def _require(name: str, missing: str, way_out: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as err:
        if err.name == name:
            raise PackageError("missing_package", f"{missing}: {way_out}") from None
        raise PackageError("missing_package", f"{name} cannot be imported: {err}") from None
    except Exception as err:
        raise PackageError("missing_package", f"{name} cannot be imported: {err}") from None
    check_age(name, way_out)


def check_age(name: str, way_out: str = "") -> None:
    """Fails if an imported package is older than what workers are known to run with."""
    version = getattr(importlib.import_module(name), "__version__", "")
    oldest = OLDEST[name]
    if version and _numbers(version) < oldest:
        wanted = ".".join(str(part) for part in oldest)
        message = f'{name} {version} is too old: ask for `"{name}>={wanted}"` in the dependencies'
        raise PackageError("old_package", message)


def _numbers(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split(".")[:2]:
        digits = "".join(char for char in part if char.isdigit())
        numbers.append(int(digits or 0))
    return tuple(numbers)

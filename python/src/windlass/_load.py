"""Loads the user's files by their paths, without letting their names stand in for others.

A file is not put on the import path and gets a module name of its own, so `transforms/json.py`
shadows nothing. Folders of the project's `lib` come after Python's own modules and before installed
packages. Nothing is read from or written to `__pycache__` in the project: bytecode is told apart by
the second, and an edit within the same second would run old code.
"""

from __future__ import annotations

import importlib.machinery
import os
import re
import sys
import types
from typing import Any

_MARKS = ("site-packages", "dist-packages")


class LoadError(Exception):
    """A file that does not define what it should."""


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles source every time."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def add_lib(folders: list[str]) -> None:
    """Makes modules in `folders` importable."""
    folders = [os.path.abspath(folder) for folder in folders]
    inside = tuple(folder + os.sep for folder in folders)
    extensions = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
    sources = (_SourceLoader, importlib.machinery.SOURCE_SUFFIXES)
    finder = importlib.machinery.FileFinder.path_hook(extensions, sources)

    def hook(path: str) -> Any:
        if path in folders or path.startswith(inside):
            return finder(path)
        raise ImportError(path)

    sys.path_hooks.insert(0, hook)
    place = next((i for i, path in enumerate(sys.path) if any(mark in path for mark in _MARKS)), len(sys.path))
    sys.path[place:place] = [folder for folder in folders if folder not in sys.path]
    for folder in folders:
        sys.path_importer_cache.pop(folder, None)
        _warn_of_standard_names(folder)


def _warn_of_standard_names(folder: str) -> None:
    if not os.path.isdir(folder):
        return
    for entry in sorted(os.listdir(folder)):
        name = entry.removesuffix(".py")
        if name in sys.stdlib_module_names and (entry != name or os.path.isdir(os.path.join(folder, entry))):
            print(
                f"warning: {entry} in {folder} is named like a module of Python, which `import {name}` finds first",
                file=sys.stderr,
            )


_modules: dict[str, types.ModuleType] = {}


def load_file(path: str) -> types.ModuleType:
    """Runs a file, once per process, and returns it as a module."""
    path = os.path.abspath(path)
    found = _modules.get(path)
    if found is not None:
        return found
    name = _free_name(path)
    loader = _SourceLoader(name, path)
    spec = importlib.machinery.ModuleSpec(name, loader, origin=path)
    spec.has_location = True
    module = types.ModuleType(name)
    module.__file__ = path
    module.__spec__ = spec
    module.__loader__ = loader
    module.__package__ = ""
    # Dataclasses and pickle look the module of a class up by its name.
    sys.modules[name] = module
    try:
        exec(loader.get_code(name), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    _modules[path] = module
    return module


def load_object(path: str, name: str) -> Any:
    """Returns what `name` is in the file at `path`."""
    module = load_file(path)
    try:
        found = getattr(module, name)
    except AttributeError:
        raise LoadError(f"{os.path.basename(path)} defines no `{name}` once it has run") from None
    if not callable(found):
        raise LoadError(f"`{name}` in {os.path.basename(path)} is a {type(found).__name__}, which cannot be called")
    return found


def _free_name(path: str) -> str:
    stem = re.sub(r"\W", "_", os.path.basename(path).removesuffix(".py"))
    name = f"_windlass_{stem}"
    number = 1
    while name in sys.modules:
        number += 1
        name = f"_windlass_{stem}_{number}"
    return name

"""Folders in the settings: absolute, ``~`` replaced, links resolved where two names of one folder would count (S4)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.settings_schema import leaves


def placed(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The values with every folder and file absolute; relative ones are relative to ``folder``."""
    found = dict(values)
    for leaf in leaves():
        name = leaf.key[0]
        if leaf.kind in ("folder", "file") and _is_path(found.get(name)):
            found[name] = _absolute(found[name], folder)
    for name, place in (("roots", _root), ("managed_folders", _managed)):
        if isinstance(found.get(name), list | tuple):
            found[name] = [place(each, folder) for each in found[name]]
    return found


def _is_path(value: Any) -> bool:
    """A path that may be worked with; anything else is left for the models to refuse."""
    return isinstance(value, str | Path) and str(value) != "" and "\0" not in str(value)


def _root(root: Any, folder: Path) -> Any:
    """A root's links are resolved: its identity is the folder, not a name of it."""
    given = {"path": root} if isinstance(root, str | Path) else root
    if not isinstance(given, dict) or not _is_path(given.get("path")):
        return given
    return {**given, "path": Path(os.path.realpath(_absolute(given["path"], folder)))}


def _managed(text: Any, _folder: Path) -> Any:
    """An absolute one like the roots, so that one is found inside the other; ``root:path`` stays."""
    if not _is_path(text) or not str(text).startswith(("/", "~")):
        return text
    return os.path.realpath(os.path.expanduser(text))


def _absolute(path: str | Path, folder: Path) -> Path:
    return folder / os.path.expanduser(path)

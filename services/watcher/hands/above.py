"""What lies above a root counts for all of it: a target, quarantine or trash (S22), another program's folder (S24).

A root may be any folder, also one deep inside a synchronised folder or an older target; links to it hide nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from services.watcher.ignoring import TARGET_MARKER, folder_skip, managed_folder_of, manager_by

#: what these programs also keep in the user's own folder, as their configuration: it manages nothing there
_CONFIGURATION = frozenset({b".dropbox", b".unison", b".sync"})


def not_live_above(root: Path) -> str | None:
    """Why nothing in the root is live, else None. ``root``: absolute, links resolved."""
    parts = os.fsencode(root).split(b"/")
    for parent, name in pairwise(parts):
        if skip := folder_skip(name, parent):
            return skip.reason
    if any(os.path.lexists(os.path.join(above, TARGET_MARKER)) for above in _above(root)):
        return "a target of photosift, which holds the whole root"
    return None


def is_managed_above(root: Path) -> bool:
    """Whether the whole root lies in a folder that another program manages. Raises ``OSError`` (not known)."""
    in_a_library = managed_folder_of(os.fsencode(root) + b"/any", ()) is not None
    return in_a_library or any(_has_manager(above) for above in _above(root))


def _has_manager(folder: bytes) -> bool:
    home = os.fsencode(os.path.expanduser("~"))
    ours = _CONFIGURATION if folder == home else frozenset()
    try:
        names = os.listdir(folder)
    except PermissionError:  # it may be passed through and not listed; what can be asked by name is asked
        return os.path.lexists(folder + b"/.stfolder")
    return any(manager_by(name) and name.lower() not in ours for name in names)


def _above(root: Path) -> Iterator[bytes]:
    return (os.fsencode(folder) for folder in root.parents)

"""[pure] What a look at a folder says, compared with what is known of it. (S16)

The rescan is the truth, events are an optimisation. Nothing here reads the disk; a folder that could not be read
never comes here (S14).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from services.watcher.eyes.known import Facts, Known
from services.watcher.ignoring import NOT_A_FILE, SYMBOLIC_LINK, Skip

#: a known name that is one of these now is no file any more
_REPLACED = (NOT_A_FILE, SYMBOLIC_LINK)


class Difference(NamedTuple):
    """What differs in one folder; names only, in the order they sort."""

    #: not known under this name: new, or renamed, or a further name of a known file
    new: list[tuple[bytes, Facts]]
    #: known, with other bytes as far as can be seen
    modified: list[tuple[bytes, Facts]]
    #: known and the same; only the numbers of device or inode are others (a remount)
    refreshed: list[tuple[bytes, Facts]]
    #: known and not there as a file any more, with the reason: ``deleted`` or ``ignored``
    missing: list[tuple[bytes, str]]


def compare(
    files: Mapping[bytes, Facts],
    known: Mapping[bytes, Known],
    *,
    listed: Collection[bytes],
    skipped: Mapping[bytes, Skip],
    folders: Collection[bytes] = (),
    stable_inodes: bool = True,
) -> Difference:
    """Compare a listed folder with the snapshot.

    ``files``: what the rules let through; ``listed``: every name; a name that is listed, but neither a file nor left
    out, could not be looked at, so nothing is said about it (S14).
    """
    difference = Difference([], [], [], [])
    for name in sorted(files):
        facts, before = files[name], known.get(name)
        if before is None:
            difference.new.append((name, facts))
        elif (how := changed(before, facts, stable_inodes=stable_inodes)) == "modified":
            difference.modified.append((name, facts))
        elif how == "refreshed":
            difference.refreshed.append((name, facts))
    for name in sorted(known.keys() - files.keys()):
        if (reason := why_missing(name, listed, skipped, folders)) is not None:
            difference.missing.append((name, reason))
    return difference


def why_missing(
    name: bytes, listed: Collection[bytes], skipped: Mapping[bytes, Skip], folders: Collection[bytes]
) -> str | None:
    """Why a known file is not among the files of its folder; None where that cannot be told."""
    if name not in listed or name in folders:
        return "deleted"
    if name in skipped:
        return "deleted" if skipped[name].rule in _REPLACED else "ignored"
    return None


def changed(known: Known, facts: Facts, *, stable_inodes: bool = True) -> str | None:
    """``modified``, ``refreshed`` or None.

    An edit in place that puts mtime back shows in ctime alone (filesystems.md), so ctime counts. After a remount
    device numbers are others, on some file systems inode numbers too: that alone is no change.
    """
    if (known.size, known.mtime_ns, known.ctime_ns) != (facts.size, facts.mtime_ns, facts.ctime_ns):
        return "modified"
    if (known.dev, known.ino, known.birth_ns) == (facts.dev, facts.ino, facts.birth_ns):
        return None if known.nlink == facts.nlink else "refreshed"
    if stable_inodes and known.dev == facts.dev:
        return "modified"
    return "refreshed"


def is_renamed(known: Known, facts: Facts) -> bool:
    """The file is the known one under another name: inode, size, mtime and birth time agree (S16).

    Without a birth time nothing is proved: inode numbers are used again at once.
    """
    same = (known.dev, known.ino, known.size, known.mtime_ns) == (facts.dev, facts.ino, facts.size, facts.mtime_ns)
    return same and facts.birth_ns is not None and known.birth_ns == facts.birth_ns


def topmost(folders: Iterable[bytes]) -> list[bytes]:
    """Those that lie in none of the others, sorted."""
    kept: list[bytes] = []
    for folder in sorted(folders, key=lambda rel: rel.split(b"/")):
        if not kept or not lies_in(folder, kept[-1]):
            kept.append(folder)
    return kept


def lies_in(rel: bytes, folder: bytes) -> bool:
    """Whether a path is the folder or lies below it; everything lies in the root (``b""``)."""
    return not folder or rel == folder or rel.startswith(folder + b"/")


def lies_in_any(rel: bytes, folders: Collection[bytes]) -> bool:
    """The same for many folders, by looking up the path's own ancestors."""
    if not folders:
        return False
    if b"" in folders or rel in folders:
        return True
    end = rel.rfind(b"/")
    while end > 0:
        if rel[:end] in folders:
            return True
        end = rel.rfind(b"/", 0, end)
    return False

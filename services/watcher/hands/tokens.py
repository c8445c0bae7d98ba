"""Is it one file, or one folder, seen twice? A fresh token tells: written on one side, looked for on the other. (S4)

Inodes do not tell through a pool and its branch, a bindfs or an overlay and its layer; a name that the one writes and
the other lists does.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from services.watcher.disk.port import PRIVATE, Disk, NotThere, Occupied, TreeRoot
from services.watcher.hands.quarantine import joined, names_in
from shared.errors import PhotosiftError


def overlapping(disk: Disk, paths: Mapping[str, Path], writable: set[str], token: bytes) -> dict[str, str]:
    """Roots that show the same files: name to the name of one other. A root inside another one overlaps it too."""
    found: dict[str, str] = {}
    for a, b in _pairs(sorted(paths)):
        if _nested(paths[a], paths[b]) or _shows(disk, paths, writable, token, (a, b)):
            found.setdefault(a, b)
            found.setdefault(b, a)
    return found


def told_apart(disk: Disk, victim: tuple[TreeRoot, bytes], keeper: tuple[TreeRoot, bytes]) -> bool:
    """Whether the two *folders* are proven to be different: both can be written, neither shows the other's token.

    Both ways, because a pool may put a new file on another branch than the one that holds the photo.
    """
    try:
        return not _shown_in(disk, victim, keeper) and not _shown_in(disk, keeper, victim)
    except PhotosiftError:
        return False  # not proven


def _shown_in(disk: Disk, written: tuple[TreeRoot, bytes], looked: tuple[TreeRoot, bytes]) -> bool:
    token = b"token-" + uuid.uuid4().hex.encode()
    with _token(disk, *written, token):
        return token in names_in(looked[0], joined(looked[1], PRIVATE))


@contextmanager
def _token(disk: Disk, tree: TreeRoot, folder: bytes, token: bytes) -> Iterator[None]:
    with tree.spot(joined(folder, PRIVATE, token), make_folders=True) as spot:
        disk.write_private(spot, b"")
        try:
            yield
        finally:
            disk.release(spot)
    if folder:  # beside a photo nothing is left behind
        with suppress(Occupied, NotThere), tree.spot(joined(folder, PRIVATE)) as spot:
            disk.remove_folder(spot)


def _shows(disk: Disk, paths: Mapping[str, Path], writable: set[str], token: bytes, pair: tuple[str, str]) -> bool:
    writer, reader = pair if pair[0] in writable else pair[::-1]
    if writer not in writable:
        return False
    with disk.open_root(paths[writer]) as one, disk.open_root(paths[reader]) as other, _token(disk, one, b"", token):
        return token in names_in(other, PRIVATE)


def _nested(a: Path, b: Path) -> bool:
    one, other = a.resolve(), b.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)


def _pairs(names: list[str]) -> Iterator[tuple[str, str]]:
    return ((a, b) for i, a in enumerate(names) for b in names[i + 1 :])

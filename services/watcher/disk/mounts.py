"""What a folder lies on: ``/proc/self/mountinfo`` and ``statvfs``. An edge; nothing here decides. (S4, S11, S14)

Format: https://docs.kernel.org/filesystems/proc.html section 3.5; blanks, tabs, newlines and backslashes in its
paths are written as three octal digits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from services.watcher.disk.port import DiskFailure, Mount, NotThere

#: file systems whose f_fsid comes from the UUID on the disk; others make it up at every mount, or say nothing (S14)
STABLE_FSID = frozenset({"ext2", "ext3", "ext4", "btrfs", "zfs", "bcachefs"})
#: file systems that invent inode numbers, and do so again at the next mount (S8)
FLEETING_INODES = ("fuse", "vfat", "exfat", "msdos", "ntfs", "cifs", "smb", "9p")

_ESCAPED = re.compile(rb"\\([0-7]{3})")


def mount_of(place: int | bytes | str | Path) -> Mount:
    """The mount that a path or an open descriptor lies on, read anew. Raises ``NotThere`` and ``DiskFailure``.

    A descriptor is asked for its mount id (fdinfo), which tells even two mounts of one device apart.
    """
    if isinstance(place, int):
        return _mount_of_descriptor(place)
    try:
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotThere(os.fsdecode(place)) from error
    except OSError as error:
        raise DiskFailure(f"{os.fsdecode(place)}: {error.strerror}") from error
    try:
        return _mount_of_descriptor(descriptor)
    finally:
        os.close(descriptor)


def _mount_of_descriptor(descriptor: int) -> Mount:
    try:
        mount_id = _mount_id(Path(f"/proc/self/fdinfo/{descriptor}").read_bytes())
        return mount_from(_line_of(mount_id), fsid=os.statvfs(descriptor).f_fsid)
    except (OSError, LookupError, ValueError) as error:
        raise DiskFailure(f"the mount of descriptor {descriptor} cannot be told: {error}") from error


def _mount_id(fdinfo: bytes) -> int:
    found = re.search(rb"^mnt_id:\s*(\d+)", fdinfo, re.MULTILINE)
    if found is None:
        raise LookupError("no mnt_id")
    return int(found[1])


def _line_of(mount_id: int) -> bytes:
    for line in _mountinfo():
        if line.split(b" ", 1)[0] == str(mount_id).encode():
            return line
    raise LookupError(f"no mount {mount_id}")  # unmounted lazily, or in another namespace


def _mountinfo() -> list[bytes]:
    return Path("/proc/self/mountinfo").read_bytes().splitlines()


def mount_from(line: bytes, *, fsid: int = 0) -> Mount:
    """From a line of mountinfo and ``f_fsid``, which is kept only where it is the same after the next mount (S14).

    Raises ``ValueError``.
    """
    before, _, after = line.partition(b" - ")
    head, tail = before.split(b" "), after.split(b" ")
    if len(head) < 6 or len(tail) < 3:
        raise ValueError(f"not a line of mountinfo: {line!r}")
    kind = os.fsdecode(tail[0])
    return Mount(
        mount_id=int(head[0]),
        mount_point=Path(os.fsdecode(unescaped(head[4]))),
        kind=kind,
        fsid=f"{kind}:{fsid:016x}" if fsid and kind in STABLE_FSID else None,
        read_only=b"ro" in head[5].split(b",") or b"ro" in tail[2].split(b","),
    )


def unescaped(raw: bytes) -> bytes:
    """A path as mountinfo writes it."""
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), raw)


def on_device(path: bytes) -> tuple[bytes, bytes]:
    """Device and path on it, alike for every bind mount that shows it (S4). ``path``: real and absolute.

    Raises ``DiskFailure``.
    """
    try:
        return device_path(path, _mountinfo())
    except (OSError, LookupError) as error:
        raise DiskFailure(f"the device of {os.fsdecode(path)} cannot be told: {error}") from error


def device_path(path: bytes, mountinfo: Iterable[bytes]) -> tuple[bytes, bytes]:
    """The same from the lines of mountinfo. Raises ``LookupError`` where no mount holds the path."""
    best: tuple[bytes, bytes, bytes] | None = None
    for line in mountinfo:
        device, shown, point = line.split(b" ", 5)[2:5]
        at = unescaped(point).rstrip(b"/")
        holds = path == at or path.startswith(at + b"/")
        if holds and (best is None or len(at) >= len(best[2])):  # of two on one point the later one is seen
            best = device, unescaped(shown).rstrip(b"/"), at
    if best is None:
        raise LookupError("no mount")
    return best[0], best[1] + path[len(best[2]) :]


def has_fleeting_inodes(mount: Mount) -> bool:
    """Whether inode numbers may all change at the next mount."""
    return mount.kind.startswith(FLEETING_INODES)


def mounts_below(folder: bytes) -> frozenset[bytes]:
    """Paths relative to ``folder`` (which must be real and absolute) where something is mounted right now."""
    prefix = folder.rstrip(b"/") + b"/"
    points = (unescaped(line.split(b" ", 5)[4]) for line in _mountinfo())
    return frozenset(point[len(prefix) :] for point in points if point.startswith(prefix) and point != prefix)

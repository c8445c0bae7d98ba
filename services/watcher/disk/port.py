"""The port to the photo tree: everything the executor does to a file, in the words of the rules. (S9, S10)

Names are bytes relative to directory descriptors; nothing here takes an absolute path but ``Disk.open_root``.
Guarantees, kept by every adapter and shown by one contract suite:

**D1** (S9) A walk from a root follows no symbolic link, accepts no ``..``, and never leaves the root's mount tree by
name; ``Spot`` holds the folder's descriptor, and checks and acts use that same descriptor.
**D2** (S4, S8) A name is there only if its folder *lists* it, byte for byte; a lookup that succeeds proves nothing.
**D3** (S10) ``rename`` never replaces: it raises ``Occupied``. How (renameat2, link+unlink, fresh folder, copy) is
probed per mount on a *free* name. ``EXDEV`` becomes ``CrossDevice``, whatever ``st_dev`` says.
**D4** (S10) ``rename`` returns only when both folders are fsynced. A failed fsync raises ``DiskFailure``.
**D5** (S2) ``OpenFile.hash_from_disk`` drops the cached pages first; ``settle_to_disk`` fsyncs file and folder.
**D6** (S10) Nothing is ever unlinked but *private* spots: in a ``.photosift`` folder, or a temporary name of ours.
**D7** Every step announces itself to ``fault_point(name)`` before it happens, so that tests can stop there by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from services.watcher.disk.carried import Attributes as Attributes  # noqa: PLC0414 - mypy: part of the port
from shared.errors import PermanentError, TransientError
from shared.messages.base import FileStat

#: everything photosift keeps for itself below a root or a target lies in this folder, there
PRIVATE = b".photosift"
#: a copy that is not complete has such a name, beside its destination: never scanned, and ours to remove
TEMPORARY_PREFIX = b".photosift-copy-"


def is_temporary(name: bytes) -> bool:
    """Is this one of our own temporary names (prefix and 32 hexadecimal digits)?"""
    return re.fullmatch(re.escape(TEMPORARY_PREFIX) + rb"[0-9a-f]{32}", name) is not None


class DiskFailure(TransientError):
    """The disk refused an operation."""

    code = "disk-failure"


class NotThere(PermanentError):
    """The name is not listed by its folder, or the folder is not there."""

    code = "not-there"


class NotAFile(PermanentError):
    """The name is not a regular file, or a link stands in the way."""

    code = "not-a-file"


class Occupied(PermanentError):
    """The name is taken; nothing is ever overwritten."""

    code = "occupied"


class CrossDevice(PermanentError):
    """The two places are on different mounts."""

    code = "cross-device"


class ReadOnly(PermanentError):
    """The place cannot be written."""

    code = "read-only"


class NoSpace(TransientError):
    """There is no space left."""

    code = "no-space"


class CannotRename(PermanentError):
    """This mount cannot rename without replacing, and the destination's folder was not made just now."""

    code = "cannot-rename"


class NameRefused(PermanentError):
    """The file system cannot hold this name."""

    code = "name-refused"


class InUse(TransientError):
    """Another program has the file open for writing."""

    code = "in-use"


class CopyDiffers(TransientError):
    """What was read back is not what was written."""

    code = "copy-differs"


class OpenFile(Protocol):
    """A regular file, opened for reading, no link followed; its access time stays where the kernel allows that."""

    stat: FileStat

    def restat(self) -> FileStat:
        """The descriptor's stat now."""

    def sha256(self) -> str:
        """Hash of the bytes, 64 hexadecimal digits, through the page cache."""

    def hash_from_disk(self) -> str:
        """Hash of what the disk holds: pages dropped first (S2, S10)."""

    def settle_to_disk(self) -> None:
        """fsync the file and the folder it was found in (S2). Raises ``DiskFailure``; never retried (S10)."""

    def names(self) -> int:
        """Under how many names the file is listed, everywhere on its file system (hard links), this one included."""

    def attributes(self) -> Attributes: ...

    def content(self, limit: int) -> bytes:
        """The bytes of a small private file. Raises ``DiskFailure``; ``PermanentError`` when longer than ``limit``."""

    def is_open_elsewhere(self) -> bool:
        """Someone has it open for writing, where a lease can tell (F_SETLEASE); False where it cannot."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Spot(Protocol):
    """A name in a folder that is held by its descriptor. It may be free or taken."""

    name: bytes

    def look(self) -> FileStat | None:
        """The stat of the entry if the folder lists this exact name (D2), else None. Links are not followed."""

    def open(self) -> OpenFile:
        """Open it for reading. Raises ``NotThere``, ``NotAFile``, ``InUse`` (another's lease), ``DiskFailure``."""

    def attributes(self) -> Attributes:
        """Of the file or folder that has this name. Raises as ``open`` does."""

    def mount(self) -> Mount:
        """The mount that the spot's folder lies on, read anew (S4: a root may have others below it)."""

    def beside(self, name: bytes) -> Spot:
        """Another name in the same held folder; where that was made just now, a name there is exclusively ours too."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class TreeRoot(Protocol):
    """A root or a target, held by its descriptor."""

    path: Path

    def spot(self, rel: bytes, *, make_folders: bool = False) -> Spot:
        """Walk to the folder of ``rel`` component by component (D1).

        ``make_folders`` creates missing folders (0o777 & ~umask; used for targets, private places and restores) and
        fsyncs each into its parent. Raises ``UnsafePath``, ``NotThere``, ``NotAFile`` (a link in the way), ``Occupied``
        (the folder knows the name but lists another), ``ReadOnly``, ``NoSpace``, ``NameRefused``, ``DiskFailure``.

        A private folder made by this very call is *fresh*: where the mount cannot rename without replacing, only a name
        in a fresh folder can be taken by a rename (S10). One spot and ``beside`` make use of it for more than one name.
        """

    def list_folder(self, rel: bytes) -> list[bytes]:
        """The names a folder lists (``b""``: the root). Raises ``NotThere``."""

    def mount(self) -> Mount:
        """What the root lies on, read anew."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A mount, from ``/proc/self/mountinfo`` and ``statfs``."""

    mount_id: int
    mount_point: Path
    #: file system as mountinfo names it: ``ext4``, ``fuse.mergerfs``, ``overlay``, ``nfs4`` …
    kind: str
    #: f_fsid where it is stable across mounts, else None (S14)
    fsid: str | None
    read_only: bool

    @property
    def is_network(self) -> bool:
        return self.kind.startswith(
            ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs", "fuse.glusterfs")
        )

    @property
    def is_layered(self) -> bool:
        """FUSE or overlay: one file may be seen through two mounts with different inodes (S4)."""
        return self.kind.startswith("fuse") or self.kind == "overlay"

    @property
    def is_volatile(self) -> bool:
        """In memory or a container's own layer: no place for a target (S11)."""
        return self.kind in ("tmpfs", "ramfs", "overlay")


class Disk(Protocol):
    """The local file systems."""

    def open_root(self, path: Path) -> TreeRoot:
        """Hold a folder by its descriptor. Raises ``NotThere``."""

    def rename(self, source: Spot, to: Spot) -> None:
        """Rename, never replacing (D3, D4).

        Nothing was renamed after ``Occupied``, ``CrossDevice``, ``NotThere``, ``ReadOnly``, ``NoSpace``,
        ``CannotRename`` and ``NameRefused``. After ``DiskFailure`` it may have been: look at the disk.
        """

    def copy(self, source: OpenFile, to: Spot, *, sha256: str) -> tuple[str, ...]:
        """Copy across devices (S10): temporary name beside ``to``, fsync, cached pages dropped, hash compared with
        ``sha256``, attributes carried and compared, renamed without replacing, folder fsynced.

        Returns the names of the attributes that the target cannot hold (for the record, S11). Raises ``Occupied``,
        ``CopyDiffers``, ``NoSpace``, ``ReadOnly``, ``NameRefused``, ``DiskFailure``; then nothing is left behind but a
        temporary file at most (or the complete copy, where only the last fsync of the folder failed).
        """

    def restore_attributes(self, spot: Spot, attributes: Attributes) -> tuple[str, ...]:
        """Give a file or folder back what it had (S10, S11, S25); returns the names of what could not be given back."""

    def release(self, private: Spot) -> None:
        """Unlink a private item (D6). Raises ``DiskFailure``; ``PermanentError`` for a spot that is not private."""

    def write_private(self, private: Spot, payload: bytes) -> None:
        """Create a private file: temporary name, fsync, rename, folder fsync. Raises ``Occupied``, ``NoSpace``."""

    def remove_folder(self, spot: Spot) -> None:
        """``rmdir``, fsync of the parent (S25). Raises ``Occupied`` (not empty, a mount), ``NotThere``, …"""


#: called with the name of the step that comes next (D7); does nothing outside tests
FaultPoint = Callable[[str], None]


def no_fault(_step: str) -> None:
    """What stands at every fault point outside tests."""

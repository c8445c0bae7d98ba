"""The port to the photo tree: everything the executor does to a file, in the words of the rules. (S9, S10)

Names are bytes relative to directory descriptors; nothing here takes an absolute path but ``Disk.open_root``.
Guarantees, kept by every adapter and shown by one contract suite:

**D1** (S9) A walk from a root follows no symbolic link, accepts no ``..``, and never leaves the root's mount tree by
name; ``Spot`` holds the folder's descriptor, and checks and acts use that same descriptor.
**D2** (S4, S8) ``Spot.look`` finds a name only if its folder *lists* it, byte for byte; a lookup that succeeds proves nothing.
**D3** (S10) ``rename`` never replaces: it raises ``Occupied``. How (renameat2, link+unlink, fresh folder, copy) is
probed per mount on a *free* name. ``EXDEV`` becomes ``CrossDevice``, whatever ``st_dev`` says.
**D4** (S10) ``rename`` returns only when both folders are fsynced. A failed fsync raises ``DiskFailure``.
**D5** (S2) ``OpenFile.hash_from_disk`` drops the cached pages first; ``settle_to_disk`` fsyncs file and folder.
**D6** (S10) Nothing but a *private* spot (inside a ``.photosift`` folder) is ever unlinked.
**D7** Every step announces itself to ``fault_point(name)`` before it happens, so that tests can stop there by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.errors import PermanentError, TransientError
from shared.messages.base import FileStat

#: everything photosift keeps for itself below a root or a target lies in this folder, there
PRIVATE = b".photosift"


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


class InUse(TransientError):
    """Another program has the file open for writing."""

    code = "in-use"


class CopyDiffers(TransientError):
    """What was read back is not what was written."""

    code = "copy-differs"


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """What a file carries besides its bytes (S10)."""

    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    #: extended attributes, ACLs among them (system.posix_acl_access), by name
    xattrs: dict[str, bytes]

    def to_json(self) -> dict[str, object]:
        """For the record beside the item (S11); values of xattrs in base64."""
        raise NotImplementedError


class OpenFile(Protocol):
    """A regular file, opened for reading without following links and, where allowed, without touching its access time."""

    stat: FileStat

    def restat(self) -> FileStat:
        """The descriptor's stat now."""

    def sha256(self) -> str:
        """Hash of the bytes, 64 hexadecimal digits, through the page cache."""

    def hash_from_disk(self) -> str:
        """Hash of what the disk holds: pages dropped first (S2, S10)."""

    def settle_to_disk(self) -> None:
        """fsync the file and the folder it was found in (S2). Raises ``DiskFailure``; never retried (S10)."""

    def attributes(self) -> Attributes: ...

    def is_open_elsewhere(self) -> bool:
        """Another process has it open for writing, where a lease can tell (F_SETLEASE); False where it cannot."""

    def close(self) -> None: ...


class Spot(Protocol):
    """A name in a folder that is held by its descriptor. It may be free or taken."""

    name: bytes

    def look(self) -> FileStat | None:
        """The stat of the entry if the folder lists this exact name (D2), else None. Links are not followed."""

    def open(self) -> OpenFile:
        """Open it for reading. Raises ``NotThere``, ``NotAFile``, ``DiskFailure``."""

    def close(self) -> None: ...


class TreeRoot(Protocol):
    """A root or a target, held by its descriptor."""

    path: Path

    def spot(self, rel: bytes, *, make_folders: bool = False) -> Spot:
        """Walk to the folder of ``rel`` component by component (D1).

        ``make_folders`` creates missing folders (0o777 & ~umask; used for targets, private places and restores) and
        fsyncs each into its parent. Raises ``NotThere``, ``NotAFile`` (a link in the way), ``ReadOnly``, ``NoSpace``.
        """

    def list_folder(self, rel: bytes) -> list[bytes]:
        """The names a folder lists (``b""``: the root). Raises ``NotThere``."""

    def mount(self) -> Mount:
        """What the root lies on, read anew."""

    def close(self) -> None: ...


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
        """Rename, never replacing (D3, D4). Raises ``Occupied``, ``CrossDevice``, ``NotThere``, ``ReadOnly``, ``DiskFailure``."""

    def copy(self, source: OpenFile, to: Spot, *, sha256: str) -> tuple[str, ...]:
        """Copy across devices (S10): temporary name beside ``to``, fsync, cached pages dropped, hash compared with ``sha256``,
        attributes carried and compared, renamed without replacing, folder fsynced.

        Returns the names of the attributes that the target cannot hold (for the record, S11). Raises ``Occupied``,
        ``CopyDiffers``, ``NoSpace``, ``ReadOnly``, ``DiskFailure``; then nothing is left behind but a temporary file at most.
        """

    def restore_attributes(self, spot: Spot, attributes: Attributes) -> tuple[str, ...]:
        """Give a file back what it had (S10, S11); returns what could not be given back."""

    def release(self, private: Spot) -> None:
        """Unlink a private item (D6). Raises ``DiskFailure``; ``PermanentError`` for a spot that is not private."""

    def write_private(self, private: Spot, payload: bytes) -> None:
        """Create a private file durably: O_EXCL under a temporary name, fsync, rename, folder fsync. Raises ``Occupied``, ``NoSpace``."""

    def remove_folder(self, spot: Spot) -> None:
        """``rmdir``, then fsync of the parent (S25). Raises ``Occupied`` where it is not empty, ``NotThere``, ``DiskFailure``."""


#: called with the name of the step that comes next (D7); does nothing outside tests
FaultPoint = Callable[[str], None]


def no_fault(_step: str) -> None:
    """What stands at every fault point outside tests."""

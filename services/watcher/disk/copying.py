"""Copies across devices, and small private files: complete under their name, or not there. (S10, S11)"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator

from services.watcher.disk.errors import settling, writing
from services.watcher.disk.opening import LocalFile
from services.watcher.disk.placing import create, require_hash, temporary_name, transfer, write_all
from services.watcher.disk.port import FaultPoint, Occupied
from services.watcher.disk.renaming import place
from services.watcher.disk.syscalls import Descriptor, settle
from services.watcher.disk.walking import LocalSpot
from shared.paths import printable

COPY_STEPS = (
    "copy:before",
    "copy:before-write",
    "copy:before-fsync",
    "copy:before-reread",
    "copy:before-attributes",
    "copy:before-final-rename",
    "copy:before-folder-fsync",
    "copy:done",
)
WRITE_STEPS = (
    "write:before",
    "write:before-fsync",
    "write:before-final-rename",
    "write:before-folder-fsync",
    "write:done",
)


def copy(source: LocalFile, to: LocalSpot, sha256: str, fault: FaultPoint) -> tuple[str, ...]:
    """See ``Disk.copy``. Bytes are written anew, never shared by reflink: the copy is to stand when the other falls."""
    wanted = source.attributes()  # before reading: where O_NOATIME is refused, reading changes the access time
    fault("copy:before")
    with _temporary(to) as (spot, file):
        lost = transfer(
            source.fileno(), file.fileno(), name=to.name, sha256=sha256, wanted=wanted, fault=fault, act="copy"
        )
        fault("copy:before-final-rename")
        place(spot, to, fault)
    fault("copy:before-folder-fsync")
    to.settle_folder()
    fault("copy:done")
    return lost


def write(to: LocalSpot, payload: bytes, fault: FaultPoint) -> None:
    """See ``Disk.write_private``."""
    fault("write:before")
    with _temporary(to) as (spot, file):
        with writing(to.name):
            write_all(file.fileno(), payload)
        fault("write:before-fsync")
        with settling(to.name):
            settle(file.fileno())
        require_hash(file.fileno(), hashlib.sha256(payload).hexdigest(), to.name)
        fault("write:before-final-rename")
        place(spot, to, fault)
    fault("write:before-folder-fsync")
    to.settle_folder()
    fault("write:done")


@contextlib.contextmanager
def _temporary(to: LocalSpot) -> Iterator[tuple[LocalSpot, Descriptor]]:
    """A new file beside ``to``, removed unless it was given its name. Raises ``Occupied`` before it writes."""
    if to.look() is not None:
        raise Occupied(printable(to.rel))
    with to.beside(temporary_name()) as spot, create(spot) as file:
        try:
            yield spot, file
        except BaseException:
            with contextlib.suppress(OSError):  # it may have its name already; and the first error is the one to tell
                os.unlink(spot.name, dir_fd=spot.fd)
            raise

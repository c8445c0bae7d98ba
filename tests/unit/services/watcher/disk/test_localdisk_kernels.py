"""Old kernels, container filters and other users: what the adapter does where a call is refused. (S9, S10)"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.port import CannotRename, DiskFailure, NotAFile, Occupied, ReadOnly
from services.watcher.disk.syscalls import OPENAT2_NUMBER, RENAMEAT2_NUMBERS
from shared.errors import PhotosiftError
from tests.support.disk_acts import PROCESSES, end
from tests.support.filesystems import mounted
from tests.support.seccomp import refuse

STATX = {"x86_64": 332, "aarch64": 291}.get(platform.machine(), -1)
RENAMEAT2 = RENAMEAT2_NUMBERS.get(platform.machine(), -1)
FALLOCATE = {"x86_64": 285, "aarch64": 47}.get(platform.machine(), -1)
BYTES = os.urandom(100_000)

REFUSALS = {
    "none": {},
    "no openat2": {OPENAT2_NUMBER: errno.ENOSYS},
    "openat2 forbidden": {OPENAT2_NUMBER: errno.EPERM},
    "no renameat2": {RENAMEAT2: errno.ENOSYS},
    "no statx": {STATX: errno.ENOSYS},
    "statx forbidden": {STATX: errno.EPERM},
    "nothing new": dict.fromkeys((OPENAT2_NUMBER, RENAMEAT2, STATX, FALLOCATE), errno.ENOSYS),
}
needs_numbers = pytest.mark.skipif(
    -1 in (STATX, RENAMEAT2, FALLOCATE), reason="numbers of this machine's calls unknown"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


def elsewhere(body: Callable[..., object], *arguments: object) -> object:
    """What ``body`` returns in a process of its own."""
    line, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=_answer, args=(theirs, body, *arguments))
    process.start()
    theirs.close()
    try:
        return line.recv()
    finally:
        line.close()
        assert end(process) == 0


def _answer(line: Connection, body: Callable[..., object], *arguments: object) -> None:
    line.send(body(*arguments))


def every_act(folder: Path, refusals: dict[int, int]) -> list[str]:
    """Walk, take, refuse, give back and copy; the files at the end and what was refused on the way."""
    refuse(refusals)
    disk, refused = LocalDisk(), []
    with (
        disk.open_root(folder) as root,
        root.spot(b"album/a.jpg") as own,
        root.spot(b"album/b.jpg") as occupied,
        root.spot(b".photosift/1/record", make_folders=True) as record,
        record.beside(b"photo") as private,
    ):
        disk.write_private(record, b"{}")
        disk.rename(own, private)
        for act in (
            lambda: disk.rename(private, occupied),
            lambda: root.spot(b"link/a.jpg"),
            lambda: root.spot(b"../x"),
        ):
            try:
                act()
            except PhotosiftError as error:
                refused.append(type(error).__name__)
        disk.rename(private, own)
        with own.open() as file, root.spot(b"new/c.jpg", make_folders=True) as copy:
            assert disk.copy(file, copy, sha256=file.hash_from_disk()) == ()
            assert own.look() == file.stat
    return refused


@needs_numbers
@pytest.mark.parametrize("refusals", list(REFUSALS.values()), ids=list(REFUSALS))
def test_s9_s10_everything_holds_on_an_older_kernel(tmp_path: Path, refusals: dict[int, int]) -> None:
    (tmp_path / "root" / "album").mkdir(parents=True)
    (tmp_path / "root" / "album" / "a.jpg").write_bytes(BYTES)
    (tmp_path / "root" / "album" / "b.jpg").write_bytes(b"theirs")
    (tmp_path / "root" / "link").symlink_to("album")
    refused = elsewhere(every_act, tmp_path / "root", refusals)
    assert refused == [Occupied.__name__, NotAFile.__name__, "UnsafePath"]
    found = {
        str(p.relative_to(tmp_path / "root")): p.read_bytes() for p in (tmp_path / "root").rglob("*") if p.is_file()
    }
    assert found.pop("album/b.jpg") == b"theirs"
    assert found.pop(".photosift/1/record") == b"{}"
    assert found == {"album/a.jpg": BYTES, "new/c.jpg": BYTES}


def take_each_name_once(folder: Path) -> list[str]:
    """Without renameat2 the kernel does not say *occupied* before a plain rename: the adapter has to know."""
    refuse({RENAMEAT2: errno.ENOSYS})
    disk, refused = LocalDisk(), []
    with (
        disk.open_root(folder) as root,
        root.spot(b".photosift/1/photo", make_folders=True) as photo,
        photo.beside(b"PHOTO") as folded,
        root.spot(b"a.jpg") as first,
        root.spot(b"b.jpg") as second,
    ):
        disk.rename(first, photo)
        for taken in (photo, folded):
            try:
                disk.rename(second, taken)
            except PhotosiftError as error:
                refused.append(type(error).__name__)
    return refused


@needs_numbers
@pytest.mark.parametrize("kind", ["plain", "exfat"])
def test_s10_without_renameat2_a_fresh_folder_takes_each_name_once(tmp_path: Path, kind: str) -> None:
    with mounted(kind, tmp_path) as place:
        (place.folder / "a.jpg").write_bytes(b"first")
        (place.folder / "b.jpg").write_bytes(b"second")
        assert elsewhere(take_each_name_once, place.folder) == [CannotRename.__name__, CannotRename.__name__]
        assert (place.folder / ".photosift" / "1" / "photo").read_bytes() == b"first"
        assert (place.folder / "b.jpg").read_bytes() == b"second"


def as_another_user(folder: Path) -> list[object]:
    os.setgid(65534)
    os.setuid(65534)
    disk, seen = LocalDisk(), []
    with disk.open_root(folder) as root, root.spot(b"a.jpg") as spot:
        with spot.open() as file:  # O_NOATIME and leases are the owner's
            seen += [file.hash_from_disk(), file.is_open_elsewhere()]
        for refused in (lambda: root.spot(b".photosift/1/x", make_folders=True), lambda: root.list_folder(b"closed")):
            try:
                refused()
            except PhotosiftError as error:
                seen.append(type(error).__name__)
    return seen


@needs_root
def test_s6_s14_another_users_files_are_read_and_what_is_closed_is_no_absence(tmp_path: Path) -> None:
    folder = tmp_path / "root"
    own = [parent for parent in tmp_path.parents if "pytest-of-" in str(parent)]
    for parent in (tmp_path, *own):
        parent.chmod(0o755)
    (folder / "closed").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(BYTES)
    (folder / "closed").chmod(0o700)
    expected = [hashlib.sha256(BYTES).hexdigest(), False, ReadOnly.__name__, DiskFailure.__name__]
    assert elsewhere(as_another_user, folder) == expected

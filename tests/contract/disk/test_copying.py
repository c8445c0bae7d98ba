"""Copies across devices: complete, read back, with what the file carried; or nothing at all."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.opening import LocalFile
from services.watcher.disk.port import Attributes, CopyDiffers, NoSpace, Occupied, is_temporary
from services.watcher.disk.walking import LocalRoot
from tests.contract.disk.conftest import BYTES, SHA256, files_below, write
from tests.support.filesystems import Place, image, mount_image, mounted, overwrite_in_image

TIME = 1_700_000_000_123_456_789
NO_PRIVILEGE = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


def acl(*entries: tuple[int, int, int]) -> bytes:
    """A POSIX ACL as the kernel's xattr has it: version 2, then tag, permissions, id."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF
#: user::rw- user:1234:r-- group::r-- mask::r-- other::---
ACL = acl((1, 6, NOBODY), (2, 4, 1234), (4, 4, NOBODY), (16, 4, NOBODY), (32, 0, NOBODY))


@pytest.fixture
def source(tmp_path: Path, disk: LocalDisk) -> Iterator[LocalFile]:
    """A file on another device than most places, with everything a file can carry."""
    path = write(tmp_path / "source" / "a.jpg")
    os.chmod(path, 0o640)
    os.setxattr(path, "user.note", b"\x00binary\xff")
    if os.geteuid() == 0:
        os.chown(path, 1234, 1235)
        os.setxattr(path, "system.posix_acl_access", ACL)
    os.utime(path, ns=(TIME - 10**9, TIME))
    with disk.open_root(path.parent) as root, root.spot(b"a.jpg") as spot, spot.open() as file:
        yield file


def left_over(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if is_temporary(os.fsencode(path.name))]


@NO_PRIVILEGE
def test_s10_what_a_file_carries_goes_along_and_what_cannot_is_named(
    place: Place, disk: LocalDisk, root: LocalRoot, source: LocalFile
) -> None:
    with root.spot(b"sorted/a.jpg", make_folders=True) as to:
        lost = disk.copy(source, to, sha256=SHA256)
        carried = to.attributes()
    assert files_below(place.folder) == {"sorted/a.jpg": BYTES}
    expected = {
        "exfat": {"owner", "group", "mode", "mtime-precision", "atime-precision"}
        | {"xattr:user.note", "xattr:system.posix_acl_access"},
        "ntfs": {"mtime-precision", "atime-precision"},
    }
    assert set(lost) - {"xattr:system.posix_acl_access"} == expected.get(place.kind, set()) - {
        "xattr:system.posix_acl_access"
    }
    if place.kind in ("plain", "tmpfs", "ext4", "xfs", "btrfs", "overlay"):
        assert lost == ()
        assert carried == source.attributes()
    # whatever is not named is there
    wanted, named = source.attributes(), set(lost)
    assert ("xattr:system.posix_acl_access" in named) == (
        carried.xattrs.get("system.posix_acl_access") != wanted.xattrs["system.posix_acl_access"]
    )


@NO_PRIVILEGE
def test_s10_what_the_target_could_not_hold_returns_on_restore(
    place: Place, disk: LocalDisk, root: LocalRoot, source: LocalFile, tmp_path: Path
) -> None:
    record = Attributes.from_json(source.attributes().to_json())
    with root.spot(b"sorted/a.jpg", make_folders=True) as to:
        disk.copy(source, to, sha256=SHA256)
        with disk.open_root(tmp_path) as library, library.spot(b"back/a.jpg", make_folders=True) as back:
            with to.open() as file:
                disk.copy(file, back, sha256=SHA256)
            assert disk.restore_attributes(back, record) == ()
            assert back.attributes() == source.attributes() == record


def test_s10_a_copy_never_replaces(place: Place, disk: LocalDisk, root: LocalRoot, source: LocalFile) -> None:
    write(place.folder / "a.jpg", b"theirs")
    with root.spot(b"a.jpg") as to, pytest.raises(Occupied):
        disk.copy(source, to, sha256=SHA256)
    assert files_below(place.folder) == {"a.jpg": b"theirs"}


def test_s10_a_name_taken_while_we_copy_stays_theirs(place: Place, source: LocalFile) -> None:
    def stranger(step: str) -> None:
        if step == "copy:before-final-rename":
            write(place.folder / "a.jpg", b"theirs")

    with LocalDisk(stranger).open_root(place.folder) as root, root.spot(b"a.jpg") as to, pytest.raises(Occupied):
        LocalDisk(stranger).copy(source, to, sha256=SHA256)
    assert files_below(place.folder) == {"a.jpg": b"theirs"}


def test_s10_bytes_that_are_not_what_was_meant_are_no_copy(
    place: Place, disk: LocalDisk, root: LocalRoot, source: LocalFile
) -> None:
    with root.spot(b"a.jpg") as to, pytest.raises(CopyDiffers):
        disk.copy(source, to, sha256=hashlib.sha256(b"another").hexdigest())
    assert files_below(place.folder) == {}


def test_s10_a_copy_that_the_disk_lost_is_no_copy(tmp_path: Path, stack: ExitStack, source: LocalFile) -> None:
    (at := tmp_path / "at").mkdir()
    path = image("ext4", tmp_path / "image")
    mount_image(stack, "ext4", path, at)

    def lose(step: str) -> None:
        if step == "copy:before-reread":
            assert overwrite_in_image(path, BYTES[:65536]) == 1

    disk = LocalDisk(lose)
    with disk.open_root(at) as root, root.spot(b"a.jpg") as to, pytest.raises(CopyDiffers):
        disk.copy(source, to, sha256=SHA256)
    assert not (at / "a.jpg").exists() and left_over(at) == []


@pytest.mark.parametrize("kind", ["tmpfs", "ext4", "exfat", "ntfs"])
def test_s10_no_space_leaves_nothing_and_says_so(
    tmp_path: Path, stack: ExitStack, disk: LocalDisk, source: LocalFile, kind: str
) -> None:
    (below := tmp_path / "small").mkdir()
    folder = stack.enter_context(mounted(kind, below, size="8M")).folder
    filled = 0
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(b"\1" * 65536):
                filled += 1
        except OSError:
            filler.truncate(max(filled - 2, 0) * 65536)  # 128 KiB are left, the photo has 300
    before = sorted(path.name for path in folder.iterdir())
    with disk.open_root(folder) as root, root.spot(b"a.jpg") as to, pytest.raises(NoSpace):
        disk.copy(source, to, sha256=SHA256)
    assert sorted(path.name for path in folder.iterdir()) == before


@NO_PRIVILEGE
@pytest.mark.parametrize("kind", ["tmpfs", "ext4", "xfs", "btrfs"])
def test_s10_an_acl_that_the_folder_hands_down_is_not_added(
    tmp_path: Path, stack: ExitStack, disk: LocalDisk, kind: str
) -> None:
    """A private photo does not become readable by whoever the target folder names."""
    (below := tmp_path / "other").mkdir()
    folder = stack.enter_context(mounted(kind, below)).folder
    os.setxattr(folder, "system.posix_acl_default", ACL)
    write(tmp_path / "plain" / "a.jpg").chmod(0o640)
    with (
        disk.open_root(tmp_path / "plain") as here,
        here.spot(b"a.jpg") as own,
        own.open() as file,
        disk.open_root(folder) as root,
        root.spot(b"a.jpg") as to,
    ):
        assert disk.copy(file, to, sha256=SHA256) == ()
        assert "system.posix_acl_access" not in to.attributes().xattrs
        assert to.attributes().mode == file.attributes().mode == 0o640


@NO_PRIVILEGE
def test_s25_a_folder_gets_back_what_it_had(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    if not place.owners:
        pytest.skip(f"{place.kind} keeps no owners")
    (place.folder / "album").mkdir()
    os.chown(place.folder / "album", 1234, 1235)
    os.chmod(place.folder / "album", 0o2750)
    os.utime(place.folder / "album", ns=(10**18, 10**18))
    with root.spot(b"album") as album:
        had = album.attributes()
        disk.remove_folder(album)
        root.spot(b"album/x", make_folders=True).close()
        assert disk.restore_attributes(album, had) == ()
        assert album.attributes() == had
    assert (had.mode, had.uid, had.mtime_ns) == (0o2750, 1234, 10**18)

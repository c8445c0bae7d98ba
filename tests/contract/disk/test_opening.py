"""D5 and what an open file tells: hashes, attributes, writers."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.walking import LocalRoot
from shared.errors import PermanentError
from tests.contract.disk.conftest import BYTES, SHA256, write
from tests.support.disk_acts import (
    PROCESSES,
    Helper,
    ask_until_interrupted,
    end,
    hold_open,
    open_for_writing_again_and_again,
)
from tests.support.filesystems import Place, image, mount_image, overwrite_in_image

SIZES = [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 * (1 << 20)]


@pytest.mark.parametrize("size", SIZES)
def test_s8_a_hash_is_over_every_byte(place: Place, root: LocalRoot, size: int) -> None:
    payload = os.urandom(size)
    write(place.folder / "a.jpg", payload)
    with root.spot(b"a.jpg") as spot, spot.open() as file:
        file.settle_to_disk()
        assert file.sha256() == file.hash_from_disk() == hashlib.sha256(payload).hexdigest()
        assert file.sha256() == hashlib.sha256(payload).hexdigest(), "the position is not used up"


def test_s2_a_hash_from_disk_is_not_answered_from_memory(tmp_path: Path, disk: LocalDisk, stack: ExitStack) -> None:
    """The disk loses the bytes behind the kernel's back: through the cache the file still looks whole."""
    (at := tmp_path / "at").mkdir()
    path = image("ext4", tmp_path / "image")
    mount_image(stack, "ext4", path, at)
    write(at / "a.jpg")
    with disk.open_root(at) as root, root.spot(b"a.jpg") as spot, spot.open() as file:
        file.settle_to_disk()
        assert overwrite_in_image(path, BYTES[:65536]) == 1
        assert file.sha256() == SHA256, "or this test shows nothing"
        assert file.hash_from_disk() != SHA256


def test_s6_reading_leaves_the_access_time(place: Place, root: LocalRoot) -> None:
    path = write(place.folder / "a.jpg")
    if place.kind in ("mergerfs", "bindfs", "exfat", "ntfs"):
        pytest.skip("O_NOATIME ends at this kernel's side of FUSE; the server reads as it likes")
    os.utime(path, ns=(10**18, 2 * 10**18))  # older than mtime: relatime would move it
    with root.spot(b"a.jpg") as spot, spot.open() as file:
        file.hash_from_disk()
        file.attributes()
    assert path.stat().st_atime_ns == 10**18
    path.read_bytes()
    assert path.stat().st_atime_ns != 10**18, "or this test shows nothing"


def test_s4_the_names_of_a_file_are_counted_as_they_come_and_go(place: Place, root: LocalRoot) -> None:
    path = write(place.folder / "a.jpg")
    with root.spot(b"a.jpg") as spot, spot.open() as file:
        assert file.names() == 1
        try:
            os.link(path, place.folder / "b.jpg")
        except OSError:
            pytest.skip("this file system has no hard links")
        assert file.names() == 2
        (place.folder / "b.jpg").unlink()
        assert file.names() == 1


def test_s15_a_writer_is_seen_and_a_reader_is_none(place: Place, root: LocalRoot) -> None:
    path = write(place.folder / "a.jpg")
    with root.spot(b"a.jpg") as spot, spot.open() as file, spot.open() as again:
        assert not file.is_open_elsewhere()
        for flags, seen in ((os.O_WRONLY, True), (os.O_RDWR, True), (os.O_RDONLY, False)):
            with Helper(hold_open, path, flags):
                assert file.is_open_elsewhere() is seen
                assert again.is_open_elsewhere() is seen
            assert not file.is_open_elsewhere()


def test_s15_a_writer_who_comes_while_we_ask_does_not_end_us(place: Place) -> None:
    """While a lease is held the kernel sends a signal for every new writer: by default one that ends the process."""
    write(place.folder / "a.jpg")
    with Helper(open_for_writing_again_and_again, place.folder / "a.jpg"):
        asking = PROCESSES.Process(target=ask_until_interrupted, args=(place.folder, b"a.jpg"))
        asking.start()
        assert end(asking) == 0


def test_restat_sees_a_change_that_kept_the_time(place: Place, root: LocalRoot) -> None:
    path = write(place.folder / "a.jpg", b"before")
    with root.spot(b"a.jpg") as spot, spot.open() as file:
        os.utime(path, ns=(1, 2))
        with path.open("r+b") as other:
            other.write(b"after!")
        os.utime(path, ns=(1, file.stat.mtime_ns))
        assert file.sha256() == hashlib.sha256(b"after!").hexdigest()
        assert file.restat().size == file.stat.size
        if place.kind != "exfat":  # which keeps no ctime
            assert file.restat().ctime_ns != file.stat.ctime_ns


def test_content_is_for_small_files(place: Place, root: LocalRoot) -> None:
    write(place.folder / "a.json", b"12345")
    with root.spot(b"a.json") as spot, spot.open() as file:
        assert file.content(5) == b"12345"
        with pytest.raises(PermanentError):
            file.content(4)


def test_s6_nothing_below_a_root_changes_by_looking(place: Place, disk: LocalDisk) -> None:
    write(place.folder / "album" / "a.jpg")
    os.utime(place.folder / "album", ns=(10**18, 2 * 10**18))
    before = {path: path.stat() for path in (place.folder, place.folder / "album", place.folder / "album" / "a.jpg")}
    with disk.open_root(place.folder) as root, root.spot(b"album/a.jpg") as spot, spot.open() as file:
        spot.look(), root.list_folder(b"album"), file.hash_from_disk(), file.is_open_elsewhere(), file.settle_to_disk()
    for path, old in before.items():
        new = path.stat()
        assert (new.st_mtime_ns, new.st_ctime_ns, new.st_size) == (old.st_mtime_ns, old.st_ctime_ns, old.st_size)
        if not place.kind.endswith(("fs", "fat")) or place.kind in ("tmpfs", "xfs", "btrfs"):
            assert new.st_atime_ns == old.st_atime_ns

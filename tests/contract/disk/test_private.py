"""D6: what is ours is written whole and unlinked; what is a user's is neither. And folders that a decision emptied."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.port import TEMPORARY_PREFIX, NotAFile, NotThere, Occupied
from services.watcher.disk.walking import LocalRoot
from shared.errors import PermanentError
from tests.contract.disk.conftest import BYTES, files_below, write
from tests.support.filesystems import Place, mount

NOT_OURS = [b"a.jpg", b".photosift", b"album/.photosift", b".photosift.jpg", b"x.photosift/a", b".photosift-copy-12"]


@pytest.mark.parametrize("rel", NOT_OURS)
def test_s10_a_users_name_is_never_unlinked_or_written(
    place: Place, disk: LocalDisk, root: LocalRoot, rel: bytes
) -> None:
    path = write(place.folder / os.fsdecode(rel))
    with root.spot(rel) as spot, pytest.raises(PermanentError):
        disk.release(spot)
    with root.spot(rel + b"2") as spot, pytest.raises(PermanentError):
        disk.write_private(spot, b"{}")
    assert files_below(place.folder) == {str(path.relative_to(place.folder)): BYTES}


def test_s10_a_private_item_and_a_temporary_file_are_released(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    temporary = TEMPORARY_PREFIX + b"0123456789abcdef" * 2
    for rel in (b".photosift/q/1/photo", b"album/" + temporary):
        write(place.folder / os.fsdecode(rel))
        with root.spot(rel) as spot:
            disk.release(spot)
            assert spot.look() is None
            with pytest.raises(NotThere):
                disk.release(spot)
    assert files_below(place.folder) == {}


def test_s11_a_private_file_is_written_whole_and_once(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    with root.spot(b".photosift/q/1/record.json", make_folders=True) as record:
        disk.write_private(record, b"first")
        with pytest.raises(Occupied):
            disk.write_private(record, b"second")
    with root.spot(b".photosift/q/1/record-2.json") as record:  # no longer a fresh folder
        disk.write_private(record, b"")
    assert files_below(place.folder) == {".photosift/q/1/record.json": b"first", ".photosift/q/1/record-2.json": b""}


def test_s25_only_an_empty_folder_is_removed(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    write(place.folder / "album" / "a.jpg")
    with root.spot(b"album") as album:
        with pytest.raises(Occupied):
            disk.remove_folder(album)
        (place.folder / "album" / "a.jpg").unlink()
        disk.remove_folder(album)
        assert album.look() is None
        with pytest.raises(NotThere):
            disk.remove_folder(album)


def test_s25_a_file_or_link_is_no_folder(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    write(place.folder / "a.jpg")
    with root.spot(b"a.jpg") as spot, pytest.raises(NotAFile):
        disk.remove_folder(spot)
    if place.kind != "exfat":
        (place.folder / "empty").mkdir()
        (place.folder / "link").symlink_to("empty")
        with root.spot(b"link") as spot, pytest.raises(NotAFile):
            disk.remove_folder(spot)
    assert (place.folder / "a.jpg").exists()


def test_s25_a_mount_point_is_never_removed(tmp_path: Path, disk: LocalDisk, stack: ExitStack) -> None:
    (at := tmp_path / "disk").mkdir()
    mount(stack, at, "mount", "-t", "tmpfs", "photosift-test", at)
    with disk.open_root(tmp_path) as root, root.spot(b"disk") as spot, pytest.raises(Occupied):
        disk.remove_folder(spot)
    assert at.is_mount()


def test_no_descriptor_is_left_behind(place: Place, disk: LocalDisk) -> None:
    def one_of_everything(number: int) -> None:
        name = b"%d.jpg" % number
        write(place.folder / os.fsdecode(name))
        with disk.open_root(place.folder) as root, root.spot(name) as own:
            with root.spot(b".photosift/%d/record" % number, make_folders=True) as record, record.beside(b"x") as item:
                disk.write_private(record, b"{}")
                disk.rename(own, item)
                with root.spot(b"back/" + name, make_folders=True) as back, item.open() as file:
                    disk.copy(file, back, sha256=file.sha256())
                    with pytest.raises(Occupied):
                        disk.rename(item, back)
                disk.release(item)
            for wrong in (b"no/such", b"%d.jpg/x" % number):
                with pytest.raises((NotThere, NotAFile)):
                    root.spot(wrong)
            with root.spot(b"back") as folder, pytest.raises(NotAFile):
                folder.open()

    one_of_everything(0)
    before = os.listdir("/proc/self/fd")
    for number in range(1, 6):
        one_of_everything(number)
    assert len(os.listdir("/proc/self/fd")) == len(before)

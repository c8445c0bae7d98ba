"""Each fsync by itself: a journal writes everything with the first one, so that a forgotten second does not show. (S2, S10)

ext2 has no journal. What the device holds when an act returns is copied, mounted beside it and looked at; a rename that
was made without fsync is the control.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.port import Attributes
from services.watcher.disk.walking import LocalRoot
from tests.contract.disk.conftest import BYTES, SHA256, files_below, write
from tests.support.filesystems import image, mount_image

TIME = 1_700_000_000_000_000_000  # ext2 keeps whole seconds in small inodes
LATER = Attributes(mode=0o604, uid=1234, gid=1235, atime_ns=TIME, mtime_ns=TIME, xattrs={})


class Device:
    """A disk, and what it holds."""

    def __init__(self, folder: Path) -> None:
        self.stack, self.image, self.copy = ExitStack(), folder / "image", folder / "copy"
        self.at, self.after = folder / "at", folder / "after"
        self.at.mkdir()
        self.after.mkdir()
        mount_image(self.stack, "ext2", image("ext2", self.image), self.at)

    def power_cut(self) -> dict[str, bytes]:
        shutil.copyfile(self.image, self.copy)
        mount_image(self.stack, "ext2", self.copy, self.after)
        return files_below(self.after)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path)
    with device.stack:
        write(device.at / "2019" / "a.jpg")
        write(device.at / "2019" / "control.jpg")
        write(device.at / ".photosift" / "1" / "old")
        (device.at / "2020").mkdir()
        (device.at / "emptied").mkdir()
        os.sync()
        (device.at / "2019" / "control.jpg").rename(device.at / "2020" / "control.jpg")
        yield device


@pytest.fixture
def root(device: Device, disk: LocalDisk) -> Iterator[LocalRoot]:
    with disk.open_root(device.at) as root:
        yield root


BEFORE = {"2019/a.jpg": BYTES, "2019/control.jpg": BYTES, ".photosift/1/old": BYTES}


def test_s10_a_rename_writes_both_folders(device: Device, disk: LocalDisk, root: LocalRoot) -> None:
    with root.spot(b"2019/a.jpg") as own, root.spot(b".photosift/1/photo") as private:
        disk.rename(own, private)
    found = device.power_cut()
    assert found.pop(".photosift/1/photo") == BYTES
    assert "2019/a.jpg" not in found
    # the control was taken out of the same folder, and its new one was never written
    assert "2020/control.jpg" not in found


def test_s10_a_copy_writes_bytes_attributes_and_name(device: Device, disk: LocalDisk, root: LocalRoot) -> None:
    source = write(device.image.parent / "source" / "a.jpg")
    source.chmod(0o604)
    os.utime(source, ns=(TIME, TIME))
    with (
        disk.open_root(source.parent) as here,
        here.spot(b"a.jpg") as own,
        own.open() as file,
        root.spot(b"sorted/a.jpg", make_folders=True) as to,
    ):
        disk.copy(file, to, sha256=SHA256)
    assert device.power_cut() == BEFORE | {"sorted/a.jpg": BYTES}
    stat = (device.after / "sorted" / "a.jpg").stat()
    assert (stat.st_mode & 0o777, stat.st_mtime_ns) == (0o604, TIME)


def test_s11_a_record_is_written_with_its_name(device: Device, disk: LocalDisk, root: LocalRoot) -> None:
    with root.spot(b".photosift/2/record.json", make_folders=True) as record:
        disk.write_private(record, b"{}")
    assert device.power_cut() == BEFORE | {".photosift/2/record.json": b"{}"}


def test_s10_what_was_released_or_removed_is_gone(device: Device, disk: LocalDisk, root: LocalRoot) -> None:
    with root.spot(b".photosift/1/old") as old:
        disk.release(old)
    with root.spot(b"emptied") as emptied:
        disk.remove_folder(emptied)
    found = device.power_cut()
    assert ".photosift/1/old" not in found and not (device.after / "emptied").exists()
    assert "2019/control.jpg" in found


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
@pytest.mark.parametrize("name", ["2019/a.jpg", "emptied"])
def test_s11_attributes_given_back_are_written(device: Device, disk: LocalDisk, root: LocalRoot, name: str) -> None:
    with root.spot(name.encode()) as spot:
        assert disk.restore_attributes(spot, LATER) == ()
    device.power_cut()
    stat = (device.after / name).stat()
    assert (stat.st_mode & 0o777, stat.st_uid, stat.st_mtime_ns) == (0o604, 1234, TIME)


def test_s2_a_keeper_is_written_with_its_name(device: Device, disk: LocalDisk, root: LocalRoot) -> None:
    write(device.at / "new" / "keeper.jpg")
    with root.spot(b"new/keeper.jpg") as spot, spot.open() as file:
        file.settle_to_disk()
    device.power_cut()
    # its folder's own name was for whoever made that folder to settle; the file and its entry are on the device
    assert device.copy.read_bytes().count(BYTES[:4096]) == 4
    assert device.copy.read_bytes().count(b"keeper.jpg") >= 1

"""The power fails right after an act returned: what it did is there after the next mount. (S2, S10, D4)

``EXT4_IOC_SHUTDOWN`` (xfs knows the same call) stops a file system without writing anything more. Each test has its control: the
same done without fsync is undone, or this would show nothing.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.port import DiskFailure
from tests.contract.disk.conftest import BYTES, SHA256, files_below, write
from tests.support.filesystems import image, mount_image, run

SHUTDOWN, WITHOUT_FLUSHING_THE_LOG = 0x8004587D, 2


class Machine:
    """A disk whose power can fail."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.at = kind, folder / "at"
        self.at.mkdir()
        self.image = image(kind, folder / "image")
        self.stack = ExitStack()
        mount_image(self.stack, kind, self.image, self.at)

    def lose_power(self) -> None:
        fd = os.open(self.at, os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING_THE_LOG))
        os.close(fd)

    def come_back(self) -> None:
        run("umount", self.at)
        self.stack.pop_all()
        mount_image(self.stack, self.kind, self.image, self.at)


@pytest.fixture(params=["ext4", "xfs"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(request.param, tmp_path)
    with machine.stack:
        yield machine
    machine.stack.close()


def test_s10_a_rename_is_durable_with_the_folders_made_for_it(machine: Machine, disk: LocalDisk) -> None:
    for name in ("a.jpg", "control.jpg"):
        write(machine.at / "2019" / name)
    os.sync()
    with (
        disk.open_root(machine.at) as root,
        root.spot(b"2019/a.jpg") as own,
        root.spot(b".photosift/q/1/photo", make_folders=True) as private,
    ):
        disk.rename(own, private)
    (machine.at / "2019" / "control.jpg").rename(machine.at / "2019" / "renamed.jpg")
    machine.lose_power()
    machine.come_back()
    assert files_below(machine.at) == {"2019/control.jpg": BYTES, ".photosift/q/1/photo": BYTES}


def test_s10_folders_are_durable_before_anything_is_put_into_them(machine: Machine, disk: LocalDisk) -> None:
    with disk.open_root(machine.at) as root:
        root.spot(b"one/two/x.jpg", make_folders=True).close()
    (machine.at / "control").mkdir()
    machine.lose_power()
    machine.come_back()
    assert sorted(str(path.relative_to(machine.at)) for path in machine.at.rglob("*") if path.name != "lost+found") == [
        "one",
        "one/two",
    ]


def test_s10_a_copy_is_durable_with_what_it_carries(machine: Machine, disk: LocalDisk, tmp_path: Path) -> None:
    path = write(tmp_path / "source" / "a.jpg")
    path.chmod(0o604)
    os.utime(path, ns=(10**18, 10**18))
    with (
        disk.open_root(path.parent) as here,
        here.spot(b"a.jpg") as own,
        own.open() as file,
        disk.open_root(machine.at) as root,
        root.spot(b"sorted/a.jpg", make_folders=True) as to,
    ):
        disk.copy(file, to, sha256=SHA256)
    write(machine.at / "control.jpg")
    machine.lose_power()
    machine.come_back()
    found = files_below(machine.at)
    assert found.pop("control.jpg", b"") != BYTES
    assert found == {"sorted/a.jpg": BYTES}
    stat = (machine.at / "sorted" / "a.jpg").stat()
    assert (stat.st_mode & 0o777, stat.st_mtime_ns) == (0o604, 10**18)


def test_s2_a_keeper_that_was_settled_is_there(machine: Machine, disk: LocalDisk) -> None:
    write(machine.at / "keeper.jpg")
    with disk.open_root(machine.at) as root, root.spot(b"keeper.jpg") as spot, spot.open() as file:
        file.settle_to_disk()
    write(machine.at / "control.jpg")
    machine.lose_power()
    machine.come_back()
    found = files_below(machine.at)
    assert found.pop("control.jpg", b"") != BYTES
    assert found == {"keeper.jpg": BYTES}


def test_s11_a_record_a_release_and_a_folder_removed_are_durable(machine: Machine, disk: LocalDisk) -> None:
    write(machine.at / ".photosift" / "old")
    (machine.at / "emptied").mkdir()
    (machine.at / "control").mkdir()
    os.sync()
    with disk.open_root(machine.at) as root:
        with root.spot(b".photosift/q/1/record.json", make_folders=True) as record:
            disk.write_private(record, b"{}")
        with root.spot(b".photosift/old") as old, root.spot(b"emptied") as emptied:
            disk.release(old)
            disk.remove_folder(emptied)
    (machine.at / "control").rmdir()
    machine.lose_power()
    machine.come_back()
    assert files_below(machine.at) == {".photosift/q/1/record.json": b"{}"}
    assert not (machine.at / "emptied").exists()
    assert (machine.at / "control").exists()


@pytest.mark.parametrize("step", ["rename:before-target-fsync", "rename:before-source-fsync"])
def test_s10_a_failed_fsync_is_a_failure(machine: Machine, step: str) -> None:
    write(machine.at / "2019" / "a.jpg")
    os.sync()
    disk = LocalDisk(lambda now: machine.lose_power() if now == step else None)
    with (
        disk.open_root(machine.at) as root,
        root.spot(b"2019/a.jpg") as own,
        root.spot(b".photosift/q/1/photo", make_folders=True) as private,
        pytest.raises(DiskFailure),
    ):
        disk.rename(own, private)


@pytest.mark.parametrize("step", ["copy:before-fsync", "copy:before-folder-fsync"])
def test_s10_a_copy_whose_fsync_failed_is_no_copy(machine: Machine, step: str, tmp_path: Path) -> None:
    path = write(tmp_path / "source" / "a.jpg")
    disk = LocalDisk(lambda now: machine.lose_power() if now == step else None)
    with (
        disk.open_root(path.parent) as here,
        here.spot(b"a.jpg") as own,
        own.open() as file,
        disk.open_root(machine.at) as root,
        root.spot(b"a.jpg") as to,
        pytest.raises(DiskFailure),
    ):
        disk.copy(file, to, sha256=SHA256)
    machine.come_back()
    assert files_below(machine.at).get("a.jpg", BYTES) == BYTES
    assert path.read_bytes() == BYTES

"""mountinfo and f_fsid. (S14)"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from services.watcher.disk.mounts import has_fleeting_inodes, mount_from, mount_of, mounts_below
from services.watcher.disk.port import DiskFailure, NotThere
from tests.support.filesystems import image, mount_image, mounted

LINE = rb"36 35 98:0 /mnt1 /mnt/my\040photos\134\012x rw,noatime shared:1 master:2 - fuse.mergerfs /dev/root rw,errors=continue"


def test_a_line_of_mountinfo_is_read_with_its_escapes() -> None:
    mount = mount_from(LINE)
    assert mount.mount_id == 36
    assert mount.mount_point == Path("/mnt/my photos\\\nx")
    assert mount.kind == "fuse.mergerfs"
    assert mount.is_layered
    assert not mount.read_only


def test_a_mount_without_optional_fields_is_read_too() -> None:
    mount = mount_from(b"36 35 98:0 / / ro,noatime - ext4 /dev/root rw", fsid=7)
    assert (mount.kind, mount.read_only, mount.fsid) == ("ext4", True, "ext4:0000000000000007")
    assert mount_from(b"36 35 98:0 / / rw - ext4 /dev/root ro").read_only


def test_s14_only_an_id_that_the_next_mount_has_too_is_kept() -> None:
    assert mount_from(b"36 35 98:0 / / rw - tmpfs none rw", fsid=7).fsid is None
    assert mount_from(b"36 35 98:0 / / rw - ext4 /dev/root rw", fsid=0).fsid is None


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="not a line"):
        mount_from(b"36 35")


def test_the_mount_of_a_path_and_of_its_descriptor_are_one(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert mount_of(tmp_path) == mount_of(os.fsencode(tmp_path)) == mount_of(descriptor)
    finally:
        os.close(descriptor)


def test_what_is_not_there_lies_on_no_mount(tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        mount_of(tmp_path / "nothing")


def test_a_closed_descriptor_lies_on_no_mount() -> None:
    with pytest.raises(DiskFailure):
        mount_of(987_654)


def test_a_mount_inside_a_folder_is_listed_and_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "with blank\n"
    folder.mkdir()
    assert mounts_below(os.fsencode(folder)) == frozenset()
    with mounted("tmpfs", folder) as place:
        assert mounts_below(os.fsencode(folder)) == {b"mounted"}
        inside, outside = mount_of(place.folder), mount_of(folder)
        assert inside.mount_id != outside.mount_id
        assert inside.kind == "tmpfs"
        assert inside.mount_point == place.folder
        assert not has_fleeting_inodes(inside)


def test_s14_the_id_of_a_disk_is_the_same_after_a_remount(tmp_path: Path) -> None:
    at, other = tmp_path / "at", tmp_path / "other"
    at.mkdir()
    other.mkdir()
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed (.ci/packages.txt)")
    disk, another = image("ext4", tmp_path / "disk"), image("ext4", tmp_path / "another")
    found = []
    for where, what in ((at, disk), (other, disk), (at, another)):
        with contextlib.ExitStack() as stack:
            mount_image(stack, "ext4", what, where)
            found.append(mount_of(where).fsid)
    assert found[0]
    assert found[0] == found[1] != found[2]

"""D3 and D4: a rename takes a free name or none, and is durable when it returns."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.port import CannotRename, CrossDevice, NotThere, Occupied, ReadOnly
from services.watcher.disk.walking import LocalRoot
from tests.contract.disk.conftest import BYTES, SHA256, files_below, write
from tests.support.disk_acts import PROCESSES, create_each_round, end
from tests.support.filesystems import Place, mount, mounted, run

ROUNDS = 150


def test_s10_a_victim_goes_to_a_private_place_and_back(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    write(place.folder / "2019" / "a.jpg")
    with root.spot(b"2019/a.jpg") as own, root.spot(b".photosift/q/1/photo", make_folders=True) as private:
        with own.open() as held:
            disk.rename(own, private)
            with private.open() as file:
                # identified there against the descriptor that was checked
                assert (file.stat.dev, file.stat.ino) == (held.restat().dev, held.restat().ino)
        assert own.look() is None
        assert files_below(place.folder) == {".photosift/q/1/photo": BYTES}
        disk.rename(private, own)
        assert private.look() is None
        with own.open() as file:
            assert file.hash_from_disk() == SHA256
    assert files_below(place.folder) == {"2019/a.jpg": BYTES}


def test_s10_an_occupied_name_is_never_replaced(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    write(place.folder / ".photosift" / "1" / "photo", b"ours")
    write(place.folder / "a.jpg", b"theirs")
    with root.spot(b".photosift/1/photo") as private, root.spot(b"a.jpg") as own, pytest.raises(Occupied):
        disk.rename(private, own)
    assert files_below(place.folder) == {".photosift/1/photo": b"ours", "a.jpg": b"theirs"}


@pytest.mark.parametrize("kind", ["link", "dangling", "folder"])
def test_s10_a_link_or_folder_occupies_a_name_too(place: Place, disk: LocalDisk, root: LocalRoot, kind: str) -> None:
    write(place.folder / ".photosift" / "1" / "photo", b"ours")
    name = place.folder / "a.jpg"
    try:
        name.mkdir() if kind == "folder" else name.symlink_to("photo" if kind == "link" else "nowhere")
    except OSError:
        pytest.skip(f"{place.kind} has no symbolic links")
    with root.spot(b".photosift/1/photo") as private, root.spot(b"a.jpg") as own, pytest.raises(Occupied):
        disk.rename(private, own)
    assert name.is_symlink() or name.is_dir()
    assert (place.folder / ".photosift/1/photo").read_bytes() == b"ours"


def test_s4_a_name_that_folds_into_an_occupied_one_is_occupied(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    write(place.folder / ".photosift" / "1" / "photo", b"ours")
    write(place.folder / "IMG.jpg", b"theirs")
    with root.spot(b".photosift/1/photo") as private, root.spot(b"img.jpg") as own:
        if place.folds_case:
            with pytest.raises(Occupied):
                disk.rename(private, own)
        else:
            disk.rename(private, own)
    assert (place.folder / "IMG.jpg").read_bytes() == b"theirs"


def test_s4_a_victim_is_taken_by_its_listed_name_only(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    write(place.folder / "IMG.jpg")
    with (
        root.spot(b"img.jpg") as alias,
        root.spot(b".photosift/1/photo", make_folders=True) as private,
        pytest.raises(NotThere),
    ):
        disk.rename(alias, private)
    assert files_below(place.folder) == {"IMG.jpg": BYTES}


def test_s10_a_racing_creator_loses_nothing(place: Place, disk: LocalDisk, root: LocalRoot, stack: ExitStack) -> None:
    """In each round a stranger makes the very name that we rename onto, at the same moment."""
    target = place.folder / "album"
    target.mkdir()
    privates = [stack.enter_context(root.spot(b".photosift/%d/photo" % n, make_folders=True)) for n in range(ROUNDS)]
    owns = [stack.enter_context(root.spot(b"album/%d.jpg" % n)) for n in range(ROUNDS)]
    for private in privates:
        disk.write_private(private, b"ours")
    barrier = PROCESSES.Barrier(2)
    line, other_end = PROCESSES.Pipe()
    stranger = PROCESSES.Process(target=create_each_round, args=(target, ROUNDS, barrier, other_end))
    stranger.start()
    refused = []
    for number, (private, own) in enumerate(zip(privates, owns, strict=True)):
        barrier.wait(30)
        try:
            disk.rename(private, own)
        except Occupied:
            refused.append(number)
    made = line.recv()
    line.close(), other_end.close()
    assert end(stranger) == 0
    assert made == refused, "whoever made the name first has it"
    for number, private in enumerate(privates):
        assert (private.look() is not None) == (number in made)
        assert (target / f"{number}.jpg").read_bytes() == (b"theirs" if number in made else b"ours")


def test_s10_where_nothing_is_exclusive_a_users_file_stays(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    """The private folder was not made just now: without no-replace there is no safe way there."""
    write(place.folder / "a.jpg")
    (place.folder / ".photosift").mkdir()
    with root.spot(b"a.jpg") as own, root.spot(b".photosift/photo", make_folders=True) as private:
        if place.noreplace:
            disk.rename(own, private)
        else:
            with pytest.raises(CannotRename):
                disk.rename(own, private)
            assert files_below(place.folder) == {"a.jpg": BYTES}


def test_s10_a_folder_among_the_users_is_never_ours_alone(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    write(place.folder / "a.jpg")
    with root.spot(b"a.jpg") as own, root.spot(b"new/folder/a.jpg", make_folders=True) as to:
        if place.noreplace:
            disk.rename(own, to)
        else:
            with pytest.raises(CannotRename):
                disk.rename(own, to)
            assert files_below(place.folder) == {"a.jpg": BYTES}


def test_s10_a_fresh_folder_takes_each_name_once(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    write(place.folder / "a.jpg", b"first")
    write(place.folder / "b.jpg", b"second")
    with root.spot(b".photosift/1/record.json", make_folders=True) as record, record.beside(b"photo") as photo:
        disk.write_private(record, b"{}")
        with root.spot(b"a.jpg") as first, root.spot(b"b.jpg") as second:
            disk.rename(first, photo)
            with pytest.raises((Occupied, CannotRename)):
                disk.rename(second, photo)
        with root.spot(b"b.jpg") as second, record.beside(b"PHOTO") as folded:
            if place.folds_case:
                with pytest.raises((Occupied, CannotRename)):
                    disk.rename(second, folded)
    found = files_below(place.folder)
    assert found == {".photosift/1/photo": b"first", ".photosift/1/record.json": b"{}", "b.jpg": b"second"}


def test_s10_a_stranger_that_is_a_folder_goes_back(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    write(place.folder / "a.jpg" / "inside.jpg")
    with root.spot(b"a.jpg") as own, root.spot(b".photosift/1/photo", make_folders=True) as private:
        disk.rename(own, private)
        disk.rename(private, own)
    assert files_below(place.folder) == {"a.jpg/inside.jpg": BYTES}


def test_s4_one_of_two_hard_links_goes_and_the_other_stays(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    if not place.links:
        pytest.skip(f"{place.kind} has no hard links")
    write(place.folder / "a.jpg")
    os.link(place.folder / "a.jpg", place.folder / "b.jpg")
    with root.spot(b"a.jpg") as own, root.spot(b".photosift/1/photo", make_folders=True) as private:
        disk.rename(own, private)
    assert files_below(place.folder) == {".photosift/1/photo": BYTES, "b.jpg": BYTES}


def test_nothing_there_to_rename(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    with (
        root.spot(b"no.jpg") as own,
        root.spot(b".photosift/1/photo", make_folders=True) as private,
        pytest.raises(NotThere),
    ):
        disk.rename(own, private)


def cross(disk: LocalDisk, one: Path, other: Path) -> None:
    """A rename between the two must say ``CrossDevice`` and leave the file alone."""
    write(one / "a.jpg")
    with (
        disk.open_root(one) as source,
        disk.open_root(other) as target,
        source.spot(b"a.jpg") as own,
        target.spot(b".photosift/1/photo", make_folders=True) as private,
    ):
        with pytest.raises(CrossDevice):
            disk.rename(own, private)
        assert own.look() is not None and private.look() is None


def test_s10_two_bind_mounts_of_one_disk_are_two(tmp_path: Path, stack: ExitStack, disk: LocalDisk) -> None:
    for name in ("source-1", "source-2", "bind-1", "bind-2"):
        (tmp_path / name).mkdir()
    for number in (1, 2):
        mount(
            stack,
            tmp_path / f"bind-{number}",
            "mount",
            "--bind",
            tmp_path / f"source-{number}",
            tmp_path / f"bind-{number}",
        )
    one, other = tmp_path / "bind-1", tmp_path / "bind-2"
    assert one.stat().st_dev == other.stat().st_dev
    cross(disk, one, other)


def test_s10_two_subvolumes_are_two(tmp_path: Path, stack: ExitStack, disk: LocalDisk) -> None:
    place = stack.enter_context(mounted("btrfs", tmp_path))
    for name in ("one", "two"):
        run("btrfs", "subvolume", "create", place.folder / name)
    cross(disk, place.folder / "one", place.folder / "two")


def test_s10_two_devices_are_two(place: Place, disk: LocalDisk, stack: ExitStack, tmp_path: Path) -> None:
    (tmp_path / "tmpfs").mkdir()
    cross(disk, place.folder, stack.enter_context(mounted("tmpfs", tmp_path / "tmpfs")).folder)


def test_s6_a_root_that_is_read_only_is_read_and_left_alone(
    place: Place, disk: LocalDisk, stack: ExitStack, tmp_path: Path
) -> None:
    write(place.folder / "a.jpg")
    (at := tmp_path / "read-only").mkdir()
    mount(stack, at, "mount", "--bind", place.folder, at)
    run("mount", "-o", "remount,bind,ro", at)
    root = stack.enter_context(disk.open_root(at))
    assert root.mount().read_only
    own = stack.enter_context(root.spot(b"a.jpg"))
    with own.open() as file:
        file.settle_to_disk()  # S2: a keeper in a reference root is settled too
        assert file.hash_from_disk() == SHA256
        assert not file.is_open_elsewhere()
    with pytest.raises(ReadOnly):
        root.spot(b".photosift/1/photo", make_folders=True)
    beside = stack.enter_context(own.beside(b"b.jpg"))
    with pytest.raises(ReadOnly):
        disk.rename(own, beside)
    with own.open() as file, pytest.raises(ReadOnly):
        disk.copy(file, beside, sha256=SHA256)
    assert files_below(place.folder) == {"a.jpg": BYTES}


def test_s10_two_branches_of_a_pool_that_keeps_paths_are_two(tmp_path: Path, stack: ExitStack, disk: LocalDisk) -> None:
    """A pool of existing paths only: the victim's branch has no ``private`` folder, and mergerfs makes none there."""
    write(tmp_path / "branch-1" / "album" / "a.jpg")
    (tmp_path / "branch-2" / "other").mkdir(parents=True)
    (at := tmp_path / "pool").mkdir()
    branches = f"{tmp_path}/branch-1:{tmp_path}/branch-2"
    mount(stack, at, "mergerfs", "-o", "category.create=epmfs", branches, at)
    root = stack.enter_context(disk.open_root(at))
    own = stack.enter_context(root.spot(b"album/a.jpg"))
    private = stack.enter_context(root.spot(b"other/.photosift/1/photo", make_folders=True))
    with pytest.raises(CrossDevice):
        disk.rename(own, private)
    assert files_below(at) == {"album/a.jpg": BYTES}

"""D1 and D2: what a walk accepts, and which names are there."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.port import NameRefused, NotAFile, NotThere, Occupied
from services.watcher.disk.walking import LocalRoot
from shared.errors import PhotosiftError, UnsafePath
from tests.contract.disk.conftest import BYTES, write
from tests.support.disk_acts import Helper, become_a_fifo_again_and_again, swap_again_and_again, write_to_fifo
from tests.support.filesystems import Place

UNSAFE = [b"", b"/etc/passwd", b"a/../../b", b"..", b"a/./b", b"a//b", b"a/", b"a\0b", b"x" * 40_000]


@pytest.mark.parametrize("rel", UNSAFE, ids=[repr(rel[:12]) for rel in UNSAFE])
def test_s9_a_path_that_is_not_clean_is_refused_before_anything_is_opened(root: LocalRoot, rel: bytes) -> None:
    with pytest.raises(UnsafePath):
        root.spot(rel, make_folders=True)


def test_s9_no_link_is_followed_on_the_way_or_at_the_end(place: Place, root: LocalRoot, tmp_path: Path) -> None:
    write(tmp_path / "outside" / "secret.jpg")
    try:
        (place.folder / "link").symlink_to(tmp_path / "outside")
        (place.folder / "link.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
        (place.folder / "inside").mkdir()
        (place.folder / "turn").symlink_to("inside")
    except OSError:
        pytest.skip(f"{place.kind} has no symbolic links")
    for rel in (b"link/secret.jpg", b"turn/secret.jpg"):
        with pytest.raises(NotAFile):
            root.spot(rel, make_folders=True)
    with root.spot(b"link.jpg") as spot, pytest.raises(NotAFile):
        spot.open()
    assert not (place.folder / "inside" / "secret.jpg").exists()


def test_s9_a_folder_that_becomes_a_link_again_and_again_never_leads_out(
    place: Place, root: LocalRoot, tmp_path: Path
) -> None:
    write(place.folder / "album" / "a.jpg", b"inside")
    write(tmp_path / "outside" / "a.jpg", b"outside")
    try:
        (place.folder / "try").symlink_to("album")
    except OSError:
        pytest.skip(f"{place.kind} has no symbolic links")
    seen: set[bytes] = set()
    with Helper(swap_again_and_again, place.folder / "album", tmp_path / "outside"):
        for _ in range(150):
            try:
                with root.spot(b"album/a.jpg") as spot, spot.open() as file:
                    seen.add(file.content(100))
            except PhotosiftError:
                continue
    assert b"outside" not in seen
    with root.spot(b"album/a.jpg") as spot:
        assert spot.look() is not None


def test_s9_checks_and_act_use_the_folder_that_was_walked_to(place: Place, disk: LocalDisk, root: LocalRoot) -> None:
    write(place.folder / "album" / "a.jpg", b"the one that was checked")
    with root.spot(b"album/a.jpg") as victim, root.spot(b".photosift/1/photo", make_folders=True) as private:
        (place.folder / "album").rename(place.folder / "moved")
        write(place.folder / "album" / "a.jpg", b"another")
        disk.rename(victim, private)
        with private.open() as file:
            assert file.content(100) == b"the one that was checked"
    assert (place.folder / "album" / "a.jpg").read_bytes() == b"another"


def test_s4_a_name_is_there_only_as_its_folder_lists_it(place: Place, root: LocalRoot) -> None:
    write(place.folder / "Album" / "IMG.jpg")
    assert (place.folder / "album" / "img.jpg").exists() == place.folds_case
    with root.spot(b"Album/IMG.jpg") as spot, spot.beside(b"img.jpg") as folded:
        assert spot.look() is not None
        assert folded.look() is None
        with pytest.raises(NotThere):
            folded.open()
    with pytest.raises(NotThere):
        root.spot(b"album/IMG.jpg")


def test_s4_a_folder_is_not_made_where_another_spelling_stands(place: Place, root: LocalRoot) -> None:
    write(place.folder / "Album" / "IMG.jpg")
    if place.folds_case:
        with pytest.raises(Occupied):
            root.spot(b"album/x.jpg", make_folders=True)
    else:
        root.spot(b"album/x.jpg", make_folders=True).close()
        assert (place.folder / "album").is_dir()


def test_s8_a_file_gone_is_gone_at_once_though_its_descriptor_reads_on(place: Place, root: LocalRoot) -> None:
    path = write(place.folder / "a.jpg")
    with root.spot(b"a.jpg") as spot, spot.open() as held:
        path.unlink()
        assert spot.look() is None
        assert held.restat().size == len(BYTES)


def test_s8_a_pool_that_still_answers_a_stat_does_not_list(tmp_path: Path, stack: ExitStack, disk: LocalDisk) -> None:
    """mergerfs answers from the kernel's cache for a second after the branch lost the file."""
    from tests.support.filesystems import mounted

    pool = stack.enter_context(mounted("mergerfs", tmp_path))
    write(pool.folder / "a.jpg")
    root = stack.enter_context(disk.open_root(pool.folder))
    spot = stack.enter_context(root.spot(b"a.jpg"))
    assert spot.look() is not None
    next(tmp_path.glob("branch-*/a.jpg")).unlink()
    assert spot.look() is None
    assert os.stat(pool.folder / "a.jpg"), "or this test shows nothing"


@pytest.mark.parametrize(
    "name",
    [b"new\nline.jpg", b"\xff\xfe.jpg", b"x" * 255, "é".encode() * 127, b" .jpg", b"a:b?.jpg", b"-rf"],
    ids=["newline", "not-utf8", "255", "255-utf8", "space", "colon", "dash"],
)
def test_names_are_bytes_and_one_that_cannot_be_held_is_said_so(
    place: Place, disk: LocalDisk, root: LocalRoot, name: bytes
) -> None:
    source = write(place.folder / "source")
    with root.spot(b"source") as victim, victim.open() as file, root.spot(b"to/" + name, make_folders=True) as to:
        try:
            disk.copy(file, to, sha256=file.sha256())
        except NameRefused:
            assert not place.any_bytes
            assert os.listdir(place.folder / "to") == []
            return
        assert root.list_folder(b"to") == [name]
        found = to.look()
        assert found is not None and found.size == source.stat().st_size


def test_s9_a_path_longer_than_any_system_call_takes_is_walked(place: Place, root: LocalRoot, disk: LocalDisk) -> None:
    rel = b"/".join([b"folder-" + b"x" * 93] * 50 + [b"photo.jpg"])
    assert len(rel) > 4096
    try:
        with root.spot(rel, make_folders=True) as deep:
            with root.spot(b".photosift/w", make_folders=True) as private:
                disk.write_private(private, b"deep")
                disk.rename(private, deep)
            assert deep.look() is not None
    except PhotosiftError:
        # a FUSE server that forwards the whole path to another file system cannot hold it; then nothing is lost
        assert place.kind in ("mergerfs", "bindfs", "ntfs", "exfat")


def test_a_folder_or_name_that_is_not_there(root: LocalRoot, disk: LocalDisk, place: Place) -> None:
    with pytest.raises(NotThere):
        root.spot(b"no/such.jpg")
    with pytest.raises(NotThere):
        disk.open_root(place.folder / "no")
    with root.spot(b"no.jpg") as spot:
        assert spot.look() is None
        with pytest.raises(NotThere):
            spot.open()
        with pytest.raises(NotThere):
            spot.attributes()


def test_a_file_on_the_way_is_not_a_folder(place: Place, root: LocalRoot) -> None:
    write(place.folder / "a.jpg")
    with pytest.raises(NotAFile):
        root.spot(b"a.jpg/b.jpg")


def test_s10_folders_are_made_once_and_what_is_in_them_stays(place: Place, root: LocalRoot) -> None:
    root.spot(b"one/two/three/x.jpg", make_folders=True).close()
    write(place.folder / "one" / "two" / "three" / "x.jpg")
    with root.spot(b"one/two/three/x.jpg", make_folders=True) as spot:
        assert spot.look() is not None
    assert root.list_folder(b"one/two") == [b"three"]
    assert root.list_folder(b"") == [b"one"]


def test_a_fifo_or_a_folder_is_no_file_and_makes_nobody_wait(place: Place, root: LocalRoot) -> None:
    (place.folder / "folder").mkdir()
    with root.spot(b"folder") as spot, pytest.raises(NotAFile):
        spot.open()
    try:
        os.mkfifo(place.folder / "fifo")
    except OSError:
        return
    with root.spot(b"fifo") as spot, pytest.raises(NotAFile):
        spot.open()


def test_a_fifo_is_not_even_opened(tmp_path: Path, disk: LocalDisk) -> None:
    """Opening a device does things, and opening a FIFO lets a writer through who waits for a reader."""
    os.mkfifo(tmp_path / "fifo")
    with (
        Helper(write_to_fifo, tmp_path / "fifo") as writer,
        disk.open_root(tmp_path) as root,
        root.spot(b"fifo") as spot,
    ):
        writer.wait_until_asleep()
        for look in (spot.open, spot.attributes):
            with pytest.raises(NotAFile):
                look()
        assert not writer.line.poll(0.05)
        os.close(os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK))
        assert writer.line.recv() == "through", "or this test shows nothing"


def test_s9_a_file_that_becomes_a_fifo_again_and_again_is_opened_as_a_file_only(
    tmp_path: Path, disk: LocalDisk
) -> None:
    write(tmp_path / "a.jpg")
    opened = refused = 0
    with (
        Helper(become_a_fifo_again_and_again, tmp_path / "a.jpg"),
        disk.open_root(tmp_path) as root,
        root.spot(b"a.jpg") as spot,
    ):
        while opened < 300 or refused < 300:
            try:
                with spot.open() as file:
                    assert stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                opened += 1
            except NotAFile:
                refused += 1


def test_stat_is_what_os_says(place: Place, root: LocalRoot) -> None:
    path = write(place.folder / "a.jpg")
    with root.spot(b"a.jpg") as spot, spot.open() as file:
        look, s = spot.look(), path.stat()
        assert look == file.stat == file.restat()
        assert (look.size, look.mtime_ns, look.ctime_ns) == (s.st_size, s.st_mtime_ns, s.st_ctime_ns)
        assert (look.dev, look.ino) == (s.st_dev, s.st_ino)


def test_the_mount_is_named(place: Place, root: LocalRoot) -> None:
    if place.kind in ("exfat", "ntfs", "mergerfs", "bindfs"):
        assert root.mount().is_layered
    elif place.kind != "plain":
        assert root.mount().kind == place.kind
    with root.spot(b"x") as spot:
        assert spot.mount() == root.mount()

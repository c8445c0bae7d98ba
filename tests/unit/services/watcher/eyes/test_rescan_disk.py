"""Passes over what real file systems can hold. (S4, S6, S14, S22)"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.watcher.eyes.known import Facts
from services.watcher.eyes.looking import Tree, folders_of
from services.watcher.eyes.observing import Place
from services.watcher.eyes.passes import SKIPPED, Pass, Surroundings
from services.watcher.eyes.settling import Moment
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.ignoring import Ignoring
from shared.messages.files import FileEvent, FileGone, FileMoved, FileSettled
from shared.paths import PhotoPath
from tests.support.filesystems import image, mount_image, mounted
from tests.support.seeing import seeing, write

RULES = Ignoring(extensions=frozenset({"jpg"}))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[Snapshot]:
    opened = Snapshot(tmp_path / "snapshot.sqlite", now=time.time)
    yield opened
    opened.close()


def one_pass(photos: Path, snapshot: Snapshot, *, settle: float = 0.0) -> Pass:
    """Look at the whole folder, without bus and without telling what is missing."""
    place = Place(name="photos", path=os.fsencode(photos), ignoring=RULES)

    def look(path: PhotoPath) -> Facts | None:
        with place.open() as tree:
            return tree.look(path.rel)

    around = Surroundings(other_tops={}, look=look, judging=threading.Lock())
    found = Pass(
        place,
        snapshot,
        around,
        now=Moment(time.time() + 1, time.monotonic()),
        settle=settle,
        unknown_folders={},
        stable_inodes=True,
    )
    for _ in found.steps():
        pass
    return found


def rules(snapshot: Snapshot) -> dict[bytes, str]:
    return {note.rel: note.name for note in snapshot.notes.recall(SKIPPED, "photos")}


def told(snapshot: Snapshot) -> list[FileEvent]:
    return [p.message for p in snapshot.pending() if isinstance(p.message, FileEvent)]


def test_s4_hard_links_are_one_file_and_the_other_name_is_said(photos: Path, snapshot: Snapshot) -> None:
    write(photos / "b.jpg")
    os.link(photos / "b.jpg", photos / "a.jpg")
    (photos / "sub").mkdir()
    os.link(photos / "b.jpg", photos / "sub" / "c.jpg")
    found = one_pass(photos, snapshot)
    assert [m.file.path for m in told(snapshot)] == ["a.jpg"]
    assert rules(snapshot) == {b"b.jpg": "same-file-as", b"sub/c.jpg": "same-file-as"}
    reasons = [note.text for note in snapshot.notes.recall(SKIPPED, "photos")]
    assert all("photos:a.jpg" in reason for reason in reasons)
    assert (found.tally.files, found.tally.skipped) == (1, 2)


def test_s4_the_known_name_of_a_file_stays_the_file(photos: Path, snapshot: Snapshot) -> None:
    write(photos / "b.jpg")
    one_pass(photos, snapshot)
    os.link(photos / "b.jpg", photos / "a.jpg")
    one_pass(photos, snapshot)
    assert rules(snapshot) == {b"a.jpg": "same-file-as"}
    assert snapshot.known(PhotoPath("photos", b"b.jpg")) is not None


def test_s4_when_the_known_name_goes_the_other_name_is_the_file(photos: Path, snapshot: Snapshot) -> None:
    write(photos / "a.jpg")
    os.link(photos / "a.jpg", photos / "b.jpg")
    one_pass(photos, snapshot)
    (photos / "a.jpg").unlink()
    one_pass(photos, snapshot)
    assert snapshot.known(PhotoPath("photos", b"a.jpg")) is None
    assert snapshot.known(PhotoPath("photos", b"b.jpg")) is not None


def test_links_and_loops_are_not_followed(photos: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    write(photos / "a.jpg")
    write(tmp_path / "outside" / "b.jpg")
    (photos / "link.jpg").symlink_to("a.jpg")
    (photos / "self.jpg").symlink_to("self.jpg")
    (photos / "loop").symlink_to(photos)
    (photos / "out").symlink_to(tmp_path / "outside")
    one_pass(photos, snapshot)
    assert [m.file.path for m in told(snapshot)] == ["a.jpg"]
    assert rules(snapshot) == {
        b"link.jpg": "symbolic-link",
        b"self.jpg": "symbolic-link",
        b"loop": "extension",
        b"out": "extension",
    }


def test_what_is_neither_file_nor_folder_is_never_opened(photos: Path, snapshot: Snapshot) -> None:
    os.mkfifo(photos / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(photos)  # the path of a socket may have 108 bytes only
        listener.bind("socket.jpg")
        if os.geteuid() == 0:
            os.mknod(photos / "device.jpg", 0o020600, os.makedev(1, 3))
        one_pass(photos, snapshot)
    assert told(snapshot) == []
    assert set(rules(snapshot).values()) == {"not-a-regular-file"}


@pytest.fixture(autouse=True)
def _back_where_it_was() -> Iterator[None]:
    here = Path.cwd()
    yield
    os.chdir(here)


NAMES = [
    b"new\nline.jpg",
    b"\xff\xfe.jpg",
    b"a" * 251 + b".jpg",
    b"\x1b[2J.jpg",
    b" .jpg",
    b"\xe2\x80\xae.jpg",
    b"-rf.jpg",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_name(photos: Path, snapshot: Snapshot, name: bytes) -> None:
    path = os.path.join(os.fsencode(photos), name)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    one_pass(photos, snapshot)
    (message,) = told(snapshot)
    assert message.file.photo.rel == name
    os.unlink(path)
    one_pass(photos, snapshot)
    assert snapshot.missing.some("photos", "deleted", 10) == [name]


@pytest.mark.parametrize("levels", [20, 400])
def test_paths_longer_than_the_kernel_takes_are_seen(photos: Path, snapshot: Snapshot, levels: int) -> None:
    """More than 4,096 bytes below the root, made step by step; deeper than the descriptors that are held."""
    folder = os.open(photos, os.O_RDONLY)
    name = b"x" * (4200 // levels)
    try:
        for _ in range(levels):
            os.mkdir(name, dir_fd=folder)
            inner = os.open(name, os.O_RDONLY, dir_fd=folder)
            os.close(folder)
            folder = inner
        os.close(os.open(b"deep.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        one_pass(photos, snapshot)
        (message,) = told(snapshot)
        assert message.file.photo.rel == b"/".join([name] * levels + [b"deep.jpg"])
        os.unlink(b"deep.jpg", dir_fd=folder)
    finally:
        os.close(folder)
    one_pass(photos, snapshot)
    assert len(snapshot.missing.some("photos", "deleted", 10)) == 1


def test_s16_an_inode_used_again_at_once_is_no_rename(photos: Path, snapshot: Snapshot) -> None:
    path = write(photos / "old.jpg", b"aaaa")
    one_pass(photos, snapshot)
    before = path.stat()
    path.unlink()
    for n in range(200):  # ext4 gives out the number just freed
        new = photos / f"new{n}.jpg"
        new.write_bytes(b"bbbb")
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        if new.stat().st_ino == before.st_ino:
            break
        new.unlink()
    else:
        pytest.skip("this file system did not use the inode again")
    one_pass(photos, snapshot)
    assert not [m for m in told(snapshot) if isinstance(m, FileMoved)]
    assert [m.file.path for m in told(snapshot) if isinstance(m, FileSettled)] == ["old.jpg", new.name]


def test_s16_a_file_moved_over_another_is_told_of_as_moved(photos: Path, snapshot: Snapshot) -> None:
    write(photos / "a.jpg", b"a")
    write(photos / "b.jpg", b"bb")
    one_pass(photos, snapshot)
    (photos / "a.jpg").rename(photos / "b.jpg")
    one_pass(photos, snapshot)
    *_, moved, gone = told(snapshot)
    assert isinstance(moved, FileMoved)
    assert isinstance(gone, FileGone)
    assert (moved.moved_from.path, moved.file.path, gone.file.path) == ("a.jpg", "b.jpg", "a.jpg")
    known = snapshot.known(PhotoPath("photos", b"b.jpg"))
    assert known is not None
    assert known.size == 1


def test_s16_two_names_exchanged_are_both_told_of(photos: Path, snapshot: Snapshot) -> None:
    write(photos / "a.jpg", b"a")
    write(photos / "b.jpg", b"bb")
    one_pass(photos, snapshot)
    (photos / "a.jpg").rename(photos / "c")
    (photos / "b.jpg").rename(photos / "a.jpg")
    (photos / "c").rename(photos / "b.jpg")
    one_pass(photos, snapshot)
    sizes = {rel: snapshot.known(PhotoPath("photos", rel)) for rel in (b"a.jpg", b"b.jpg")}
    assert {rel: known.size for rel, known in sizes.items() if known} == {b"a.jpg": 2, b"b.jpg": 1}
    assert not [m for m in told(snapshot) if isinstance(m, FileGone)]


@contextmanager
def as_a_stranger() -> Iterator[None]:
    """This thread meets permissions as everybody's does (setfsuid(2)); root otherwise reads everything."""
    libc = ctypes.CDLL(None)
    before = libc.setfsuid(65534)
    try:
        yield
    finally:
        libc.setfsuid(before)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's own."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="photosift-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_s14_an_unreadable_folder_says_nothing_about_its_files(open_folder: Path, snapshot: Snapshot) -> None:
    for rel in ("a.jpg", "closed/b.jpg", "closed/deeper/c.jpg", "open/d.jpg"):
        write(open_folder / rel, rel.encode())
    one_pass(open_folder, snapshot)
    (open_folder / "closed").chmod(0o700)
    (open_folder / "open" / "d.jpg").unlink()
    with as_a_stranger():
        one_pass(open_folder, snapshot)
    assert snapshot.missing.some("photos", "deleted", 10) == [b"open/d.jpg"]
    assert rules(snapshot) == {b"closed": "unreadable-folder"}


def test_s14_a_folder_that_may_be_listed_and_not_entered_says_nothing(open_folder: Path, snapshot: Snapshot) -> None:
    write(open_folder / "listed" / "a.jpg")
    one_pass(open_folder, snapshot)
    (open_folder / "listed").chmod(0o744)
    with as_a_stranger():
        one_pass(open_folder, snapshot)
    assert snapshot.missing.some("photos", "deleted", 10) == []


def test_s14_a_stranger_reads_without_the_right_to_leave_access_times_alone(open_folder: Path) -> None:
    write(open_folder / "sub" / "a.jpg")
    with as_a_stranger(), Tree(os.fsencode(open_folder), RULES) as tree:
        assert [list(seen.files) for seen in tree.scan()] == [[], [b"a.jpg"]]


def test_s6_a_pass_changes_nothing_below_the_root(photos: Path, snapshot: Snapshot) -> None:
    for rel in ("a.jpg", "sub/b.jpg", "sub/notes.txt", ".snapshots/c.jpg"):
        write(photos / rel)
    places = [photos, *photos.rglob("*")]
    for place in places:  # older than its mtime: the kernel would move it at the next plain read (relatime)
        os.utime(place, (1, 1_000_000_000))
    before = [(p, p.stat()) for p in places]
    one_pass(photos, snapshot)
    for place, stat in before:
        after = place.stat()
        assert (after.st_atime_ns, after.st_mtime_ns, after.st_ctime_ns) == (
            stat.st_atime_ns,
            stat.st_mtime_ns,
            stat.st_ctime_ns,
        ), place


def test_s22_a_folder_that_is_somebodys_target_is_closed(photos: Path, snapshot: Snapshot) -> None:
    write(photos / "a.jpg")
    write(photos / "moved here" / "b.jpg")
    write(photos / "moved here" / "photos" / "c.jpg")
    write(photos / "moved here" / ".photosift" / "target.json")
    one_pass(photos, snapshot)
    assert [m.file.path for m in told(snapshot)] == ["a.jpg"]
    assert set(rules(snapshot).values()) == {"private"}


def test_s22_folders_left_out_are_named_once_and_not_entered(photos: Path, snapshot: Snapshot) -> None:
    for rel in (".snapshots/1/a.jpg", "@eaDir/b.jpg", "2019/#recycle/c.jpg", ".photosift/quarantine/d/photo.jpg"):
        write(photos / rel)
    one_pass(photos, snapshot)
    assert told(snapshot) == []
    assert rules(snapshot) == {
        b".snapshots": "snapshot",
        b"@eaDir": "litter",
        b"2019/#recycle": "trash",
        b".photosift": "private",
    }


def test_s15_a_young_file_waits_and_a_young_name_does_not(photos: Path, snapshot: Snapshot) -> None:
    write(photos / "a.jpg")
    assert one_pass(photos, snapshot, settle=60).young.keys() == {b"a.jpg"}
    assert told(snapshot) == []
    one_pass(photos, snapshot)
    (photos / "a.jpg").rename(photos / "b.jpg")
    assert not one_pass(photos, snapshot, settle=60).young
    assert [type(m) for m in told(snapshot)] == [FileSettled, FileMoved, FileGone]


def test_a_folder_that_folds_case_has_one_file_for_both_spellings(tmp_path: Path, snapshot: Snapshot) -> None:
    with mounted("exfat", tmp_path) as place:
        write(place.folder / "IMG.jpg")
        with Tree(os.fsencode(place.folder), RULES) as tree:
            assert tree.look(b"IMG.jpg") is not None
            assert (place.folder / "img.JPG").exists()
            assert tree.look(b"img.JPG") is None  # S4: found by a lookup, and not listed


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "exfat", "ntfs", "mergerfs", "bindfs"])
async def test_s8_a_second_look_at_any_file_system_finds_nothing_new(tmp_path: Path, kind: str) -> None:
    with mounted(kind, tmp_path / "disk") as place:
        for n in range(20):
            write(place.folder / "sub" / f"{n}.jpg", b"%d" % n)
        async with seeing(tmp_path, [place.folder]) as s:
            assert (await s.scan())[place.folder.name].published == 20
            again = (await s.scan())[place.folder.name]
            assert (again.published, again.gone, again.unknown) == (0, 0, None)
            (place.folder / "sub" / "0.jpg").unlink()
            assert (await s.scan())[place.folder.name].gone == 1


@pytest.fixture(autouse=True)
def _mounting_folder(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()


def test_five_thousand_files_are_looked_through_quickly(photos: Path, snapshot: Snapshot) -> None:
    for folder in range(10):
        (photos / str(folder)).mkdir()
        for n in range(500):
            (photos / str(folder) / f"{n}.jpg").touch()
    began = time.process_time()
    assert one_pass(photos, snapshot).tally.published == 5000
    first = time.process_time() - began
    assert one_pass(photos, snapshot).tally.published == 0
    assert first < 5
    assert time.process_time() - began - first < 2.5


def test_the_folders_to_watch_are_those_that_a_pass_enters(photos: Path) -> None:
    for rel in ("a/b/c.jpg", ".snapshots/d.jpg", "e/@eaDir/f.jpg"):
        write(photos / rel)
    (photos / "link").symlink_to(photos)
    with Tree(os.fsencode(photos), RULES) as tree:
        assert {rel for rel, _ in folders_of(tree)} == {b"", b"a", b"a/b", b"e"}


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "exfat", "ntfs"])
async def test_s14_a_disk_mounted_again_is_the_same_root_with_the_same_files(tmp_path: Path, kind: str) -> None:
    """Device numbers are others then, on exFAT the inode numbers too; on none of them is anything read again."""
    at = tmp_path / "photos"
    at.mkdir()
    made = _image_or_skip(kind, tmp_path)
    async with seeing(tmp_path, [at]) as s:
        for turn in range(3):
            with contextlib.ExitStack() as stack:
                mount_image(stack, kind, made, at)
                if turn == 0:
                    for n in range(20):
                        write(at / "sub" / f"{n}.jpg", b"%d" % n)
                finished = (await s.scan())["photos"]
            assert finished.unknown is None
            assert (finished.published, finished.gone) == ((20, 0) if turn == 0 else (0, 0))
            assert (await s.scan())["photos"].unknown
        assert not s.heard.of(FileGone)


def _image_or_skip(kind: str, folder: Path) -> Path:
    tool = {"ntfs": "mkntfs"}.get(kind, f"mkfs.{kind}")
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (.ci/packages.txt)")
    return image(kind, folder / "image")

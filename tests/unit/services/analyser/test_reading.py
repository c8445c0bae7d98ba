from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.analyser import reading
from services.analyser.reading import CannotRead, read_below
from shared.messages.base import FileStat

LONGEST = 1 << 20


def read(folder: Path, rel: bytes, expected: FileStat | None = None, longest: int = LONGEST) -> bytes:
    return read_below(bytes(folder), rel, expected=expected, longest=longest).data


def refusal(folder: Path, rel: bytes, expected: FileStat | None = None, longest: int = LONGEST) -> str:
    with pytest.raises(CannotRead) as raised:
        read(folder, rel, expected, longest)
    return raised.value.reason


def test_a_file_is_read_whole_with_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.jpg").write_bytes(b"x" * 100_001)
    found = read_below(bytes(tmp_path), b"a/b.jpg", expected=None, longest=LONGEST)
    stat = (tmp_path / "a" / "b.jpg").stat()
    assert found.data == b"x" * 100_001
    assert (found.stat.size, found.stat.mtime_ns, found.stat.ino) == (100_001, stat.st_mtime_ns, stat.st_ino)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert refusal(tmp_path, b"a.jpg") == "empty"


@pytest.mark.parametrize("rel", [b"gone.jpg", b"no/folder/gone.jpg", b"file/inside"])
def test_a_file_that_is_not_there_has_vanished(tmp_path: Path, rel: bytes) -> None:
    (tmp_path / "file").write_bytes(b"x")
    assert refusal(tmp_path, rel) == "vanished"


def test_s14_a_root_that_is_not_mounted_says_nothing_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "mountpoint").mkdir()
    for root in ("unmounted", "mountpoint"):
        assert refusal(tmp_path / root, b"a.jpg") == "root-away"
        assert refusal(tmp_path / root, b"folder/a.jpg") == "root-away"


@pytest.mark.parametrize("rel", [b"link.jpg", b"linked/photo.jpg"])
def test_s9_no_symbolic_link_is_followed_wherever_it_stands(tmp_path: Path, rel: bytes) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "photo.jpg").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to("real/photo.jpg")
    (tmp_path / "linked").symlink_to("real")
    assert refusal(tmp_path, rel) in ("not-a-picture", "vanished")


def test_a_fifo_in_a_files_place_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert refusal(tmp_path, b"a.jpg") == "not-a-picture"


def test_a_folder_in_a_files_place_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    assert refusal(tmp_path, b"a.jpg") == "not-a-picture"


def test_a_file_larger_than_is_read_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.tif").open("wb") as sparse:
        sparse.truncate(1 << 40)
    assert refusal(tmp_path, b"a.tif") == "too-large"


def deep(folder: Path, length: int) -> bytes:
    """A file so deep that its path below ``folder`` has ``length`` bytes: no system call takes it whole."""
    part, rel = b"d" * 199, b""
    held = os.open(folder, os.O_RDONLY)
    while len(rel) + 200 < length - 10:
        os.mkdir(part, dir_fd=held)
        held, left = os.open(part, os.O_RDONLY, dir_fd=held), held
        os.close(left)
        rel += part + b"/"
    name = b"p" * (length - len(rel) - 4) + b".jpg"
    written = os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=held)
    os.write(written, b"deep")
    os.close(written)
    os.close(held)
    return rel + name


def test_a_path_of_more_than_4000_characters_is_read(tmp_path: Path) -> None:
    rel = deep(tmp_path, 4_800)
    assert len(rel) > 4_096
    with pytest.raises(OSError, match="too long") as raised:
        os.stat(os.path.join(bytes(tmp_path), rel))
    assert raised.value.errno == errno.ENAMETOOLONG
    assert read(tmp_path, rel) == b"deep"


@pytest.mark.parametrize("name", [b"\xc9t\xe9.jpg", b"new\nline.jpg", b"\x1b[2J.jpg", b" .jpg", "🌞.jpg".encode()])
def test_names_are_bytes_whatever_they_spell(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    assert read(tmp_path, name) == b"x"


def stat_of(path: Path) -> FileStat:
    s = path.stat()
    return FileStat(size=s.st_size, mtime_ns=s.st_mtime_ns, ctime_ns=s.st_ctime_ns, dev=s.st_dev, ino=s.st_ino)


def test_a_file_that_changed_since_it_settled_is_not_read(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"one")
    settled = stat_of(photo)
    assert read(tmp_path, b"a.jpg", settled) == b"one"
    photo.write_bytes(b"three")
    assert refusal(tmp_path, b"a.jpg", settled) == "changed-while-read"


@pytest.mark.parametrize("change", ["grows", "shrinks", "is touched", "is edited in place with its time restored"])
def test_a_file_that_changes_while_it_is_read_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"x" * 5_000)
    before = photo.stat()
    really_read = reading._read_all

    def read_and_change(descriptor: int, size: int) -> bytes:
        data = really_read(descriptor, size)
        if change == "grows":
            photo.write_bytes(b"x" * 6_000)
        elif change == "shrinks":
            os.truncate(photo, 10)
        elif change == "is touched":
            os.utime(photo, ns=(1, 1))
        else:
            photo.write_bytes(b"y" * 5_000)
            os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
        return data

    monkeypatch.setattr(reading, "_read_all", read_and_change)
    assert refusal(tmp_path, b"a.jpg") == "changed-while-read"


def test_s6_reading_leaves_the_access_time_of_our_own_files(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"x")
    old = 1_000_000_000 * 10**9
    os.utime(photo, ns=(old, old))
    read(tmp_path, b"a.jpg")
    assert photo.stat().st_atime_ns == old
    photo.read_bytes()
    if photo.stat().st_atime_ns == old:
        pytest.skip("this file system keeps no access times: nothing was shown")


def test_a_file_with_a_hole_is_known_by_its_file_system(tmp_path: Path) -> None:
    hollow, whole = tmp_path / "a.bmp", tmp_path / "b.bmp"
    with hollow.open("wb") as file:
        file.write(b"x" * 65_536)
        file.truncate(1 << 19)
    whole.write_bytes(b"x" * (1 << 19))
    if not read_below(bytes(tmp_path), b"a.bmp", expected=None, longest=LONGEST).has_hole:
        pytest.skip("this file system tells of no holes")
    assert not read_below(bytes(tmp_path), b"b.bmp", expected=None, longest=LONGEST).has_hole


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_may_not_be_read_is_said_to_be_so(tmp_path: Path, what: str) -> None:
    """Root may read everything, so another user looks."""
    photo = tmp_path / "sub" / "a.jpg"
    photo.parent.mkdir()
    photo.write_bytes(b"x")
    (photo if what == "file" else photo.parent).chmod(0o000)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    ask = (
        "import os, sys\nfrom services.analyser.reading import *\n"
        "if os.getuid() == 0: os.setgroups([]), os.setgid(65534), os.setuid(65534)\n"
        "try: read_below(sys.argv[1].encode(), b'sub/a.jpg', expected=None, longest=9)\n"
        "except CannotRead as error: print(error.reason)"
    )
    asked = subprocess.run(
        [sys.executable, "-c", ask, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    photo.parent.chmod(0o755)
    assert asked.stdout.strip() == "no-permission", asked.stderr

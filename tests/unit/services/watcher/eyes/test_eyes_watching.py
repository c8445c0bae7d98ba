"""Changes on a real file system, seen while they happen. (S14, S15, S16)"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.watcher.eyes.birth import facts_at
from services.watcher.eyes.service import Eyes
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.eyes.telling import Change
from shared.messages.files import FileEvent, FileGone, FileMoved, FileSettled, PassFinished
from shared.paths import PhotoPath
from tests.support.filesystems import mounted, unmount
from tests.support.seeing import SETTLE, Heard, Seeing, seeing, write


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


async def quiet(seconds: float = 4 * SETTLE) -> None:
    """Time in which something wrong would have been said: there is no event for what must not happen."""
    await asyncio.sleep(seconds)


async def test_s15_a_file_copied_slowly_is_told_of_once_when_it_is_whole(tmp_path: Path, photos: Path) -> None:
    async with seeing(tmp_path, [photos]) as s, s.watching():
        with (photos / "slow.jpg").open("wb", buffering=0) as file:
            for _ in range(4):
                file.write(b"x" * 1000)
                await asyncio.sleep(SETTLE * 1.5)  # longer than the settle time: the open writer tells
        await s.heard.until_told("settled slow.jpg")
        assert [m.stat.size for m in s.heard.of(FileSettled)] == [4000]


async def test_s15_a_file_that_grows_between_pauses_waits_for_the_last_of_them(tmp_path: Path, photos: Path) -> None:
    async with seeing(tmp_path, [photos]) as s, s.watching():
        for _ in range(4):  # opened and closed each time, like a copy over a share
            with (photos / "slow.jpg").open("ab") as file:
                file.write(b"x" * 1000)
            await asyncio.sleep(SETTLE / 4)
        await s.heard.until_told("settled slow.jpg")
        assert [m.stat.size for m in s.heard.of(FileSettled)] == [4000]


async def test_s16_a_file_renamed_into_place_is_seen_by_its_last_name(tmp_path: Path, photos: Path) -> None:
    async with seeing(tmp_path, [photos]) as s, s.watching():
        for temporary, name in ((".syncthing.a.jpg.tmp", "a.jpg"), (".b.jpg.Xy12Za", "b.jpg"), ("c.jpg.part", "c.jpg")):
            write(photos / temporary).rename(photos / name)
        outside = write(tmp_path / "outside.jpg")
        outside.rename(photos / "d.jpg")
        await s.heard.until_told("settled a.jpg", "settled b.jpg", "settled c.jpg", "settled d.jpg")
        assert len(s.heard.events) == 4


async def test_s16_a_rename_keeps_the_analysis(tmp_path: Path, photos: Path) -> None:
    write(photos / "a.jpg")
    async with seeing(tmp_path, [photos]) as s, s.watching():
        (photos / "a.jpg").rename(photos / "b.jpg")
        await s.heard.until_told("gone a.jpg renamed")
        assert s.heard.events == ["settled a.jpg", "moved a.jpg > b.jpg", "gone a.jpg renamed"]
        versions = [m.version for m in s.heard.of(FileMoved)] + [m.version for m in s.heard.of(FileGone)]
        assert versions == sorted(versions)


async def test_s4_a_rename_of_case_alone_is_a_rename(tmp_path: Path, photos: Path) -> None:
    write(photos / "IMG.JPG")
    async with seeing(tmp_path, [photos]) as s, s.watching():
        (photos / "IMG.JPG").rename(photos / "img.jpg")
        await s.heard.until_told("moved IMG.JPG > img.jpg", "gone IMG.JPG renamed")


async def test_s16_a_folder_moved_within_the_root_keeps_every_analysis(tmp_path: Path, photos: Path) -> None:
    for n in range(80):  # more than may vanish without a person
        write(photos / "2019" / "trip" / f"{n}.jpg", b"%d" % n)
    async with seeing(tmp_path, [photos]) as s, s.watching():
        (photos / "2019").rename(photos / "2019 holidays")
        await s.heard.until(lambda h: len(h.of(FileMoved)) == 80 and len(h.of(FileGone)) == 80)
        assert {m.reason for m in s.heard.of(FileGone)} == {"renamed"}


async def test_a_folder_moved_in_is_seen_and_watched(tmp_path: Path, photos: Path) -> None:
    for n in range(3):
        write(tmp_path / "card" / "DCIM" / f"{n}.jpg")
    async with seeing(tmp_path, [photos]) as s, s.watching():
        (tmp_path / "card").rename(photos / "card")
        await s.heard.until_told(*(f"settled card/DCIM/{n}.jpg" for n in range(3)))
        write(photos / "card" / "DCIM" / "later.jpg")
        await s.heard.until_told("settled card/DCIM/later.jpg")


async def test_a_folder_moved_out_is_gone_and_watched_no_more(tmp_path: Path, photos: Path) -> None:
    for n in range(3):
        write(photos / "trip" / f"{n}.jpg")
    write(photos / "stays.jpg")
    async with seeing(tmp_path, [photos]) as s, s.watching():
        (photos / "trip").rename(tmp_path / "elsewhere")
        await s.heard.until_told(*(f"gone trip/{n}.jpg deleted" for n in range(3)))
        write(tmp_path / "elsewhere" / "new.jpg")
        write(photos / "new.jpg")
        await s.heard.until_told("settled new.jpg")
        assert not [e for e in s.heard.events if "trip/new" in e or "elsewhere" in e]


async def test_deep_folders_made_at_once_are_all_watched(tmp_path: Path, photos: Path) -> None:
    async with seeing(tmp_path, [photos]) as s, s.watching():
        write(photos / "a/b/c/d/first.jpg")
        await s.heard.until_told("settled a/b/c/d/first.jpg")
        write(photos / "a/b/c/d/second.jpg")
        write(photos / "a/b/third.jpg")
        await s.heard.until_told("settled a/b/c/d/second.jpg", "settled a/b/third.jpg")


async def test_deleted_files_are_gone(tmp_path: Path, photos: Path) -> None:
    for name in ("a.jpg", "b.jpg", "sub/c.jpg", "sub/d.jpg"):
        write(photos / name)
    async with seeing(tmp_path, [photos]) as s, s.watching() as eyes:
        (photos / "a.jpg").unlink()
        shutil.rmtree(photos / "sub")
        await s.heard.until_told("gone a.jpg deleted", "gone sub/c.jpg deleted", "gone sub/d.jpg deleted")
        assert eyes.file_count("photos") == 1


async def test_the_metric_of_known_files_is_true_between_passes_and_goes_with_the_watch(
    tmp_path: Path, photos: Path
) -> None:
    async with seeing(tmp_path, [photos]) as s:
        async with s.watching():
            write(photos / "a.jpg")
            await s.heard.until_told("settled a.jpg")
            assert files_metric("photos") == 1
            (photos / "a.jpg").unlink()
            await s.heard.until_told("gone a.jpg deleted")
            assert files_metric("photos") == 0
        assert files_metric("photos") is None


def files_metric(root: str) -> float | None:
    return REGISTRY.get_sample_value("photosift_watcher_files", {"root": root})


async def test_s8_an_edit_that_puts_the_time_back_is_told_of(tmp_path: Path, photos: Path) -> None:
    path = write(photos / "a.jpg", b"before")
    async with seeing(tmp_path, [photos]) as s, s.watching():
        before = path.stat()
        with path.open("r+b") as file:
            file.write(b"after!")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        await s.heard.until(lambda h: len(h.of(FileSettled)) == 2)


async def test_a_file_replaced_by_another_is_told_of(tmp_path: Path, photos: Path) -> None:
    write(photos / "a.jpg", b"before")
    async with seeing(tmp_path, [photos]) as s, s.watching():
        write(photos / "a.jpg.tmp", b"after!").rename(photos / "a.jpg")
        await s.heard.until(lambda h: len(h.of(FileSettled)) == 2)
        first, second = s.heard.of(FileSettled)
        assert first.version < second.version
        assert first.stat.ino != second.stat.ino


async def test_s15_a_time_in_the_future_delays_a_file_and_does_not_lose_it(tmp_path: Path, photos: Path) -> None:
    async with seeing(tmp_path, [photos]) as s, s.watching():
        write(photos / "future.jpg", age=-10 * 365 * 86400)
        write(photos / "past.jpg", age=30 * 365 * 86400)
        await s.heard.until_told("settled future.jpg", "settled past.jpg")


async def test_s22_a_watched_target_inside_the_root_is_never_looked_at(tmp_path: Path, photos: Path) -> None:
    (photos / "dup").mkdir()
    async with seeing(tmp_path, [photos], target=photos / "dup") as s, s.watching():
        write(photos / "dup" / "photos" / "a.jpg")
        write(photos / ".photosift" / "quarantine" / "x" / "b.jpg")
        write(photos / "c.jpg")
        await s.heard.until_told("settled c.jpg")
        await quiet()
        assert s.heard.events == ["settled c.jpg"]


async def test_s14_a_root_moved_away_while_it_is_watched_makes_nothing_gone(tmp_path: Path, photos: Path) -> None:
    for n in range(5):
        write(photos / f"{n}.jpg")
    async with seeing(tmp_path, [photos]) as s, s.watching() as eyes:
        photos.rename(tmp_path / "moved away")
        await s.heard.until(lambda h: any(p.unknown for p in h.of(PassFinished)))
        assert eyes.doubt("photos")
        assert eyes.file_count("photos") == 5
        (tmp_path / "moved away").rename(photos)
        write(photos / "new.jpg")
        await s.heard.until_told("settled new.jpg")
        assert not s.heard.of(FileGone)
        assert eyes.doubt("photos") is None


async def test_s14_an_empty_folder_in_the_place_of_the_root_makes_nothing_gone(tmp_path: Path, photos: Path) -> None:
    for n in range(5):
        write(photos / f"{n}.jpg")
    async with seeing(tmp_path, [photos]) as s, s.watching() as eyes:
        photos.rename(tmp_path / "moved away")
        photos.mkdir()
        await s.heard.until(lambda h: any(p.unknown for p in h.of(PassFinished)))
        await quiet()
        assert not s.heard.of(FileGone)
        assert eyes.file_count("photos") == 5


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
async def test_s14_a_root_unmounted_while_it_is_watched_makes_nothing_gone(tmp_path: Path, kind: str) -> None:
    with mounted(kind, tmp_path / "disk") as place:
        photos = place.folder
        for n in range(5):
            write(photos / f"{n}.jpg")
        async with seeing(tmp_path, [photos]) as s, s.watching() as eyes:
            assert len(s.heard.of(FileSettled)) == 5
            with unmounted(photos):
                await s.heard.until(lambda h: any(p.unknown for p in h.of(PassFinished)))
                await quiet()
                assert not s.heard.of(FileGone)
                assert eyes.doubt(photos.name)
                assert eyes.file_count(photos.name) == 5


@contextlib.contextmanager
def unmounted(folder: Path) -> Iterator[None]:
    unmount(folder)
    try:
        yield
    finally:  # whoever mounted it unmounts something at the end
        subprocess.run(["mount", "-t", "tmpfs", "photosift-test", folder], check=True)


async def test_s14_a_mount_inside_the_root_that_goes_makes_nothing_gone(tmp_path: Path, photos: Path) -> None:
    (photos / "disk").mkdir()
    write(photos / "stays.jpg")
    with mounted("tmpfs", photos / "disk") as place:
        inside = place.folder
        for n in range(5):
            write(inside / f"{n}.jpg")
        async with seeing(tmp_path, [photos]) as s, s.watching() as eyes:
            assert len(s.heard.of(FileSettled)) == 6
            with unmounted(inside):
                await s.heard.until_passes(2)
                (photos / "stays.jpg").unlink()
                await s.heard.until_told("gone stays.jpg deleted")
                assert len(s.heard.of(FileGone)) == 1
                assert [skip.rule for skip in eyes.skipped() if skip.rule == "mount-changed"]
                assert eyes.file_count("photos") == 5


async def test_s14_many_files_vanishing_at_once_wait_for_a_second_look_and_a_person(
    tmp_path: Path, photos: Path
) -> None:
    for n in range(60):
        write(photos / "a" / f"{n}.jpg", b"%d" % n)
    for n in range(3):
        write(photos / "b" / f"{n}.jpg")
    async with seeing(tmp_path, [photos], disappearance_floor=20) as s, s.watching() as eyes:
        shutil.rmtree(photos / "a")
        await until_doubtful(eyes)
        assert not s.heard.of(FileGone)
        said = await eyes.confirm_disappearances(None)
        assert "60" in said
        assert len(s.heard.of(FileGone)) == 60 or await _all_gone(s.heard, 60)
        assert eyes.doubt("photos") is None
        (photos / "b" / "0.jpg").unlink()  # what was confirmed does not count against what comes after
        await s.heard.until_told("gone b/0.jpg deleted")


async def _all_gone(heard: Heard, count: int) -> bool:
    await heard.until(lambda h: len(h.of(FileGone)) == count)
    return True


async def until_doubtful(eyes: Eyes) -> None:
    deadline = time.monotonic() + 15
    while eyes.doubt("photos") is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_s14_held_files_that_come_back_were_never_gone(tmp_path: Path, photos: Path) -> None:
    for n in range(60):
        write(photos / "a" / f"{n}.jpg", b"%d" % n)
    write(photos / "b.jpg")
    async with seeing(tmp_path, [photos], disappearance_floor=20) as s:
        await s.scan()
        (photos / "a").rename(tmp_path / "a")
        await s.scan()
        (tmp_path / "a").rename(photos / "a")
        await s.scan()
        assert not s.heard.of(FileGone)
        async with s.opened() as eyes:
            assert eyes.doubt("photos") is None


async def test_what_the_hands_take_and_restore_is_told_of_by_them(tmp_path: Path, photos: Path) -> None:
    path = write(photos / "a.jpg")
    photo = PhotoPath("photos", b"a.jpg")
    async with seeing(tmp_path, [photos]) as s, s.watching() as eyes:
        path.rename(tmp_path / "quarantined.jpg")
        await eyes.hearsay.taken(photo)
        await s.heard.until_told("gone a.jpg taken")
        (tmp_path / "quarantined.jpg").rename(path)
        await eyes.hearsay.restored(photo)
        await s.heard.until(lambda h: h.events[-1:] == ["settled a.jpg"])
        await quiet()
        assert s.heard.events == ["settled a.jpg", "gone a.jpg taken", "settled a.jpg"]


async def test_polling_sees_what_inotify_would(tmp_path: Path, photos: Path) -> None:
    write(photos / "a.jpg")
    async with seeing(tmp_path, [photos], observer="polling") as s, s.watching():
        write(photos / "sub" / "b.jpg")
        (photos / "a.jpg").rename(photos / "c.jpg")
        await s.heard.until_told("settled sub/b.jpg", "moved a.jpg > c.jpg", "gone a.jpg renamed")


async def test_s18_what_was_not_acknowledged_is_published_again(tmp_path: Path, photos: Path) -> None:
    write(photos / "a.jpg")
    async with seeing(tmp_path, [photos]) as s:
        await _write_without_publishing(s)
        assert s.heard.events == []
        async with s.watching():
            await s.heard.until_told("settled a.jpg")
        assert s.heard.events == ["settled a.jpg"]


async def _write_without_publishing(s: Seeing) -> None:
    """As if the process had been killed between the transaction and the bus."""
    snapshot = Snapshot(s.state / "snapshot.sqlite", now=time.time)
    with os_folder(s.settings.roots[0].path) as folder:
        facts = facts_at(folder, b"a.jpg")
    snapshot.write([Change("settled", PhotoPath("photos", b"a.jpg"), facts)])
    snapshot.close()


@contextlib.contextmanager
def os_folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def test_versions_of_one_file_only_grow(tmp_path: Path, photos: Path) -> None:
    path = photos / "a.jpg"
    async with seeing(tmp_path, [photos]) as s, s.watching():
        for turn in range(3):
            write(path, b"turn %d" % turn)
            await s.heard.until(lambda h, n=turn: len(h.of(FileSettled)) == n + 1)
            path.unlink()
            await s.heard.until(lambda h, n=turn: len(h.of(FileGone)) == n + 1)
        versions = [m.version for m in s.heard.of(FileEvent)]
        assert versions == sorted(set(versions))

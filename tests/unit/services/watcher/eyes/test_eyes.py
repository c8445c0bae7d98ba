"""The eyes on a real folder and a real bus."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from services.watcher.eyes.outbox import LONGEST_BACKLOG
from services.watcher.eyes.service import NoSuchRoot
from shared.messages.files import FileEvent, FileGone, FileMoved, FileSettled, PassFinished
from shared.paths import PhotoPath
from tests.support.filesystems import mounted
from tests.support.seeing import Seeing, seeing, write


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


async def test_a_pass_tells_of_every_file_once_and_of_its_own_end(tmp_path: Path, photos: Path) -> None:
    for name in ("a.jpg", "sub/b.jpg", "sub/notes.txt"):
        write(photos / name)
    async with seeing(tmp_path, [photos]) as s:
        finished = (await s.scan())["photos"]
        assert sorted(s.heard.events) == ["settled a.jpg", "settled sub/b.jpg"]
        assert (finished.files, finished.published, finished.skipped, finished.unknown) == (2, 2, 1, None)
        assert (await s.scan())["photos"].published == 0


async def test_s16_a_restart_publishes_only_what_changed(tmp_path: Path, photos: Path) -> None:
    for name in ("same.jpg", "edited.jpg", "deleted.jpg", "old-name.jpg"):
        write(photos / name, name.encode())
    async with seeing(tmp_path, [photos]) as s:
        await s.scan()
        s.heard.messages.clear()
        write(photos / "edited.jpg", b"other bytes")
        (photos / "deleted.jpg").unlink()
        (photos / "old-name.jpg").rename(photos / "new-name.jpg")
        write(photos / "new.jpg")
        await s.scan()
        assert sorted(s.heard.events) == [
            "gone deleted.jpg deleted",
            "gone old-name.jpg renamed",
            "moved old-name.jpg > new-name.jpg",
            "settled edited.jpg",
            "settled new.jpg",
        ]


async def test_the_end_of_a_pass_is_published_after_its_files(tmp_path: Path, photos: Path) -> None:
    for n in range(30):
        write(photos / f"{n}.jpg")
    async with seeing(tmp_path, [photos]) as s:
        await s.scan()
        assert isinstance(s.heard.messages[-1], PassFinished)
        assert len(s.heard.of(FileSettled)) == 30


async def test_s15_a_scan_waits_for_young_files_and_says_how_long(tmp_path: Path, photos: Path) -> None:
    async with seeing(tmp_path, [photos], settle=2.0) as s:
        write(photos / "young.jpg")
        finished = (await s.scan())["photos"]
        assert finished.published == 1
        assert 0 < finished.waited < 10
        assert (await s.scan())["photos"].waited == 0


async def test_s15_an_old_file_is_not_waited_for(tmp_path: Path, photos: Path) -> None:
    write(photos / "old.jpg")
    await asyncio.sleep(0.5)  # its ctime cannot be set back
    async with seeing(tmp_path, [photos], settle=0.4) as s:
        finished = (await s.scan())["photos"]
        assert (finished.published, finished.waited) == (1, 0)


async def test_s15_a_time_in_the_future_does_not_stall_a_scan(tmp_path: Path, photos: Path) -> None:
    write(photos / "future.jpg", age=-1e9)
    async with seeing(tmp_path, [photos]) as s:
        assert (await s.scan())["photos"].published == 1


async def test_s15_a_file_written_to_all_the_time_is_left_out_by_name(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.watcher.eyes.rootpass._PATIENCE_SECONDS", 4.0)
    monkeypatch.setattr("services.watcher.eyes.rootpass._PATIENCE", 1)
    async with seeing(tmp_path, [photos], settle=1.0) as s, s.opened() as eyes:
        write(photos / "whole.jpg")
        with (photos / "endless.jpg").open("wb", buffering=0) as writer:
            writer.write(b"x")
            finished = (await eyes.full_pass())["photos"]
        assert (finished.files, finished.published, finished.skipped) == (1, 1, 1)
        assert [(skip.rel, skip.rule) for skip in eyes.skipped()] == [(b"endless.jpg", "still-being-written")]


# --- S14 ------------------------------------------------------------------------------------------------------------


async def test_s14_a_missing_root_is_unknown_and_nothing_of_it_gone(tmp_path: Path, photos: Path) -> None:
    write(photos / "a.jpg")
    other = tmp_path / "other"
    write(other / "b.jpg")
    async with seeing(tmp_path, [photos, other]) as s:
        await s.scan()
        photos.rename(tmp_path / "away")
        passes = await s.scan()
        assert passes["photos"].unknown
        assert passes["other"].unknown is None
        photos.mkdir()
        assert (await s.scan())["photos"].unknown
        photos.rmdir()
        (tmp_path / "away").rename(photos)
        assert (await s.scan())["photos"].unknown is None
        assert not s.heard.of(FileGone)


async def test_s14_a_person_adopts_another_folder_in_the_place_of_the_root(tmp_path: Path, photos: Path) -> None:
    for n in range(3):
        write(photos / f"{n}.jpg", b"%d" % n)
    async with seeing(tmp_path, [photos]) as s:
        await s.scan()
        photos.rename(tmp_path / "away")
        write(photos / "new.jpg")
        assert (await s.scan())["photos"].unknown
        async with s.opened() as eyes:
            await eyes.adopt("photos")
            with pytest.raises(NoSuchRoot):
                await eyes.adopt("nothing of that name")
        assert (await s.scan())["photos"].unknown is None
        assert sorted(s.heard.events[3:]) == [
            "gone 0.jpg deleted",
            "gone 1.jpg deleted",
            "gone 2.jpg deleted",
            "settled new.jpg",
        ]


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "tmpfs"])
async def test_s14_an_unmounted_disk_is_unknown_until_it_is_back(tmp_path: Path, kind: str) -> None:
    (tmp_path / "disk").mkdir()
    at = tmp_path / "disk" / "mounted"
    async with seeing(tmp_path, [at]) as s:
        with mounted(kind, tmp_path / "disk"):
            for n in range(3):
                write(at / f"{n}.jpg")
            assert (await s.scan())["mounted"].published == 3
        assert (await s.scan())["mounted"].unknown
        with mounted("tmpfs", tmp_path / "disk"):
            write(at / "0.jpg", b"stranger")
            assert (await s.scan())["mounted"].unknown
        assert len(s.heard.of(FileEvent)) == 3


async def test_s14_many_missing_files_wait_for_a_person_through_restarts(tmp_path: Path, photos: Path) -> None:
    for n in range(40):
        write(photos / "a" / f"{n}.jpg", b"%d" % n)
    write(photos / "b.jpg")
    async with seeing(tmp_path, [photos], disappearance_floor=10) as s:
        await s.scan()
        (photos / "a").rename(tmp_path / "a")
        for _ in range(3):
            assert (await s.scan())["photos"].gone == 0
        async with s.opened() as eyes:
            assert "40 of 41" in str(eyes.doubt("photos"))
            assert "40 of 41" in str(eyes.complaint())
            await eyes.confirm_disappearances("photos")
            assert "no disappearances" in await eyes.confirm_disappearances("photos") or eyes.doubt("photos")
        assert (await s.scan())["photos"].gone == 40
        async with s.opened() as eyes:
            assert eyes.doubt("photos") is None


# --- S4 -------------------------------------------------------------------------------------------------------------


async def test_s4_one_folder_configured_twice_is_looked_at_once(tmp_path: Path, photos: Path) -> None:
    write(photos / "a.jpg")
    (tmp_path / "again").symlink_to(photos)
    async with seeing(tmp_path, [photos, tmp_path / "again"]) as s:
        passes = await s.scan()
        assert passes.keys() == {"photos"}
        assert s.heard.events == ["settled a.jpg"]
        async with s.opened() as eyes:
            await eyes.full_pass()
            assert [(skip.root, skip.rule) for skip in eyes.skipped()] == [("again", "same-file-as")]
            assert "same folder" in str(eyes.doubt("photos"))


async def test_s4_a_root_inside_another_is_looked_at_once(tmp_path: Path, photos: Path) -> None:
    write(photos / "a.jpg")
    write(photos / "inner" / "b.jpg")
    async with seeing(tmp_path, [photos, photos / "inner"]) as s:
        await s.scan()
        assert {(m.file.root, m.file.path) for m in s.heard.of(FileSettled)} == {
            ("photos", "a.jpg"),
            ("inner", "b.jpg"),
        }
        async with s.watching() as eyes:
            write(photos / "inner" / "c.jpg")
            await s.heard.until_told("settled c.jpg")
            assert eyes.doubt("photos")
            assert eyes.doubt("inner")
        assert [m.file.root for m in s.heard.of(FileSettled) if m.file.path.endswith("c.jpg")] == ["inner"]


async def test_s4_one_file_linked_into_two_roots_is_one_file(tmp_path: Path, photos: Path) -> None:
    write(photos / "a.jpg")
    other = tmp_path / "other"
    other.mkdir()
    os.link(photos / "a.jpg", other / "b.jpg")
    async with seeing(tmp_path, [photos, other]) as s:
        await s.scan()
        assert s.heard.events == ["settled a.jpg"]
        async with s.opened() as eyes:
            assert [(skip.root, skip.rel, skip.rule) for skip in eyes.skipped()] == [
                ("other", b"b.jpg", "same-file-as")
            ]


async def test_s16_a_file_moved_to_another_root_keeps_its_analysis(tmp_path: Path, photos: Path) -> None:
    write(photos / "a.jpg")
    other = tmp_path / "other"
    other.mkdir()
    async with seeing(tmp_path, [photos, other]) as s, s.watching():
        (photos / "a.jpg").rename(other / "a.jpg")
        await s.heard.until(lambda h: bool(h.of(FileGone)))
        (moved,) = s.heard.of(FileMoved)
        assert (moved.moved_from.root, moved.file.root) == ("photos", "other")
        (gone,) = s.heard.of(FileGone)
        assert (gone.file.root, gone.reason) == ("photos", "renamed")


# --- settings -------------------------------------------------------------------------------------------------------


async def test_a_new_exclusion_ends_what_it_leaves_out(tmp_path: Path, photos: Path) -> None:
    for rel in ("a.jpg", "private/b.jpg", "private/deep/c.jpg"):
        write(photos / rel)
    async with seeing(tmp_path, [photos]) as s:
        await s.scan()
        s.change(exclusions=("/private/",))
        await s.scan()
        assert sorted(s.heard.events[3:]) == ["gone private/b.jpg ignored", "gone private/deep/c.jpg ignored"]
        s.change(exclusions=())
        assert (await s.scan())["photos"].published == 2


async def test_folders_inside_are_ended_when_they_are_left_out(tmp_path: Path, photos: Path) -> None:
    for n in range(60):  # more than may vanish: but these did not
        write(photos / "sub" / f"{n}.jpg")
    write(photos / "a.jpg")
    async with seeing(tmp_path, [photos]) as s:
        await s.scan()
        s.change(recursive=False)
        assert (await s.scan())["photos"].gone == 60
        assert {m.reason for m in s.heard.of(FileGone)} == {"ignored"}


async def test_endings_may_be_named(tmp_path: Path, photos: Path) -> None:
    for name in ("a.jpg", "b.PNG", "c.heic"):
        write(photos / name)
    async with seeing(tmp_path, [photos], extensions=(".png",)) as s:
        await s.scan()
        assert s.heard.events == ["settled b.PNG"]


async def test_s24_managed_folders_are_looked_at_and_known_as_such(tmp_path: Path, photos: Path) -> None:
    for rel in ("phone/a.jpg", "own/b.jpg", "own/deep/c.jpg", "d.jpg"):
        write(photos / rel)
    (photos / "phone" / ".stfolder").mkdir()
    async with seeing(tmp_path, [photos], managed_folders=("photos:own",)) as s:
        assert (await s.scan())["photos"].files == 4
        async with s.opened() as eyes:
            assert await _managed(s, "phone/a.jpg", "own/deep/c.jpg", "d.jpg") == [b"phone", b"own", None]
            await eyes.allow("photos", b"phone")
        assert await _managed(s, "phone/a.jpg", "own/b.jpg") == [None, b"own"]


async def _managed(s: Seeing, *files: str) -> list[bytes | None]:
    async with s.opened() as eyes:
        return [eyes.managed_folder(PhotoPath("photos", rel.encode())) for rel in files]


async def test_s24_the_users_list_may_name_folders_by_their_path(tmp_path: Path, photos: Path) -> None:
    async with seeing(tmp_path, [photos], managed_folders=(str(photos / "own"), "/somewhere/else")) as s:
        assert await _managed(s, "own/a.jpg", "b.jpg") == [b"own", None]
    async with seeing(tmp_path, [photos], managed_folders=(str(photos),)) as s:
        assert await _managed(s, "b.jpg") == [b""]


# --- the bus --------------------------------------------------------------------------------------------------------


async def test_a_pass_pauses_while_the_analysers_lag(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LONGEST_BACKLOG > 150
    for n in range(150):
        write(photos / "first" / f"{n}.jpg")
    async with seeing(tmp_path, [photos], settle=0.2) as s:
        await s.scan()
        monkeypatch.setattr("services.watcher.eyes.outbox.LONGEST_BACKLOG", 100)
        monkeypatch.setattr("services.watcher.eyes.passes.STEP_FILES", 50)
        for n in range(150):
            write(photos / f"then {n // 50}" / f"{n}.jpg")
        await asyncio.sleep(0.4)
        await _pass_that_pauses(s)


async def _pass_that_pauses(s: Seeing) -> None:
    async with s.opened() as eyes:
        stop = asyncio.Event()
        passing = asyncio.create_task(eyes.full_pass(stop))
        await asyncio.sleep(1.5)
        assert len(s.heard.of(FileSettled)) == 150  # no analyser has read the first ones: the pass waits
        assert not passing.done()
        stop.set()
        passes = await asyncio.wait_for(passing, 10)
        assert passes["photos"].unknown == "stopped before its end"
        assert len(s.heard.of(PassFinished)) == 1


async def test_s18_a_restored_snapshot_starts_above_the_index(tmp_path: Path, photos: Path) -> None:
    write(photos / "a.jpg")
    async with seeing(tmp_path, [photos]) as s:
        await s.scan()
        highest = s.heard.of(FileSettled)[0].version
        (s.state / "snapshot.sqlite").unlink()
        async with s.opened() as eyes:
            eyes._snapshot.raise_epoch(highest + 5)
        await s.scan()
        await s.heard.until(lambda h: len(h.of(FileSettled)) == 2)
        assert s.heard.of(FileSettled)[1].version > highest + 5

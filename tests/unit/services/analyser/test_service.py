"""The analyser on a real bus, a real index and real worker processes."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from services.analyser.results import Refused, Result
from services.analyser.service import as_its_watcher_sees_it
from services.analyser.workers import WorkerPool
from shared.config import Analysis
from shared.messages.analysis import FileAnalysed, FileForgotten, FileUnreadable
from shared.messages.base import FileStat
from shared.messages.deadletters import DeadLetter
from shared.paths import PhotoPath
from tests.support.analysing import KNOWN_SINCE, ROOT, desk, working
from tests.support.index import FaultyIndex
from tests.support.photos import write_photo
from tests.support.pictures import encoded, grainy, hollowed


async def test_a_settled_photo_is_in_the_index_before_it_is_announced(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        write_photo(d.folder / "a.jpg", 1)
        async with working(d):
            await d.settled("a.jpg", 7)
            said = await d.hear(FileAnalysed)
            assert isinstance(said, FileAnalysed)
            document = await d.document("a.jpg")
            contents = await d.index.contents([said.sha256])
    assert (said.version, said.mode, said.known_since, said.doubt) == (7, "canonical", KNOWN_SINCE, None)
    assert (document.state, document.version, document.sha256) == ("analysed", 7, said.sha256)
    assert contents[said.sha256].facts == said.facts
    assert (said.facts.width, said.facts.height) == (640, 480)


async def test_the_correlation_of_the_file_event_is_carried_on(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        write_photo(d.folder / "a.jpg", 1)
        events = await (await d.server.connect("audit")).following("photosift.fs.>")
        async with working(d):
            await d.settled("a.jpg")
            cause, _ = await anext(events)
            await d.hear(FileAnalysed)
    assert d.heard[-1][0].correlationid == cause.correlationid


async def test_s17_s19_an_unreadable_file_is_said_to_the_resolver_and_in_the_dead_letters(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        (d.folder / "text.jpg").write_text("not a picture at all")
        async with working(d):
            await d.settled("text.jpg", 3)
            letter = await d.hear(DeadLetter)
            document = await d.document("text.jpg")
    (unreadable,) = d.said(FileUnreadable)
    assert isinstance(unreadable, FileUnreadable)
    assert isinstance(letter, DeadLetter)
    assert unreadable.reason == letter.reason == document.reason == "not-a-picture"
    assert unreadable.explanation == letter.explanation == document.explanation
    assert (document.state, document.version) == ("unreadable", 3)
    assert document.sha256 is not None


async def test_s17_one_bad_file_costs_the_others_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        for n in range(12):
            write_photo(d.folder / f"{n}.jpg", n, size=(200, 150))
        (d.folder / "bad.jpg").write_bytes(b"\xff\xd8\xff" + bytes(50))
        async with working(d):
            for name in ["bad.jpg", *(f"{n}.jpg" for n in range(12))]:
                await d.settled(name)
            while len(d.said(FileAnalysed)) < 12 or not d.said(DeadLetter):
                await d.hear(object)  # type: ignore[arg-type]
    assert len(d.said(FileUnreadable)) == 1


async def test_s15_a_doubt_goes_with_the_file(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        (d.folder / "a.bmp").write_bytes(hollowed(encoded("bmp", grainy(size=(400, 300))), 0.2))
        async with working(d):
            await d.settled("a.bmp")
            said = await d.hear(FileAnalysed)
            document = await d.document("a.bmp")
    assert isinstance(said, FileAnalysed)
    assert said.doubt == document.doubt == "zero-tail"


async def test_a_renamed_file_is_neither_read_nor_decoded(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        photo = write_photo(d.folder / "old.jpg", 1)
        async with working(d):
            await d.settled("old.jpg")
            first = await d.hear(FileAnalysed)
            stat = d.stat("old.jpg").model_copy(update={"ctime_ns": 1})
            photo.unlink()  # nothing is there to be read: what is known must do
            await d.moved("old.jpg", "new.jpg", stat=stat)
            second = await d.hear(FileAnalysed)
            document = await d.document("new.jpg")
    assert isinstance(first, FileAnalysed)
    assert isinstance(second, FileAnalysed)
    assert (second.sha256, second.facts, second.stat) == (first.sha256, first.facts, stat)
    assert second.file.path == "new.jpg"
    assert document.state == "analysed"


async def test_a_rename_is_known_even_when_the_old_name_went_first(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        photo = write_photo(d.folder / "old.jpg", 1)
        async with working(d):
            await d.settled("old.jpg", 1)
            await d.hear(FileAnalysed)
            stat = d.stat("old.jpg")
            photo.unlink()
            await d.gone("old.jpg", 2, "renamed")
            await d.hear(FileForgotten)
            await d.moved("old.jpg", "new.jpg", stat=stat)
            said = await d.hear(FileAnalysed)
            tombstone = await d.document("old.jpg")
    assert said.file.path == "new.jpg"
    assert (tombstone.state, tombstone.reason) == ("gone", "renamed")
    assert tombstone.sha256 == said.sha256


async def test_s16_a_rename_that_does_not_agree_with_what_was_known_is_read_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        write_photo(d.folder / "old.jpg", 1)
        async with working(d):
            await d.settled("old.jpg")
            first = await d.hear(FileAnalysed)
            write_photo(d.folder / "new.jpg", 2)  # another inode, as of a file put in the freed one's place
            await d.moved("old.jpg", "new.jpg", stat=d.stat("new.jpg"))
            second = await d.hear(FileAnalysed)
    assert first.sha256 != second.sha256


async def test_an_unchanged_file_under_a_new_version_is_not_read_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        photo = write_photo(d.folder / "a.jpg", 1)
        async with working(d):
            await d.settled("a.jpg", 1)
            await d.hear(FileAnalysed)
            stat = d.stat("a.jpg")
            photo.unlink()
            await d.settled("a.jpg", 1_000_001, stat=stat)
            again = await d.hear(FileAnalysed)
            document = await d.document("a.jpg")
    assert again.version == document.version == 1_000_001


async def test_a_file_edited_in_place_with_its_time_restored_is_read_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        photo = write_photo(d.folder / "a.jpg", 1)
        before, data = photo.stat(), photo.read_bytes()
        async with working(d):
            await d.settled("a.jpg", 1)
            first = await d.hear(FileAnalysed)
            photo.write_bytes(data[:-2] + b"\xff\xd9")
            edited = bytearray(data)
            edited[-3] ^= 1
            photo.write_bytes(bytes(edited))
            os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
            await d.settled("a.jpg", 2)
            second = await d.hear(FileAnalysed)
    assert first.stat.mtime_ns == second.stat.mtime_ns
    assert first.sha256 != second.sha256


async def test_a_file_that_is_gone_leaves_a_tombstone_with_what_it_had(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        write_photo(d.folder / "a.jpg", 1)
        async with working(d):
            await d.settled("a.jpg", 1)
            analysed = await d.hear(FileAnalysed)
            await d.gone("a.jpg", 2)
            forgotten = await d.hear(FileForgotten)
            document = await d.document("a.jpg")
    assert (forgotten.version, forgotten.reason) == (2, "deleted")
    assert (document.state, document.sha256, document.stat) == ("gone", analysed.sha256, analysed.stat)


async def test_s18_what_was_stored_but_not_published_before_a_crash_is_published_after_it(tmp_path: Path) -> None:
    """The crash is between ``put`` and ``publish``: the index has the document, the event comes again."""
    async with desk(tmp_path) as d:
        photo = write_photo(d.folder / "a.jpg", 1)
        async with working(d):
            await d.settled("a.jpg", 1)
            first = await d.hear(FileAnalysed)
        document = await d.document("a.jpg")
        contents = await d.index.contents([document.sha256])
    (tmp_path / "after").mkdir()
    async with desk(tmp_path / "after") as d:
        stat = first.stat
        await d.index.put([document], list(contents.values()))
        photo.unlink()
        async with working(d):
            await d.settled("a.jpg", 1, stat=stat)
            assert await d.hear(FileAnalysed) == first


async def test_s18_a_late_event_of_an_older_version_says_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        write_photo(d.folder / "a.jpg", 1)
        write_photo(d.folder / "b.jpg", 2)
        async with working(d):
            await d.gone("a.jpg", 5)
            await d.hear(FileForgotten)
            await d.settled("a.jpg", 4)
            await d.settled("b.jpg", 1)
            await d.hear(FileAnalysed)
        assert d.watcher is not None
        assert (await d.document("a.jpg")).state == "gone"
    assert [m.file.path for m in d.said(FileAnalysed)] == ["b.jpg"]


async def test_a_file_that_changed_after_it_settled_is_looked_at_again_and_then_given_up(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        photo = write_photo(d.folder / "a.jpg", 1)
        stale = d.stat("a.jpg")
        photo.write_bytes(photo.read_bytes() + b"more")
        async with working(d):
            await d.settled("a.jpg", 1, stat=stale)
            said = await d.hear(FileUnreadable)
    assert said.reason == "changed-while-read"


async def test_a_newer_event_ends_the_looking_again_at_an_older_one(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        photo = write_photo(d.folder / "a.jpg", 1)
        stale = d.stat("a.jpg")
        photo.write_bytes(photo.read_bytes() + b"more")
        async with working(d):
            await d.settled("a.jpg", 1, stat=stale)
            await d.settled("a.jpg", 2)
            said = await d.hear(FileAnalysed)
            assert said.version == 2
            assert (await d.document("a.jpg")).state == "analysed"


async def test_a_name_that_is_not_utf_8_arrives_byte_for_byte(tmp_path: Path) -> None:
    name = b"\xc9t\xe9\n.jpg"
    async with desk(tmp_path) as d:
        write_photo(d.folder / os.fsdecode(name), 1)
        async with working(d):
            await d.settled(name)
            said = await d.hear(FileAnalysed)
    assert said.file.photo == PhotoPath(ROOT, name)


async def test_s17_a_file_whose_worker_was_killed_is_tried_once_more(tmp_path: Path) -> None:
    """The worker is held, so that it is in the middle of the file when it is killed."""
    async with desk(tmp_path, analysis=Analysis(threads=1)) as d:
        assert isinstance(d.workers, WorkerPool)
        write_photo(d.folder / "a.jpg", 1)
        async with working(d):
            os.kill(held := d.workers.pids[0], signal.SIGSTOP)
            await d.settled("a.jpg")
            while d.workers.idle:  # noqa: ASYNC110  until it has been given the file
                await asyncio.sleep(0.01)
            os.kill(held, signal.SIGKILL)
            said = await d.hear(FileAnalysed)
    assert said.version == 1
    assert not d.said(FileUnreadable)


class Deadly:
    """Workers that die of every file called ``deadly``, and tell who else was in hand meanwhile."""

    size = 2

    def __init__(self, pool: WorkerPool) -> None:
        self._pool, self._in_hand = pool, 0
        self.company: list[int] = []

    async def analyse(self, path: PhotoPath, folder: Path, expected: FileStat | None) -> Result:
        self._in_hand += 1
        try:
            if b"deadly" not in path.rel:
                return await self._pool.analyse(path, folder, expected)
            self.company.append(self._in_hand - 1)
            await asyncio.sleep(0.05)
            self.company[-1] = max(self.company[-1], self._in_hand - 1)
            return Refused(reason="worker-died", explanation="decoding it ended the worker (SIGSEGV)")
        finally:
            self._in_hand -= 1


async def test_s17_the_second_try_is_alone_and_the_last(tmp_path: Path) -> None:
    async with WorkerPool(Analysis(threads=2)) as pool:
        deadly = Deadly(pool)
        async with desk(tmp_path, workers=deadly) as d:
            for n in range(30):
                write_photo(d.folder / f"{n}.jpg", n, size=(900, 700))
            (d.folder / "deadly.jpg").write_bytes(b"x")
            async with working(d):
                for name in [*(f"{n}.jpg" for n in range(15)), "deadly.jpg", *(f"{n}.jpg" for n in range(15, 30))]:
                    await d.settled(name)
                letter = await d.hear(DeadLetter)
                while len(d.said(FileAnalysed)) < 30:
                    await d.hear(FileAnalysed)
    assert letter.reason == "worker-died"
    assert len(deadly.company) == 2
    assert deadly.company[1] == 0
    assert len(d.said(FileUnreadable)) == 1


async def test_while_the_index_is_away_nothing_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        faulty = FaultyIndex(d.index)
        d.index, faulty.down = faulty, True
        for n in range(3):
            write_photo(d.folder / f"{n}.jpg", n)
        async with working(d):
            for n in range(3):
                await d.settled(f"{n}.jpg")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.7):
                    await d.hear(FileAnalysed)
            assert not d.heard
            faulty.down = False
            for _ in range(3):
                await d.hear(FileAnalysed)
    assert len({m.file.path for m in d.said(FileAnalysed)}) == 3


async def test_a_file_of_a_root_that_the_settings_do_not_name_is_dead_lettered(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        write_photo(d.folder / "a.jpg", 1)
        event = await d.settled("a.jpg")
        elsewhere = event.model_copy(update={"file": event.file.model_copy(update={"root": "elsewhere"})})
        async with working(d):
            await d.watcher.publish(elsewhere)
            letter = await d.hear(DeadLetter)
    assert letter.reason == "unknown-root"


async def test_s14_what_a_host_without_the_root_cannot_read_is_left_to_one_that_sees_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        write_photo(d.folder / "a.jpg", 1)
        hidden = d.folder.with_name("unmounted")
        event = await d.settled("a.jpg")
        d.folder.rename(hidden)
        async with working(d):
            letter = await d.hear(DeadLetter)
            assert letter.reason == "gave-up"
            assert not d.said(FileUnreadable)
            assert await d.index.files([event.file.photo.file_id]) == {}
            hidden.rename(d.folder)
            await d.settled("a.jpg", 2)
            await d.hear(FileAnalysed)


def test_s8_evidence_is_what_the_watcher_sees_and_not_another_host() -> None:
    event = FileStat(size=5, mtime_ns=7, ctime_ns=9, dev=1, ino=2, birth_ns=3)
    same_mount = event.model_copy(update={"ctime_ns": 11, "birth_ns": None})
    assert as_its_watcher_sees_it(same_mount, event) == event.model_copy(update={"ctime_ns": 11})
    for elsewhere in ({"dev": 44}, {"ino": 44}, {"dev": 44, "ino": 45, "ctime_ns": 46}):
        assert as_its_watcher_sees_it(event.model_copy(update=elsewhere), event) == event

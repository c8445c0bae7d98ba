"""A last copy from the executor's question over the resolver's decision to its end, on the real parts. (S11, S20)"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.hands.service import Hands
from shared.config import Root
from shared.index.port import ContentDoc, FileDoc
from shared.messages.analysis import Facts, FileAnalysed
from shared.messages.base import FileRef, FileStat
from shared.messages.commands import RemoveItem, TakeFile
from shared.messages.outcomes import ItemDue, ItemRemoved, RemovalDone
from shared.messages.resolution import GroupDecided
from shared.paths import PhotoPath
from shared.signature import Signature
from tests.support.executing import DAY, NOW, Stage, photos_in
from tests.support.model import signature
from tests.support.resolving import Bench, bench
from tests.support.working import at_work

BOTH = ("same-bytes", "similar")
SETTINGS = {
    "action": "delete",
    "allow_delete": True,
    "automatic_classes": BOTH,
    "retention_days": 2,
    "keeper_age_seconds": 0,
}
#: later than the resolver's memory begins, so that it knows the history of every file (S1)
BEGIN, KNOWN_SINCE = NOW - 100, NOW - 50


class Together:
    """Resolver and executor over one bus, one index and one folder; the test plays eyes and analyser."""

    def __init__(self, at: Bench, stage: Stage) -> None:
        self.at, self.stage = at, stage

    async def analysed(self, *pictures: tuple[str, Signature, int]) -> None:
        """The files as they lie there, with the signatures and widths that the test gives them."""
        docs, contents, said = [], [], []
        for rel, signed, width in pictures:
            evidence = self.stage.evidence(rel)
            stat = FileStat(**evidence.model_dump(include={"size", "mtime_ns", "ctime_ns", "dev", "ino"}))
            facts = Facts(format="JPEG", width=width, height=width, bytes=stat.size)
            path = PhotoPath("photos", rel.encode())
            docs.append(
                FileDoc(
                    path=path, version=1, state="analysed", sha256=evidence.sha256, stat=stat, known_since=KNOWN_SINCE
                )
            )
            contents.append(ContentDoc(sha256=evidence.sha256, signature=signed, facts=facts))
            said.append(
                FileAnalysed(
                    file=FileRef.of(path),
                    version=1,
                    stat=stat,
                    sha256=evidence.sha256,
                    facts=facts,
                    mode="canonical",
                    known_since=KNOWN_SINCE,
                )
            )
        await self.at.index.put(docs, contents)
        await self.at.analyser.publish_many(said)

    async def gone(self, *rels: str) -> None:
        docs = [PhotoPath("photos", rel.encode()) for rel in rels]
        known = await self.at.index.files([path.file_id for path in docs])
        await self.at.index.put([_tombstone(known[path.file_id]) for path in docs])

    @contextlib.asynccontextmanager
    async def executor(self, *, days: int = 0) -> AsyncIterator[Hands]:
        for _ in range(days):  # the service runs on so many days: retention counts those
            self.stage.clock.at += DAY
            self.at.clock.time += DAY
            with self.stage.hand() as hand:
                hand.removal.note_today()
        hands = Hands(
            bus=await self.at.server.connect("watcher"),
            disk=LocalDisk(),
            settings=self.stage.made_settings(),
            clock=self.stage.clock,
            folder=self.stage.state,
            sight=self.stage.sight,
        )
        async with at_work(hands):
            yield hands


def _tombstone(doc: FileDoc) -> FileDoc:
    return FileDoc(path=doc.path, version=doc.version + 1, state="gone", sha256=doc.sha256, stat=doc.stat)


@pytest.fixture
async def together(tmp_path: Path) -> AsyncIterator[Together]:
    (tmp_path / "stage").mkdir()
    stage = Stage(tmp_path / "stage")
    stage.settings |= {k: v for k, v in SETTINGS.items() if k not in ("action", "allow_delete")}
    roots = (Root(name="photos", path=stage.root()),)
    async with bench(tmp_path, **SETTINGS) as at:
        at.settings = at.settings.model_copy(update={"roots": roots})
        at.clock.time = BEGIN
        yield Together(at, stage)


def lying(stage: Stage) -> Sequence[Path]:
    return photos_in(stage.root() / ".photosift")


async def taken(both: Together) -> None:
    """A small picture is quarantined for a large one, by the resolver's own decision."""
    both.stage.write("a/small.jpg", b"small")
    both.stage.write("a/large.jpg", b"a larger one")
    async with both.at.working(), both.executor():
        both.at.clock.time = NOW
        await both.analysed(("a/small.jpg", signature(1), 10), ("a/large.jpg", signature(1, 4), 100))
        (command,) = await both.at.heard_of(TakeFile)
        assert (command.victim.file.path, command.match_class) == ("a/small.jpg", "similar")
        await both.at.until(lambda: not (both.stage.root() / "a/small.jpg").exists())
        await both.at.settled(open_commands=0)
    await both.gone("a/small.jpg")
    assert len(lying(both.stage)) == 1


@pytest.mark.timeout(90)
async def test_s11_s20_a_similar_item_goes_after_its_retention_because_its_keeper_is_live(together: Together) -> None:
    await taken(together)
    async with together.at.working(), together.executor(days=4):
        (removed,) = await together.at.heard_of(ItemRemoved)
        (due,), (command,), (done,) = (
            together.at.all(ItemDue),
            together.at.all(RemoveItem),
            together.at.all(RemovalDone),
        )
        assert (due.file.path, command.keeper.file.path, removed.live_copy.path) == (
            "a/small.jpg",
            "a/large.jpg",
            "a/large.jpg",
        )
        assert (done.outcome, done.match_class) == ("removed", "similar")
        await together.at.settled(open_commands=0)
    assert lying(together.stage) == []
    assert (together.stage.root() / "a/large.jpg").exists()


@pytest.mark.timeout(90)
async def test_s11_where_nothing_stands_for_it_the_last_copy_stays(together: Together) -> None:
    """Its keeper was deleted by its user; another picture of the index is too far from it."""
    await taken(together)
    (together.stage.root() / "a/large.jpg").unlink()
    await together.gone("a/large.jpg")
    together.stage.write("b/other.jpg", b"another scene")
    async with together.at.working() as service, together.executor(days=4):
        await together.analysed(("b/other.jpg", signature(2), 100))
        await together.at.heard_of(ItemDue)
        await together.at.caught_up()
        assert await service.open_decisions() == []
    assert not together.at.all(RemoveItem)
    assert len(lying(together.stage)) == 1


@pytest.mark.timeout(90)
async def test_s1_a_stand_in_stands_for_what_is_gone_in_the_resolvers_memory_too(together: Together) -> None:
    """It is near the item; a better picture that is near the stand-in and far from the item only gets it proposed."""
    await taken(together)
    (together.stage.root() / "a/large.jpg").unlink()
    await together.gone("a/large.jpg")
    together.stage.write("b/near.jpg", b"near the item")
    async with together.at.working(), together.executor(days=4):
        await together.analysed(("b/near.jpg", signature(1, 14), 50))
        await together.at.caught_up()
    # asked before the stand-in was known to the index, perhaps: the next day it is asked about again
    async with together.at.working(), together.executor(days=1):
        await together.at.heard_of(ItemRemoved)
        assert together.at.all(ItemRemoved)[-1].live_copy.path == "b/near.jpg"
        together.stage.write("b/better.jpg", b"near the stand-in, far from the item")
        taken_before = len(together.at.all(TakeFile))
        await together.analysed(("b/better.jpg", signature(1, 30), 500))
        await together.at.until(
            lambda: any(d.keeper.file.path == "b/better.jpg" for d in together.at.all(GroupDecided))
        )
        await together.at.caught_up()
        assert len(together.at.all(TakeFile)) == taken_before
        (duplicate,) = together.at.all(GroupDecided)[-1].duplicates
        assert (duplicate.member.file.path, duplicate.action) == ("b/near.jpg", "propose")
    assert (together.stage.root() / "b/near.jpg").exists()

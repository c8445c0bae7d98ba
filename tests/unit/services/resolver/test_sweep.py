"""What no message said is found all the same: by comparing the memory with the whole index. (S16, S18)"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from services.resolver import sweep as sweep_module
from services.resolver.store import DecisionStore
from services.resolver.sweep import Sweep
from shared.index.embedded import EmbeddedIndex
from shared.index.port import FileDoc, IndexUnavailable
from shared.messages.resolution import CaughtUp, DecisionWithdrawn, GroupDecided
from tests.support.index import FaultyIndex
from tests.support.model import candidate, content, document, signature
from tests.support.resolving import Picture, bench, settings_for, stars_in

OFTEN = {"sweep_seconds": 0.05}


def pictures(*names: str, seed: int = 1) -> list[Picture]:
    return [(candidate(name, content=f"c{seed}", known_since=1.0), signature(seed)) for name in names]


async def put(index: EmbeddedIndex, some: Sequence[Picture]) -> None:
    """As the analyser does; the message is what is missing."""
    await index.put([document(f) for f, _ in some], [content(f, s) for f, s in some])


async def gone(index: EmbeddedIndex, *some: Picture) -> None:
    await index.put([tombstone(f) for f, _ in some])


def tombstone(file) -> FileDoc:
    return FileDoc(
        path=file.path, version=file.version + 1, state="gone", sha256=file.sha256, stat=file.stat, reason="deleted"
    )


def copy_of(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, folder.with_name(name)))


# ---- the running resolver -----------------------------------------------------------------------------------------


async def test_s16_s18_a_result_that_never_arrived_is_found_by_the_sweep(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working(**OFTEN):
        await at.add(*pictures("a.jpg"))
        await at.caught_up()
        assert not at.all(GroupDecided)
        await put(at.index, pictures("b.jpg"))
        await at.until(lambda: at.standing() == {"a.jpg": ["b.jpg"]})


async def test_s18_a_file_that_went_without_a_word_takes_its_decision_with_it(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working(**OFTEN):
        pair = pictures("a.jpg", "b.jpg")
        await at.add(*pair)
        await at.until(lambda: at.standing() == {"a.jpg": ["b.jpg"]})
        await gone(at.index, pair[1])
        await at.until(lambda: at.standing() == {})


async def test_s18_new_bytes_that_nobody_told_of_are_searched_and_planned(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working(**OFTEN):
        pair = pictures("a.jpg", "b.jpg")
        await at.add(*pair, *pictures("c.jpg", seed=2))
        await at.until(lambda: at.standing() == {"a.jpg": ["b.jpg"]})
        edited = replace(candidate("b.jpg", content="nearly c2", known_since=1.0, pixels=(9, 9)), version=2)
        await put(at.index, [(edited, signature(2, 4))])
        await at.until(lambda: at.standing() == {"c.jpg": ["b.jpg"]})


async def test_s16_s18_a_memory_of_last_week_is_brought_up_to_the_index_at_the_start(tmp_path) -> None:
    async with bench(tmp_path) as at:
        pairs = [pictures(f"{n}a.jpg", f"{n}b.jpg", seed=n) for n in (1, 2, 3)]
        async with at.working():
            await at.add(*pairs[0], *pairs[1])
            assert (await at.caught_up()).open_decisions == 2
        last_week = copy_of(tmp_path / "resolver", "last week")
        async with at.working():
            await at.add(*pairs[2])
            await at.forget(pairs[0][1][0])
            edited = replace(candidate("2b.jpg", content="new", known_since=1.0), version=2)
            await at.add((edited, signature(9)))
            assert (await at.caught_up()).open_decisions == 1
        shutil.rmtree(tmp_path / "resolver")
        last_week.rename(tmp_path / "resolver")
        said = len(at.all(CaughtUp))
        async with at.working() as service:
            await at.heard_of(CaughtUp, said + 1)
            assert stars_in(await service.open_decisions()) == {"3a.jpg": ["3b.jpg"]}
            assert at.all(CaughtUp)[-1].open_decisions == 1


async def test_decisions_that_name_files_the_index_no_longer_has_are_withdrawn(tmp_path) -> None:
    """The index was made anew, and holds some of the files only."""
    async with bench(tmp_path) as at:
        kept, lost = pictures("a.jpg", "b.jpg"), pictures("c.jpg", "d.jpg", seed=2)
        async with at.working():
            await at.add(*kept, *lost)
            assert (await at.caught_up()).open_decisions == 2
        async with another_index(tmp_path / "anew") as index:
            await put(index, kept)
            said = len(at.all(CaughtUp))
            async with at.working(index=index) as service:
                await at.heard_of(CaughtUp, said + 1)
                assert stars_in(await service.open_decisions()) == {"a.jpg": ["b.jpg"]}
        assert len(at.all(DecisionWithdrawn)) == 1


async def test_s14_an_index_that_holds_nothing_at_all_withdraws_nothing(tmp_path) -> None:
    async with bench(tmp_path) as at:
        async with at.working():
            await at.add(*pictures("a.jpg", "b.jpg"))
            await at.caught_up()
        async with another_index(tmp_path / "empty") as index:
            said = len(at.all(CaughtUp))
            async with at.working(index=index):
                await at.heard_of(CaughtUp, said + 1)
        assert not at.all(DecisionWithdrawn)


async def test_an_index_that_is_down_during_a_sweep_is_waited_for(tmp_path) -> None:
    async with bench(tmp_path) as at:
        index = FaultyIndex(at.index)
        async with at.working(index=index, **OFTEN):
            await at.add(*pictures("a.jpg"))
            await at.caught_up()
            index.down = True
            await put(at.index, pictures("b.jpg"))
            await asyncio.sleep(0.3)
            assert not at.all(GroupDecided)
            index.down = False
            await at.until(lambda: at.standing() == {"a.jpg": ["b.jpg"]})


async def test_a_sweep_that_finds_nothing_says_nothing(tmp_path) -> None:
    async with bench(tmp_path) as at:
        index = Watched(at.index)
        async with at.working(index=index, **OFTEN):
            await at.add(*pictures("a.jpg", "b.jpg"))
            await at.caught_up()
            await at.until(lambda: at.standing() == {"a.jpg": ["b.jpg"]})
            heard, walks = len(at.heard), index.walks
            while index.walks < walks + 5:  # noqa: ASYNC110  a walk has no event
                await asyncio.sleep(0.02)
            assert len(at.heard) == heard


@contextlib.asynccontextmanager
async def another_index(folder: Path) -> AsyncIterator[EmbeddedIndex]:
    folder.mkdir()
    index = await asyncio.to_thread(EmbeddedIndex.open, folder, writable=True, mode="canonical")
    try:
        yield index
    finally:
        await index.close()


# ---- one sweep ----------------------------------------------------------------------------------------------------


@dataclass
class Watched:
    """The real index; notes what is asked of it, and may be cut off or overtaken."""

    inner: EmbeddedIndex
    walks: int = 0
    asked: list[int] = field(default_factory=list)
    #: called with every document of a walk
    meanwhile: object = None

    def __getattr__(self, name: str):
        return getattr(self.inner, name)

    async def files(self, file_ids: Sequence[str]):
        self.asked.append(len(file_ids))
        return await self.inner.files(file_ids)

    async def walk(self, root: str) -> AsyncIterator[FileDoc]:
        self.walks += 1
        async for doc in self.inner.walk(root):
            yield doc
            if callable(self.meanwhile):
                await self.meanwhile(doc)


@dataclass
class Alone:
    """A sweep over a real index and a real store, without bus and service."""

    index: Watched
    store: DecisionStore
    turn: asyncio.Lock
    told: list[str]
    sweep: Sweep

    async def run(self, stop: asyncio.Event | None = None) -> None:
        await self.sweep.run(stop or asyncio.Event())

    def dirty(self) -> set[str]:
        with self.store.transaction():
            return {sha for component in self.store.contents.work(0.0) for sha in component.hashes}

    def planned(self) -> None:
        with self.store.transaction():
            self.store.contents.finish(self.store.contents.work(0.0), [])


@pytest.fixture
async def alone(tmp_path, monkeypatch) -> AsyncIterator[Alone]:
    monkeypatch.setattr(sweep_module, "PORTION", 10)
    (tmp_path / "resolver").mkdir()
    async with another_index(tmp_path / "index") as inner:
        index, store, told = Watched(inner), DecisionStore(tmp_path / "resolver"), []
        turn = asyncio.Lock()
        sweep = Sweep(
            store=store,
            index=index,
            settings=settings_for(("photos", "other")),
            turn=turn,
            tell=lambda: told.append("news"),
        )
        yield Alone(index, store, turn, told, sweep)
        store.close()


def many(count: int, root: str = "photos") -> list[Picture]:
    return [
        (candidate(f"{n}.jpg", content=f"{root}{n}", root=root), signature(1_000 * (root == "other") + n))
        for n in range(count)
    ]


async def test_it_goes_in_portions_and_is_quiet_the_second_time(alone) -> None:
    await put(alone.index.inner, many(25))
    await alone.run()
    assert alone.index.asked == [10, 10, 5]
    assert len(alone.dirty()) == 25 and alone.told == ["news"] * 3
    alone.planned()
    alone.index.asked.clear()
    await alone.run()
    assert alone.index.asked == [] and alone.dirty() == set() and len(alone.told) == 3


async def test_only_what_differs_is_planned_again(alone) -> None:
    some = many(25)
    await put(alone.index.inner, some)
    await alone.run()
    alone.planned()
    await gone(alone.index.inner, some[7])
    await alone.run()
    assert alone.dirty() == {some[7][0].sha256}
    assert alone.store.contents.known([some[7][0].file_id]) == {some[7][0].file_id: (None, 2)}


async def test_planning_has_its_turn_between_two_portions(alone) -> None:
    """While planning holds the turn the sweep waits; it never keeps the turn over more than a portion."""
    await put(alone.index.inner, many(25))
    await alone.turn.acquire()
    running = asyncio.create_task(alone.run())
    while not alone.turn._waiters:  # noqa: ASYNC110  a lock has no event
        await asyncio.sleep(0.01)
    assert alone.dirty() == set()
    other_turns = 0
    while not running.done():
        alone.turn.release()
        await asyncio.sleep(0)
        await alone.turn.acquire()
        other_turns += 1
        await asyncio.sleep(0.01)
    await running
    assert other_turns >= 3 and len(alone.dirty()) == 25


async def test_what_a_message_said_meanwhile_is_no_difference(alone) -> None:
    """The walk shows version 1; before it is compared version 2 is stored and taken in."""
    (old, signed), *_ = many(1)
    await put(alone.index.inner, [(old, signed)])
    new = replace(candidate("0.jpg", content="new"), version=2)

    async def overtake(_doc: FileDoc) -> None:
        await put(alone.index.inner, [(new, signature(5))])
        with alone.store.transaction():
            change = sweep_module.Change(file_id=new.file_id, version=2, sha=new.sha256)
            alone.store.contents.record([change], {new.sha256: ()})
        alone.planned()

    alone.index.meanwhile = overtake
    await alone.run()
    assert alone.store.contents.known([new.file_id]) == {new.file_id: (new.sha256, 2)}
    assert alone.dirty() == set()


async def test_the_index_is_right_also_where_it_went_back(alone) -> None:
    """The index was restored from a copy: an older version of a file, and one file less."""
    some = many(12)
    with alone.store.transaction():
        changes = [sweep_module.Change(file_id=f.file_id, version=5, sha=f"later {n}") for n, (f, _) in enumerate(some)]
        alone.store.contents.record(changes, {})
    alone.planned()
    await put(alone.index.inner, some[:11])
    await alone.run()
    lost = some[11][0].file_id
    assert alone.store.contents.known([lost]) == {}
    assert alone.store.contents.known([some[3][0].file_id]) == {some[3][0].file_id: (some[3][0].sha256, 1)}
    assert {"later 3", some[3][0].sha256, "later 11"} <= alone.dirty()


async def test_it_stops_between_two_portions(alone) -> None:
    await put(alone.index.inner, many(25))
    stop = asyncio.Event()

    async def after_twelve(_doc: FileDoc, seen=[]) -> None:  # noqa: B006
        seen.append(_doc)
        if len(seen) == 12:
            stop.set()

    alone.index.meanwhile = after_twelve
    await alone.run(stop)
    assert len(alone.dirty()) == 10
    alone.index.meanwhile = None
    await alone.run()
    assert len(alone.dirty()) == 25


async def test_after_an_outage_it_goes_on_with_the_root_that_was_interrupted(alone) -> None:
    await put(alone.index.inner, [*many(15), *many(15, "other")])
    await alone.run()
    alone.planned()
    alone.index.walks = 0

    async def cut(doc: FileDoc) -> None:  # the walk of the second root fails once
        if doc.path.root == "other" and alone.index.walks == 2:
            raise IndexUnavailable("as the test says")

    alone.index.meanwhile = cut
    with pytest.raises(IndexUnavailable):
        await alone.run()
    await alone.run()
    assert alone.index.walks == 3
    await alone.run()
    assert alone.index.walks == 5

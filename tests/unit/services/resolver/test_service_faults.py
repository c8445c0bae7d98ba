"""Outages, stale searches, restarts in the middle: nothing is lost, nothing is said twice, nothing is unsafe (S18, S19)."""

from __future__ import annotations

import asyncio

import pytest

from services.resolver.neighbourhood import neighbours_of
from shared.bus.port import Bus, BusUnavailable
from shared.errors import PermanentError
from shared.index.port import IndexUnavailable
from shared.messages.analysis import FileAnalysed
from shared.messages.base import FileRef, FileStat, Message
from shared.messages.commands import TakeFile
from shared.messages.deadletters import DeadLetter
from shared.messages.resolution import CaughtUp, DecisionWithdrawn, GroupDecided
from tests.support.index import FaultyIndex
from tests.support.model import candidate, content, document, signature
from tests.support.resolving import bench, stars_in

OLD = 1.0
COPIES = [(candidate(name, content="x", known_since=OLD), signature(1)) for name in ("a.jpg", "b.jpg")]
NEAR = [(candidate(f"{n}.jpg", known_since=OLD), signature(1, n)) for n in range(4)]


class MuteBus:
    """The real bus, which for a while does not store some messages."""

    def __init__(self, inner: Bus, *kinds: type[Message], error: Exception | None = None) -> None:
        self._inner, self._kinds = inner, kinds
        self._error = error or BusUnavailable("as the test says")
        self.refused = asyncio.Event()

    def __getattr__(self, name: str):
        return getattr(self._inner, name)

    async def publish(self, message: Message, **options) -> None:
        await self.publish_many([message], **options)

    async def publish_many(self, messages, **options) -> None:
        if any(isinstance(m, self._kinds) for m in messages):
            self.refused.set()
            raise self._error
        await self._inner.publish_many(messages, **options)


async def test_a_search_that_does_not_show_its_own_document_does_not_count(tmp_path) -> None:
    async with bench(tmp_path) as at:
        stale = FaultyIndex(at.index)
        await stale.refresh()
        await at.index.put([document(f) for f, _ in NEAR], [content(f, s) for f, s in NEAR])
        with pytest.raises(IndexUnavailable):
            await neighbours_of(stale, [NEAR[0][0].sha256], 0.1)
        await at.index.refresh()
        found = await neighbours_of(stale, [NEAR[0][0].sha256], 0.1)
        assert set(found[NEAR[0][0].sha256]) == {f.sha256 for f, _ in NEAR[1:]}


async def test_every_pair_is_found_by_way_of_a_stale_index(tmp_path) -> None:
    async with bench(tmp_path) as at:
        stale = FaultyIndex(at.index)
        stale.stale = True
        async with at.working(index=stale):
            await at.add(*NEAR)
            await asyncio.sleep(0.3)
            assert not at.all(GroupDecided)
            stale.stale = False
            await at.caught_up()
            ((keeper, followers),) = at.standing().items()
            assert sorted([keeper, *followers]) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]


async def test_an_index_that_is_down_is_waited_for(tmp_path) -> None:
    async with bench(tmp_path) as at:
        index = FaultyIndex(at.index)
        index.down = True
        async with at.working(index=index):
            await at.add(*COPIES)
            await asyncio.sleep(0.3)
            index.down = False
            await at.caught_up()
            assert at.standing() == {"a.jpg": ["b.jpg"]}
            assert not at.all(DeadLetter)


async def test_a_truncated_list_is_followed_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("services.resolver.neighbourhood.FIRST_LIMIT", 2)
    async with bench(tmp_path) as at:
        await at.index.put([document(f) for f, _ in NEAR], [content(f, s) for f, s in NEAR])
        await at.index.refresh()
        found = await neighbours_of(at.index, [NEAR[0][0].sha256], 0.1)
        assert len(found[NEAR[0][0].sha256]) == 3


async def test_s18_what_was_decided_and_not_said_is_said_after_a_restart(tmp_path) -> None:
    acting = {"action": "move", "target": "/target"}
    async with bench(tmp_path, **acting) as at:
        mute: list[MuteBus] = []

        def muted(bus: Bus) -> Bus:
            mute.append(MuteBus(bus, TakeFile))
            return mute[0]

        async with at.working(wrap=muted):
            await at.add(*COPIES)
            await asyncio.wait_for(mute[0].refused.wait(), 20)
        await at.heard_of(GroupDecided)
        assert len(at.all(GroupDecided)) == 1
        assert not at.all(TakeFile)
        async with at.working():
            (command,) = await at.heard_of(TakeFile)
            assert command.decision_id == at.all(GroupDecided)[0].decision_id
            await at.settled(open_commands=1)
            assert len(at.all(GroupDecided)) == 1


async def test_s18_a_file_that_went_before_the_word_was_out_is_withdrawn_after_it(tmp_path) -> None:
    async with bench(tmp_path) as at:
        mute: list[MuteBus] = []

        def muted(bus: Bus) -> Bus:
            mute.append(MuteBus(bus, GroupDecided))
            return mute[0]

        async with at.working(wrap=muted):
            await at.add(*COPIES)
            await asyncio.wait_for(mute[0].refused.wait(), 20)
            await at.forget(COPIES[1][0])
        async with at.working():
            await at.heard_of(DecisionWithdrawn)
            assert at.standing() == {}


async def test_s19_a_message_that_the_bus_will_never_take_holds_up_no_other(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working(wrap=lambda b: MuteBus(b, GroupDecided, error=PermanentError("no"))):
        await at.add(*COPIES)
        said = await at.caught_up()
        assert said.open_decisions == 1
        assert not at.all(GroupDecided)


async def test_s19_a_path_that_leads_out_of_its_root_is_dead_lettered_and_harms_nobody(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working() as service:
        evil = _Delivered(_result(), seq=1)
        evil.message = evil.message.model_copy(update={"file": FileRef(root="photos", path="../../etc/passwd")})
        await at.index.put([document(f) for f, _ in COPIES], [content(f, s) for f, s in COPIES])
        await service.take_results([evil, _Delivered(_result(), seq=2)])
        await at.settled(sig_seq=2, open_decisions=1)
        assert evil.given_up == "unsafe-path"
        assert at.standing() == {"a.jpg": ["b.jpg"]}


async def test_late_and_repeated_results_change_nothing(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working() as service:
        await at.add(*COPIES)
        await at.caught_up()
        gone = COPIES[1][0]
        await at.forget(gone)
        await at.caught_up()
        decided = len(at.all(GroupDecided))
        late = [_Delivered(_result()), _Delivered(_result())]
        await service.take_results(late)
        await at.add((candidate("other.jpg"), signature(7)))
        await at.caught_up()
        assert at.standing() == {}
        assert len(at.all(GroupDecided)) == decided


async def test_a_stream_that_begins_anew_is_counted_anew(tmp_path) -> None:
    async with bench(tmp_path) as at:
        async with at.working() as service:
            await at.heard_of(CaughtUp)
            await service.take_results([_Delivered(_result(), seq=900)])
            await at.settled(sig_seq=900)
        async with at.working():
            await at.add((candidate("other.jpg"), signature(7)))
            await at.settled(sig_seq=1)


async def test_many_files_at_once_come_out_as_the_pure_plan_says(tmp_path) -> None:
    pictures = [
        (candidate(f"{scene}/{n}.jpg", pixels=(100 - n, 100), known_since=OLD), signature(scene, 2 * n))
        for scene in range(40)
        for n in range(10)
    ]
    async with bench(tmp_path) as at, at.working() as service:
        for start in range(0, 400, 80):
            await at.add(*pictures[start : start + 80])
        await at.caught_up()
        expected = {f"{scene}/0.jpg": [f"{scene}/{n}.jpg" for n in range(1, 10)] for scene in range(40)}
        assert at.standing() == expected == stars_in(await service.open_decisions())


def _result() -> FileAnalysed:
    file = COPIES[1][0]
    return FileAnalysed(
        file=FileRef.of(file.path),
        version=file.version,
        stat=FileStat.model_validate(file.stat.model_dump()),
        sha256=file.sha256,
        facts=file.facts,
        mode="canonical",
        known_since=OLD,
    )


class _Delivered:
    """A delivery that nobody waits for."""

    def __init__(self, message: Message, seq: int = 1) -> None:
        from tests.support.messages import envelope_of

        self.message, self.envelope = message, envelope_of(message)
        self.seq, self.deliveries = seq, 1
        self.given_up: str | None = None

    async def dead_letter(self, code: str, explanation: str) -> None:
        self.given_up = code

"""A server that is away, frozen, or full: what is tried again, what is said once, and that it goes on by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.index.elastic import access, link
from shared.index.elastic.link import Circuit
from shared.index.port import Index, IndexUnavailable
from tests.support.elasticsearch import own_node
from tests.support.elasticsearch_server import Node
from tests.support.index import ElasticPlace, batch, content, hash_of
from tests.unit.shared.index.elastic.test_opening import call


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with own_node() as node:
        yield node


@pytest.fixture
async def index(node: Node, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Index]:
    place = ElasticPlace(node.url, f"test-{abs(hash(request.node.name))}")
    async with place.opened():  # made without haste: on a busy machine that takes a server more than the second below
        pass
    monkeypatch.setattr(access, "ANSWER_WITHIN", 1.0)
    monkeypatch.setattr(link, "CLOSED_FOR", (0.05, 0.2))
    async with place.opened() as index:
        yield index


async def until_available(work: Any) -> Any:
    """Call until it works, as services do."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await work()
            except IndexUnavailable:
                await asyncio.sleep(0.05)


def said(logs: list[Any]) -> list[str]:
    return [entry["event"] for entry in logs if entry["log_level"] != "debug"]


async def test_a_frozen_server_is_an_outage_that_is_said_once_and_ends_by_itself(node: Node, index: Index) -> None:
    await index.put(*batch([1]))
    with capture_logs() as logs:
        node.stop()
        try:
            for _ in range(5):
                with pytest.raises(IndexUnavailable) as caught:
                    await index.put(*batch([2]))
                assert caught.value.said
        finally:
            node.resume()
        stored = await until_available(lambda: index.put(*batch([2])))
        assert stored.written + len(stored.stale) == 1
    assert said(logs) == ["index.unavailable", "index.available_again"]
    await index.refresh()
    [answer] = await index.neighbours([content(2).signature], 0.1)
    assert answer.hits == ((hash_of(2), 0.0),)


async def test_while_it_is_away_calls_fail_at_once_and_one_looks_now_and_then(node: Node, index: Index) -> None:
    node.stop()
    try:
        with pytest.raises(IndexUnavailable):
            await index.refresh()
        started = time.monotonic()
        answers = await asyncio.gather(*(index.contents([hash_of(n)]) for n in range(200)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {IndexUnavailable}
        assert time.monotonic() - started < 0.5, "nobody waited for an answer"
    finally:
        node.resume()
    await until_available(index.refresh)


async def test_what_was_put_is_there_after_the_server_was_killed_and_came_back(node: Node, index: Index) -> None:
    await index.put(*batch(range(30)))
    with capture_logs() as logs:
        await asyncio.to_thread(node.kill)
        with pytest.raises(IndexUnavailable, match="does not answer"):
            await index.files(["0" * 32])
        await asyncio.to_thread(node.start)
        await until_available(index.refresh)
        found = await until_available(lambda: index.neighbours([content(n).signature for n in range(30)], 0.1))
    assert [answer.hits for answer in found] == [((hash_of(n), 0.0),) for n in range(30)]
    assert said(logs) == ["index.unavailable", "index.available_again"]
    assert index.complaint() is None  # type: ignore[attr-defined]


async def test_a_full_disk_is_said_once_with_advice_while_reading_goes_on(node: Node, index: Index) -> None:
    await index.put(*batch([1]))
    settings = f"{node.url}/_cluster/settings"
    full = dict.fromkeys(("low", "high", "flood_stage"), "1000pb")
    disk: dict[str, Any] = {"threshold_enabled": True, "watermark": full}
    fast = {"cluster.info.update.interval": "10s"}
    with capture_logs() as logs:
        call(settings, "PUT", {"persistent": {**fast, "cluster.routing.allocation.disk": disk}})
        try:
            error = await until_refused(index)
            assert "its disk is full" in error.detail
            assert "its disk is full" in (index.complaint() or "")  # type: ignore[attr-defined]
            with pytest.raises(IndexUnavailable):
                await index.put(*batch([1], version=10**9))
            assert (await index.contents([hash_of(1)])).keys() == {hash_of(1)}, "reading goes on"
        finally:
            nothing = dict.fromkeys(full)
            call(settings, "PUT", {"persistent": {"cluster.routing.allocation.disk": {"threshold_enabled": False, "watermark": nothing}}})  # fmt: skip
        stored = await until_available(lambda: index.put(*batch([1], version=10**9)))
        assert stored.written == 1
    assert said(logs) == ["index.read_only", "index.writable_again"]
    assert index.complaint() is None  # type: ignore[attr-defined]


async def until_refused(index: Index) -> IndexUnavailable:
    """The disk is looked at every ten seconds."""
    async with asyncio.timeout(60):
        for version in range(2, 10**6):
            try:
                await index.put(*batch([1], version=version))
            except IndexUnavailable as error:
                return error
            await asyncio.sleep(0.1)
    raise AssertionError("unreachable")


# ------------------------------------------------------------------------------- the circuit, without a server


def test_the_circuit_opens_once_and_lets_one_look_at_a_time() -> None:
    circuit = Circuit()
    assert circuit.may_pass(0.0)
    assert circuit.fails("away", 0.0)
    assert not circuit.may_pass(0.1)
    assert circuit.may_pass(0.3)
    circuit.somebody_looks = True
    assert not circuit.may_pass(0.3)
    circuit.somebody_looks = False
    assert not circuit.fails("still away", 0.3), "no news"
    assert not circuit.may_pass(0.7)
    assert circuit.works()
    assert circuit.may_pass(0.7)
    assert not circuit.works(), "no news"


def test_the_circuit_looks_ever_less_often_up_to_a_bound() -> None:
    circuit, now, pauses = Circuit(), 0.0, []
    for _ in range(8):
        circuit.fails("away", now)
        pauses.append(circuit.until - now)
        now = circuit.until
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]

"""The double that other tests use fails, waits and is behind exactly when told to be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from shared.index.port import Index, IndexUnavailable
from tests.support.index import FaultyIndex, all_of, batch, content, embedded_place, hash_of


@pytest.fixture
async def index() -> AsyncIterator[FaultyIndex]:
    with embedded_place() as place:
        async with place.opened() as inner:
            yield FaultyIndex(inner)


async def test_it_passes_everything_on(index: FaultyIndex) -> None:
    as_port: Index = index
    assert (await as_port.put(*batch([1]))).written == 1
    await as_port.refresh()
    assert (await as_port.neighbours([content(1).signature], 0.1))[0].hits == ((hash_of(1), 0.0),)
    assert (
        len(await all_of(as_port)) == len(await as_port.files_of([hash_of(1)])) == await as_port.highest_version() == 1
    )
    assert index.calls["put"] == index.calls["walk"] == 1


async def test_it_fails_the_next_calls_and_stores_nothing(index: FaultyIndex) -> None:
    index.fail_next(2, "put")
    await index.refresh()
    for _ in range(2):
        with pytest.raises(IndexUnavailable):
            await index.put(*batch([1]))
    assert await all_of(index) == {}
    assert (await index.put(*batch([1]))).written == 1
    index.fail_next()
    with pytest.raises(IndexUnavailable):
        await all_of(index)


async def test_it_is_down_until_it_is_up(index: FaultyIndex) -> None:
    index.down = True
    for call in (index.refresh(), index.contents([]), index.files([]), index.highest_version()):
        with pytest.raises(IndexUnavailable):
            await call
    index.down = False
    await index.refresh()


async def test_it_is_slow(index: FaultyIndex) -> None:
    index.delay_seconds = 0.05
    started = time.monotonic()
    await asyncio.gather(index.refresh(), index.refresh())
    assert time.monotonic() - started >= 0.05


async def test_it_is_behind(index: FaultyIndex) -> None:
    index.stale = True
    await index.put(*batch([1]))
    await index.refresh()
    assert (await index.neighbours([content(1).signature], 0.1))[0].hits == ()
    index.stale = False
    await index.refresh()
    assert (await index.neighbours([content(1).signature], 0.1))[0].hits != ()

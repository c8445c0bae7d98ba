"""Many who ask the index for one file each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.analyser.asking import Asking
from shared.index.port import IndexUnavailable
from tests.support.index import FaultyIndex, batch, embedded_place, photo_file


@pytest.fixture
async def index() -> AsyncIterator[FaultyIndex]:
    with embedded_place() as place:
        async with place.opened() as inner:
            await inner.put(*batch(range(20)))
            yield FaultyIndex(inner)


def id_of(number: int) -> str:
    return photo_file(number).path.file_id


async def test_each_gets_what_it_asked_for_and_the_index_is_asked_twice(index: FaultyIndex) -> None:
    asking = Asking(index)
    first = asyncio.create_task(asking.files([id_of(0), id_of(99)]))
    while not index.calls["files"]:  # noqa: ASYNC110  the index tells nobody that it is asked
        await asyncio.sleep(0)
    others = [asking.files([id_of(n)]) for n in range(1, 20)]
    assert await first == {id_of(0): photo_file(0)}
    assert await asyncio.gather(*others) == [{id_of(n): photo_file(n)} for n in range(1, 20)]
    assert index.calls["files"] == 2


async def test_an_outage_comes_to_each_and_is_over_for_the_next(index: FaultyIndex) -> None:
    asking = Asking(index)
    index.down = True
    said = await asyncio.gather(*(asking.files([id_of(n)]) for n in range(3)), return_exceptions=True)
    assert [type(each) for each in said] == [IndexUnavailable] * 3
    index.down = False
    assert await asking.files([id_of(1)]) == {id_of(1): photo_file(1)}


async def test_one_who_gave_up_takes_nothing_from_the_others(index: FaultyIndex) -> None:
    asking = Asking(index)
    index.delay_seconds = 0.05
    one, other = (asyncio.create_task(asking.files([id_of(n)])) for n in range(2))
    while not index.calls["files"]:  # noqa: ASYNC110  the index tells nobody that it is asked
        await asyncio.sleep(0)
    one.cancel()
    assert await other == {id_of(1): photo_file(1)}
    await asking.finish()

"""I1: after ``put`` and ``refresh`` every search sees what was put."""

from __future__ import annotations

import asyncio

from shared.index.port import Index
from tests.contract.index.conftest import Started
from tests.support.index import Place, batch, content, hash_of, photo_file, say, signature_of


async def found(index: Index, number: int, max_distance: float = 0.1) -> set[str]:
    neighbours = await index.neighbours([signature_of(number)], max_distance)
    return {sha for sha, _ in neighbours[0].hits}


async def test_a_search_sees_what_was_put_and_refreshed(index: Index) -> None:
    await index.put(*batch([1, 2]))
    await index.refresh()
    assert await found(index, 1) == {hash_of(1)}


async def test_another_view_sees_it_after_its_own_refresh(index: Index, reader: Index) -> None:
    await index.put(*batch([1]))
    await reader.refresh()
    assert await found(reader, 1) == {hash_of(1)}
    await index.put(*batch([2]))
    await reader.refresh()
    assert await found(reader, 2) == {hash_of(2)}


async def test_another_process_sees_what_this_one_put(index: Index, process: Started) -> None:
    async with process(writable=False) as other:
        for number in range(3):
            await index.put(*batch([number]))
            await say(other, do="refresh")
            assert await say(other, do="neighbours", number=number, max_distance=0.1) == [[hash_of(number), 0.0]]


async def test_this_process_sees_what_another_put(place: Place, process: Started) -> None:
    async with process(writable=True) as other, place.opened(writable=False) as reader:
        for number in range(3):
            await say(other, do="put", numbers=[number])
            await reader.refresh()
            assert await found(reader, number) == {hash_of(number)}
            assert hash_of(number) in await reader.contents([hash_of(number)])


async def test_a_reader_that_was_there_first_sees_the_index_when_it_comes(place: Place) -> None:
    async with place.opened(writable=False) as reader:
        await reader.refresh()
        assert await found(reader, 1) == set()
        assert await reader.contents([hash_of(1)]) == {}
        assert await reader.highest_version() == 0
        async with place.opened() as index:
            await index.put(*batch([1]))
            await reader.refresh()
            assert await found(reader, 1) == {hash_of(1)}


async def test_of_two_photos_indexed_at_the_same_time_one_query_sees_the_other(index: Index) -> None:
    async def analyse(number: int, twin: int) -> bool:
        like = signature_of(min(number, twin))
        await index.put([photo_file(number)], [content(number, signature=like)])
        await index.refresh()
        [seen] = await index.neighbours([like], 0.1)
        return hash_of(twin) in dict(seen.hits)

    for number in range(0, 100, 2):
        sees = await asyncio.gather(analyse(number, number + 1), analyse(number + 1, number))
        assert any(sees)

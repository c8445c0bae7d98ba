"""I6: what ``put`` has returned survives a crash of the process, and nothing is torn."""

from __future__ import annotations

import asyncio
import json

import pytest

from shared.index.port import Index, IndexUnavailable
from tests.contract.index.conftest import Started
from tests.support.index import Place, all_of, batch, content, hash_of, photo_file, say

SIZE = 50


@pytest.mark.parametrize("batches", [1, 8, 40])
async def test_everything_put_is_there_after_the_writer_is_killed(place: Place, process: Started, batches: int) -> None:
    async with process(writable=True) as writer:
        assert writer.stdin and writer.stdout
        writer.stdin.write(json.dumps({"do": "put-forever", "size": SIZE}).encode() + b"\n")
        for _ in range(batches):
            returned = int(await writer.stdout.readline())
        writer.kill()
        rest = (await writer.communicate())[0].split()
        returned = int(rest[-1]) if rest else returned
    async with place.opened() as index:
        await holds_whole_batches(index, at_least=returned + 1)
        await index.put(*batch(range(1_000_000, 1_000_000 + SIZE)))
        await index.refresh()
        [answer] = await index.neighbours([content(1_000_007).signature], 0.1)
        assert answer.hits == ((hash_of(1_000_007), 0.0),)


async def holds_whole_batches(index: Index, *, at_least: int) -> None:
    """Every file is there with its content, and each content is found by its signature at distance 0."""
    files = await all_of(index)
    whole, torn = divmod(len(files), SIZE)
    assert torn == 0
    assert whole >= at_least
    numbers = range(len(files))
    assert set(files) == {photo_file(n).path.file_id for n in numbers}
    contents = await index.contents([hash_of(n) for n in numbers])
    assert contents == {hash_of(n): content(n) for n in numbers}
    answers = await index.neighbours([content(n).signature for n in numbers], 0.1)
    assert [answer.hits for answer in answers] == [((hash_of(n), 0.0),) for n in numbers]


async def test_a_reader_lives_through_the_death_of_the_writer(place: Place, process: Started) -> None:
    async with place.opened(writable=False) as reader:
        for generation in range(3):
            async with process(writable=True) as writer:
                await say(writer, do="put", numbers=[generation])
                writer.kill()
                await writer.wait()
            await reader.refresh()
            found = await reader.neighbours([content(n).signature for n in range(generation + 1)], 0.1)
            assert [answer.hits for answer in found] == [((hash_of(n), 0.0),) for n in range(generation + 1)]


async def test_an_index_opened_again_is_the_same(place: Place) -> None:
    async with place.opened() as index:
        await index.put(*batch(range(300)))
    for _ in range(2):
        async with place.opened() as index:
            assert len(await all_of(index)) == 300
            [answer] = await index.neighbours([content(123).signature], 0.1)
            assert answer.hits == ((hash_of(123), 0.0),)
            assert (await index.put(*batch([5]))).written == 0


async def test_a_closed_index_says_that_it_is_unavailable(place: Place) -> None:
    index = await place.open()
    await index.put(*batch([1]))
    await asyncio.gather(index.close(), index.close())
    with pytest.raises(IndexUnavailable):
        await index.put(*batch([2]))
    with pytest.raises(IndexUnavailable):
        await index.refresh()
    with pytest.raises(IndexUnavailable):
        await index.neighbours([content(1).signature], 0.1)
    with pytest.raises(IndexUnavailable):
        await all_of(index)

"""What the embedded index refuses, and what it says when SQLite or the disk does not do its part."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator

import pytest

from shared.errors import StateInUse, TransientError, UsageError
from shared.index import documents
from shared.index.port import Index, IndexMismatch, IndexUnavailable
from tests.support.index import EmbeddedPlace, all_of, batch, content, embedded_place, hash_of, photo_file


@pytest.fixture
def place() -> Iterator[EmbeddedPlace]:
    with embedded_place() as place:
        yield place


@pytest.fixture
async def index(place: EmbeddedPlace) -> AsyncIterator[Index]:
    async with place.opened() as index:
        yield index


async def test_only_one_writer_at_a_time(index: Index, place: EmbeddedPlace) -> None:
    with pytest.raises(StateInUse, match="held by process"):
        await place.open()
    await index.close()
    async with place.opened():
        pass


async def test_a_reader_does_not_write(index: Index, place: EmbeddedPlace) -> None:
    async with place.opened(writable=False) as reader:
        with pytest.raises(UsageError):
            await reader.put(*batch([1]))
    assert await all_of(index) == {}


@pytest.mark.parametrize("writable", [True, False])
async def test_other_signature_parameters_are_refused_with_advice(place: EmbeddedPlace, writable: bool) -> None:
    async with place.opened():
        pass
    with pytest.raises(IndexMismatch, match=r"mode 'canonical', not 'exact'.*analysis\.signature.*state_dir"):
        await place.open(mode="exact", writable=writable)
    async with place.opened() as index:  # and nothing is held or changed by the refusal
        await index.put(*batch([1]))


async def test_a_locked_database_is_unavailable_and_then_available(
    monkeypatch: pytest.MonkeyPatch, place: EmbeddedPlace
) -> None:
    monkeypatch.setattr(documents, "LOCKED_SECONDS", 0.05)
    async with place.opened() as index:
        with contextlib.closing(sqlite3.connect(place.folder / "index" / "index.sqlite")) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(IndexUnavailable, match="locked") as caught:
                await index.put(*batch([1]))
            assert isinstance(caught.value, TransientError)
            assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert (await index.put(*batch([1]))).written == 1


@contextlib.contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """The kernel refuses to make any file longer, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_when_the_vector_file_cannot_grow_nothing_is_stored_and_the_next_put_works(index: Index) -> None:
    with no_file_longer_than(1_000_000), pytest.raises(IndexUnavailable):
        await index.put(*batch([1]))
    assert await all_of(index) == {}
    assert await index.contents([hash_of(1)]) == {}
    await holds_after_putting(index, [1, 2])


async def test_when_sqlite_cannot_grow_nothing_is_stored_and_the_next_put_works(
    index: Index, place: EmbeddedPlace
) -> None:
    await index.put(*batch([1]))
    size = (place.folder / "index" / "index.sqlite-wal").stat().st_size
    with no_file_longer_than(size + 10_000), pytest.raises(IndexUnavailable):
        await index.put([photo_file(n) for n in range(2, 2_000)])
    assert len(await all_of(index)) == 1
    await holds_after_putting(index, [2, 3])


async def holds_after_putting(index: Index, numbers: list[int]) -> None:
    assert (await index.put(*batch(numbers))).written == len(numbers)
    await index.refresh()
    answers = await index.neighbours([content(n).signature for n in numbers], 0.1)
    assert [answer.hits for answer in answers] == [((hash_of(n), 0.0),) for n in numbers]


async def test_a_file_that_is_no_database_is_unavailable(place: EmbeddedPlace) -> None:
    (place.folder / "index").mkdir()
    (place.folder / "index" / "index.sqlite").write_bytes(b"this is no database, whatever its name says" * 100)
    for writable in (True, False):
        with pytest.raises(IndexUnavailable, match="not a database"):
            await place.open(writable=writable)
    (place.folder / "index" / "index.sqlite").unlink()
    async with place.opened():  # the lock was given back
        pass


async def test_a_reader_follows_an_index_that_was_replaced(place: EmbeddedPlace) -> None:
    async with place.opened() as index:
        await index.put(*batch([1, 2]))
    async with place.opened(writable=False) as reader:
        assert len(await all_of(reader)) == 2
        shutil.rmtree(place.folder / "index")
        with pytest.raises(IndexUnavailable, match="taken away"):  # not an empty index: photos would look gone
            await reader.refresh()
        async with place.opened() as index:
            await index.put(*batch([3]))
            await reader.refresh()
            assert set(await reader.contents([hash_of(n) for n in range(9)])) == {hash_of(3)}
            [answer] = await reader.neighbours([content(3).signature], 0.1)
            assert answer.hits == ((hash_of(3), 0.0),)


async def test_an_index_that_is_being_made_is_an_empty_one(place: EmbeddedPlace) -> None:
    (place.folder / "index").mkdir()
    (place.folder / "index" / "index.sqlite").touch()
    async with place.opened(writable=False) as reader:
        assert await all_of(reader) == {}
        async with place.opened() as index:
            await index.put(*batch([1]))
            await reader.refresh()
            assert len(await all_of(reader)) == 1


async def test_closing_waits_for_what_is_under_way(place: EmbeddedPlace) -> None:
    index = await place.open()
    puts = [asyncio.ensure_future(index.put(*batch(range(n, n + 100)))) for n in range(0, 1_000, 100)]
    await asyncio.sleep(0)  # every put is handed to its thread
    await index.close()
    assert sum(answer.written for answer in await asyncio.gather(*puts)) == 1_000
    async with place.opened(writable=False) as reader:
        assert len(await all_of(reader)) == 1_000


async def test_a_cancelled_put_leaves_the_index_in_order(index: Index) -> None:
    put = asyncio.ensure_future(index.put(*batch(range(500))))
    await asyncio.sleep(0)
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    await holds_after_putting(index, [1_000])
    assert len(await all_of(index)) in {1, 501}


@pytest.mark.parametrize("text", ["", "ab", "AB", "abc", "no digits", "00" * 32, "0 1", " ab", "ä"])
def test_an_id_comes_back_as_it_was(text: str) -> None:
    assert documents.name(documents.key(text)) == text

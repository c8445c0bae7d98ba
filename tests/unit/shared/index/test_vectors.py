"""The vector file is derived (I6): whatever happens to it, searches give the same, and the writer makes it again."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from shared.index.embedded import FORMAT
from shared.index.port import Index, IndexUnavailable
from shared.index.vectors import (
    BLOCK,
    BLOCK_BYTES,
    HEAD,
    ORDER,
    TAIL,
    Checks,
    VectorFile,
    block_in_memory,
    panels,
    squared,
)
from shared.signature import COMPACT, Signature
from tests.support.index import EmbeddedPlace, content, embedded_place, hash_of

COUNT = 120


def random_rows(count: int, seed: int = 0, *, low: int = -2, high: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high + 1, (count, COMPACT)).astype(np.int8)


@pytest.fixture
async def place() -> EmbeddedPlace:  # type: ignore[misc]
    """With an index of ``COUNT`` contents, closed; beside it ``older.bin``, the vector file of half of them."""
    with embedded_place() as place:
        async with place.opened() as index:
            await index.put([], [content(n) for n in range(COUNT // 2)])
            shutil.copy(vectors_of(place), place.folder / "older.bin")
            await index.put([], [content(n) for n in range(COUNT // 2, COUNT)])
        yield place  # type: ignore[misc]


def vectors_of(place: EmbeddedPlace) -> Path:
    return place.folder / "index" / "vectors.bin"


async def finds_everything(index: Index, count: int = COUNT) -> bool:
    answers = await index.neighbours([content(n).signature for n in range(count)], 0.1)
    return [answer.hits for answer in answers] == [((hash_of(n), 0.0),) for n in range(count)]


def overwrite(offset: int, new: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(new)

    return damage


def truncate(size: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.truncate(size)

    return damage


def older(path: Path) -> None:
    shutil.copy(path.parent.parent / "older.bin", path)


LAST_HEAD = (COUNT - 1) * HEAD
LAST_TAIL = BLOCK * HEAD + (COUNT - 1) * TAIL
DAMAGES = {
    "missing": Path.unlink,
    "empty": truncate(0),
    "short": truncate(BLOCK_BYTES - 1),
    "torn": truncate(BLOCK * HEAD + 50 * TAIL),
    "older": older,
    "first head flipped": overwrite(0, b"\x07"),
    "last head flipped": overwrite(LAST_HEAD + HEAD - 1, b"\x07"),
    "last tail flipped": overwrite(LAST_TAIL + TAIL - 1, b"\x07"),
    "last rows never written": overwrite(LAST_HEAD - 9 * HEAD, bytes(10 * HEAD)),
    "rows of another index": overwrite(0, random_rows(COUNT)[:, :HEAD].tobytes()),
}


@pytest.fixture(params=list(DAMAGES))
def damage(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    return DAMAGES[request.param]


async def test_a_writer_makes_a_wrong_vector_file_again(place: EmbeddedPlace, damage: Callable[[Path], None]) -> None:
    right = vectors_of(place).read_bytes()
    damage(vectors_of(place))
    with capture_logs() as logs:
        async with place.opened() as index:
            assert await finds_everything(index)
    assert [(log["event"], log["blocks"]) for log in logs] == [("index.vectors_rewritten", [0])]
    assert vectors_of(place).read_bytes() == right
    with capture_logs() as logs:
        async with place.opened() as index:
            assert await finds_everything(index)
    assert logs == []


async def test_a_reader_of_a_wrong_vector_file_searches_what_sqlite_says(
    place: EmbeddedPlace, damage: Callable[[Path], None]
) -> None:
    damage(vectors_of(place))
    async with place.opened(writable=False) as reader:
        assert await finds_everything(reader)
        await reader.refresh()
        assert await finds_everything(reader)


async def test_a_reader_follows_a_writer_whose_file_was_taken_away(place: EmbeddedPlace) -> None:
    async with place.opened() as index, place.opened(writable=False) as early:
        vectors_of(place).unlink()
        async with place.opened(writable=False) as late:
            for count in (COUNT + 1, COUNT + 2):
                await index.put([], [content(count - 1)])
                for view in (index, early, late):
                    await view.refresh()
                    assert await finds_everything(view, count)


async def test_a_reader_does_not_believe_rows_that_came_out_wrong(place: EmbeddedPlace) -> None:
    async with place.opened() as index, place.opened(writable=False) as reader:
        await index.put([], [content(COUNT)])
        overwrite(COUNT * HEAD, bytes(HEAD))(vectors_of(place))
        await reader.refresh()
        assert await finds_everything(reader, COUNT + 1)


async def test_damaged_contents_are_an_error_and_not_a_wrong_answer(place: EmbeddedPlace) -> None:
    database = place.folder / "index" / "index.sqlite"
    raw = database.read_bytes()
    where = raw.index(content(7).signature.compact)
    overwrite(where, b"\x01\x01\x01\x01")(database)
    vectors_of(place).unlink()
    with pytest.raises(IndexUnavailable, match="damaged"):
        await place.open()
    with pytest.raises(IndexUnavailable, match="damaged"):
        await place.open(writable=False)


async def test_rows_go_on_in_the_next_block(place: EmbeddedPlace) -> None:
    filler = random_rows(BLOCK + 100 - COUNT, seed=10**9)
    fill = [content(10_000 + n, signature=Signature(row.tobytes())) for n, row in enumerate(filler)]
    async with place.opened() as index, place.opened(writable=False) as reader:
        await index.put([], fill[:-150])
        await reader.refresh()
        await index.put([], fill[-150:])
        for view in (index, reader):
            await view.refresh()
            assert await finds_everything(view)
            last = [fill[n] for n in (0, -151, -150, -101, -100, -1)]
            answers = await view.neighbours([doc.signature for doc in last], 0.1)
            assert [answer.hits for answer in answers] == [((doc.sha256, 0.0),) for doc in last]
    assert vectors_of(place).stat().st_size == 2 * BLOCK_BYTES
    overwrite(BLOCK_BYTES, b"\x07")(vectors_of(place))
    with capture_logs() as logs:
        async with place.opened() as index:
            assert (await index.neighbours([fill[-1].signature], 0.1))[0].hits == ((fill[-1].sha256, 0.0),)
    assert [(log["blocks"], log["rows"]) for log in logs] == [([1], 100)]


@pytest.fixture
def vectors(tmp_path: Path) -> Iterator[VectorFile]:
    file = VectorFile(tmp_path / "vectors.bin", writable=True)
    yield file
    file.close()


@pytest.mark.parametrize("sizes", [[1], [3, 4, 5], [BLOCK], [BLOCK - 1, 2], [BLOCK, 1], [2 * BLOCK + 7]])
def test_checks_do_not_depend_on_how_the_rows_were_put(vectors: VectorFile, sizes: list[int]) -> None:
    rows = random_rows(sum(sizes))
    last, start, every = Checks(block=0), 0, dict[int, Checks]()
    for size in sizes:
        for checks in vectors.append(last, rows[start : start + size]):
            every[checks.block] = last = checks
        start += size
    for number, checks in every.items():
        held = rows[number * BLOCK : (number + 1) * BLOCK]
        assert checks == Checks(block=number).followed_by(*panels(held))
        block = vectors.map(number)
        assert block is not None
        grown = block.grown(checks)
        assert grown is not None
        assert np.array_equal(np.hstack([grown.head, grown.tail])[: len(held)], held[:, ORDER])
        assert np.array_equal(grown.squares[: len(held)], (held.astype(np.int64) ** 2).sum(axis=1))


def test_a_block_does_not_grow_by_rows_it_does_not_hold() -> None:
    head, tail = panels(random_rows(5))
    block = block_in_memory(0)
    block.head[:5], block.tail[:5] = head, tail
    right = Checks(block=0).followed_by(head, tail)
    assert block.grown(right) is not None
    assert block.grown(Checks(block=0, rows=4, head=right.head, tail=right.tail)) is None
    assert block.grown(Checks(block=0, rows=5, head=right.head, tail=right.tail ^ 1)) is None


def test_the_order_is_a_permutation_and_the_head_is_spread_over_the_picture() -> None:
    assert sorted(ORDER) == list(range(COMPACT))
    gaps = np.diff(np.sort(ORDER[:HEAD]))
    assert gaps.max() <= 6


def test_the_layout_is_that_of_format_1() -> None:
    """Whoever changes it raises ``FORMAT``: checks made with another layout would pass, and distances be wrong."""
    assert (FORMAT, BLOCK, HEAD, TAIL, zlib.crc32(ORDER.astype("<u2").tobytes())) == ("1", 65_536, 64, 208, 42263923)


def test_squared_norms_are_exact_for_every_int8() -> None:
    rows = np.vstack([random_rows(5_000, low=-128, high=127), np.full((1, COMPACT), -128, np.int8)])
    assert np.array_equal(squared(rows), (rows.astype(np.int64) ** 2).sum(axis=1))

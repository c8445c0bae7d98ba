"""I2, I3, I5 and what comes back: files are fenced by version, contents stay, tombstones stay."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.index.port import FileDoc, Index
from shared.messages.base import FileStat
from shared.paths import PhotoPath
from tests.contract.index.conftest import NewPlace
from tests.support.index import all_of, batch, content, hash_of, photo_file, signature_of

texts = st.none() | st.text()
counts = st.integers(0, 2**63 - 1)
paths = st.builds(
    PhotoPath,
    st.sampled_from(["photos", "Übersee", "a\nb"]),
    st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4)
    .map(b"/".join)
    .filter(lambda raw: b"\0" not in raw and not {b"", b".", b".."} & set(raw.split(b"/"))),
)
stats = st.builds(
    FileStat,
    size=counts,
    mtime_ns=st.integers(-(2**63), 2**63),
    ctime_ns=counts,
    dev=counts,
    ino=st.integers(0, 2**64 - 1),
    birth_ns=st.none() | counts,
)
files = st.builds(
    FileDoc,
    path=paths,
    version=st.integers(1, 2**63 - 1),
    state=st.sampled_from(["analysed", "unreadable", "gone"]),
    sha256=st.none() | st.integers(0, 5).map(hash_of),
    stat=st.none() | stats,
    known_since=st.floats(0, 2e9),
    reason=texts,
    explanation=texts,
    doubt=texts,
)


@settings(max_examples=25, deadline=None)
@given(docs=st.lists(files, max_size=20, unique_by=lambda doc: doc.path.file_id))
async def test_files_come_back_as_they_were_put_whatever_their_names(new_place: NewPlace, docs: list[FileDoc]) -> None:
    with new_place() as place:
        async with place.opened() as index:
            assert (await index.put(docs)).written == len(docs)
            ids = [doc.path.file_id for doc in docs]
            assert await index.files([*ids, "0" * 32, "not hexadecimal"]) == dict(zip(ids, docs, strict=True))
            assert await index.highest_version() == max((doc.version for doc in docs), default=0)
            for root in {doc.path.root for doc in docs}:
                assert await all_of(index, root) == {doc.path.file_id: doc for doc in docs if doc.path.root == root}


async def test_contents_come_back_as_they_were_put(index: Index, reader: Index) -> None:
    docs = [content(n) for n in range(700)]
    await index.put([], docs)
    expected = {doc.sha256: doc for doc in docs}
    assert await index.contents([*expected, hash_of(-1)]) == expected
    assert await reader.contents(list(expected)) == expected


async def test_i3_a_content_put_twice_stays_as_it_was_first_stored(index: Index) -> None:
    first, second = content(1), content(1, signature=signature_of(99))
    await index.put([], [first, second])
    await index.put([], [second])
    await index.refresh()
    assert await index.contents([hash_of(1)]) == {hash_of(1): first}
    nearest, farther = await index.neighbours([first.signature, second.signature], 0.1)
    assert nearest.hits == ((hash_of(1), 0.0),)
    assert farther.hits == ()


async def test_s18_an_older_or_equal_version_never_replaces_a_file(index: Index) -> None:
    stored = photo_file(1, version=5)
    await index.put([stored])
    for version in (1, 4, 5):
        answer = await index.put([replace(photo_file(1, version=version), doubt="late"), photo_file(100 + version)])
        assert (answer.written, dict(answer.stale)) == (1, {stored.path.file_id: 5})
    assert (await index.files([stored.path.file_id]))[stored.path.file_id] == stored


async def test_i2_a_newer_version_replaces_every_field(index: Index) -> None:
    await index.put([replace(photo_file(1), doubt="tail of zeros")])
    newer = FileDoc(path=photo_file(1).path, version=2, state="unreadable", reason="corrupt", explanation="No picture.")
    assert await index.put([newer]) == await index.put([replace(newer, path=photo_file(2).path)])
    assert (await index.files([newer.path.file_id]))[newer.path.file_id] == newer


async def test_i2_a_file_named_twice_in_a_put_ends_at_its_highest_version(index: Index) -> None:
    versions = [3, 7, 5, 7]
    answer = await index.put([photo_file(1, version=v) for v in versions])
    doc = photo_file(1, version=7)
    assert dict(answer.stale) == {doc.path.file_id: 7}
    assert answer.written == 2
    assert await index.files([doc.path.file_id]) == {doc.path.file_id: doc}


async def test_i2_of_concurrent_puts_the_highest_version_stays(index: Index, reader: Index) -> None:
    puts = [photo_file(n, version=v) for n in range(20) for v in range(1, 21)]
    random.Random(7).shuffle(puts)
    answers = await asyncio.gather(*(index.put(puts[n : n + 10]) for n in range(0, len(puts), 10)))
    assert {doc.version for doc in (await all_of(reader)).values()} == {20}
    for answer in answers:
        assert answer.written + len(answer.stale) <= 10
        assert all(version > 1 for version in answer.stale.values())


async def test_files_of_a_content_are_the_live_ones(index: Index) -> None:
    copies = [photo_file(n, of=1) for n in range(3)]
    gone = replace(photo_file(3, of=1), state="gone", reason="vanished")
    unreadable = replace(photo_file(4, of=1), state="unreadable", reason="corrupt")
    await index.put([*copies, gone, unreadable, photo_file(5, of=2)], [content(1)])
    found = await index.files_of([hash_of(1), hash_of(2), hash_of(3)])
    assert {sha: {doc.path for doc in docs} for sha, docs in found.items() if docs} == {
        hash_of(1): {doc.path for doc in copies},
        hash_of(2): {photo_file(5).path},
    }


async def test_i5_a_file_that_is_gone_stays_as_a_tombstone_and_can_come_back(index: Index) -> None:
    there = photo_file(1)
    gone = replace(there, version=2, state="gone", reason="vanished")
    await index.put([there], [content(1)])
    await index.put([gone])
    assert await index.files([there.path.file_id]) == {there.path.file_id: gone}
    assert await all_of(index) == {there.path.file_id: gone}
    assert not (await index.files_of([hash_of(1)])).get(hash_of(1))
    assert hash_of(1) in await index.contents([hash_of(1)])
    await index.put([replace(there, version=3)])
    assert len((await index.files_of([hash_of(1)]))[hash_of(1)]) == 1


async def test_walk_gives_every_file_of_its_root_once_however_many(index: Index) -> None:
    here, there = range(2_345), range(1_000)
    await index.put([photo_file(n) for n in here] + [photo_file(n, root="other") for n in there])
    seen = [doc.path async for doc in index.walk("photos")]
    assert len(seen) == len(set(seen)) == len(here)
    assert len([doc async for doc in index.walk("other")]) == len(there)
    assert [doc async for doc in index.walk("nowhere")] == []


async def test_walk_may_be_left_early_and_be_written_beside(index: Index) -> None:
    await index.put(*batch(range(1_500)))
    seen = set()
    async for doc in index.walk("photos"):
        if not seen:
            await index.put([replace(doc, version=2)])
        seen.add(doc.path)
    assert len(seen) == 1_500
    async for _ in index.walk("photos"):
        break


async def test_highest_version_counts_tombstones_and_every_root(index: Index) -> None:
    assert await index.highest_version() == 0
    await index.put([photo_file(1, version=7), replace(photo_file(2, version=2**62, root="b"), state="gone")])
    assert await index.highest_version() == 2**62


async def test_count_leaves_out_what_is_gone_and_other_roots(index: Index) -> None:
    assert await index.count("photos") == 0
    await index.put([photo_file(n) for n in range(5)])
    await index.put([replace(photo_file(1, version=7), state="gone"), photo_file(9, root="b")])
    await index.put([replace(photo_file(2, version=7), state="unreadable")])
    assert (await index.count("photos"), await index.count("b"), await index.count("c")) == (4, 1, 0)

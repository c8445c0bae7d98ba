"""Which server and which indices are taken, and the one sentence about those that are not."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import Any, NoReturn

import pytest
import structlog
from structlog.typing import EventDict

from shared.errors import UsageError
from shared.index.elastic import Access, ElasticIndex
from shared.index.elastic.opening import is_fit
from shared.index.port import Index, IndexMismatch, IndexUnavailable
from tests.support.index import ElasticPlace, all_of, batch, content, hash_of


def call(url: str, method: str = "GET", body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize("writable", [True, False])
async def test_other_signature_parameters_are_refused_with_advice(place: ElasticPlace, writable: bool) -> None:
    async with place.opened():
        pass
    with pytest.raises(IndexMismatch, match=r"mode 'canonical', not 'exact'.*analysis\.signature.*index_name"):
        await place.open(mode="exact", writable=writable)
    async with place.opened() as index:
        await index.put(*batch([1]))


async def test_another_format_is_refused_with_the_command_that_migrates(place: ElasticPlace) -> None:
    async with place.opened():
        pass
    age(place)
    with pytest.raises(IndexMismatch, match="photosift migrate-index"):
        await place.open()


def age(place: ElasticPlace) -> None:
    """As if an older photosift had made the indices."""
    for kind in ("contents", "files"):
        meta = {"photosift": {"format": "0", "mode": "canonical", "values": "272"}}
        call(f"{place.url}/{place.name}-{kind}/_mapping", "PUT", {"_meta": meta})


async def test_somebody_elses_index_is_refused(place: ElasticPlace) -> None:
    call(f"{place.url}/{place.name}-contents", "PUT", {})
    with pytest.raises(IndexMismatch, match="was not made by photosift"):
        await place.open()


async def test_a_writer_that_may_not_make_the_indices_waits_and_says_how_they_come(place: ElasticPlace) -> None:
    access = Access.of(place.url, name=place.name, create=False)
    with pytest.raises(UsageError, match=r"index_create is false .* run photosift setup"):
        await ElasticIndex.open(access, writable=True, mode="canonical", patience=1)
    assert call(f"{place.url}/{place.name}-*/_settings") == {}


async def test_a_writer_that_may_not_make_the_indices_goes_on_once_they_are_there(place: ElasticPlace) -> None:
    access = Access.of(place.url, name=place.name, create=False)
    said: list[str] = []
    awaited = asyncio.Event()

    def heard(_: object, __: str, entry: EventDict) -> NoReturn:
        said.append(entry["event"])
        awaited.set()
        raise structlog.DropEvent

    structlog.configure(processors=[heard])
    waiting = asyncio.create_task(ElasticIndex.open(access, writable=True, mode="canonical", patience=60))
    await awaited.wait()
    await (await place.open()).close()
    index = await waiting
    assert (await index.put(*batch([1]))).written == 1
    await index.close()
    assert said == ["index.awaited", "index.created", "index.created"]


async def test_two_writers_that_come_at_once_make_one_index(place: ElasticPlace) -> None:
    first, second = await asyncio.gather(place.open(), place.open())
    await first.put(*batch([1]))
    assert (await second.put(*batch([1]))).written == 0
    for index in (first, second):
        await index.close()
    assert len(call(f"{place.url}/{place.name}-*/_settings")) == 2


async def test_a_reader_does_not_write(place: ElasticPlace, index: Index) -> None:
    async with place.opened(writable=False) as reader:
        with pytest.raises(UsageError):
            await reader.put(*batch([1]))
    assert await all_of(index) == {}


async def test_an_index_that_was_taken_away_is_not_an_empty_one(place: ElasticPlace, index: Index) -> None:
    await index.put(*batch([1]))
    for kind in ("contents", "files"):
        call(f"{place.url}/{place.name}-{kind}-000001", "DELETE")
    for asking in (
        index.refresh(),
        index.contents([hash_of(1)]),
        index.neighbours([content(1).signature], 0.1),
        index.highest_version(),
        index.put(*batch([2])),
        all_of(index),
    ):
        with pytest.raises(IndexUnavailable):
            await asking
    assert call(f"{place.url}/{place.name}-*/_settings") == {}, "nobody made another one on the way"


@pytest.mark.parametrize("writable", [True, False])
async def test_where_nobody_listens_is_one_sentence(writable: bool) -> None:
    with pytest.raises(IndexUnavailable, match=r"http://127\.0\.0\.1:1 does not answer"):
        await ElasticIndex.open(Access.of("http://127.0.0.1:1"), writable=writable, mode="canonical", patience=0)


@pytest.mark.parametrize(
    ("version", "fit"), [("8.17.9", False), ("7.17.0", False), ("8.18.0", True), ("8.19.21", True), ("9.1.0", True), ("10.0.0", False)]
)  # fmt: skip
def test_versions_that_can_do_what_is_asked_of_them(version: str, fit: bool) -> None:
    assert is_fit(version) is fit


async def test_a_server_that_is_too_old_is_named_with_its_version(
    place: ElasticPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.index.elastic import opening

    monkeypatch.setattr(opening, "OLDEST", (8, 99))  # the real server is older than that
    with pytest.raises(UsageError, match=r"is Elasticsearch 8\.\d+\.\d+; photosift needs 8\.99 to 9\.x"):
        await place.open()

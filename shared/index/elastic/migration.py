"""Carrying an index over to the present format: copied by this client, checked, then the alias is moved to the copy.

Nothing is analysed anew, and nothing is removed: the old index stays, closed to writes, until somebody deletes it.
What is interrupted leaves the old one in force; the half copy is thrown away by the next try.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import structlog

from shared.index.elastic.access import Access
from shared.index.elastic.codec import content_doc, file_doc
from shared.index.elastic.layout import (
    KINDS,
    Kind,
    Parameters,
    alias_of,
    made_with,
    number_of,
    numbered,
    parameters_for,
    refuse_mismatch,
)
from shared.index.elastic.link import Link
from shared.index.elastic.opening import create, reach
from shared.index.elastic.troubles import IndexGone, refuse_partial
from shared.index.elastic.writing import Operation, bulk, content_operation, file_operation
from shared.index.port import IndexMismatch, IndexUnavailable

log = structlog.get_logger()

PAGE = 500
#: how long the server keeps a page's place between two pages
KEPT = "5m"
PATIENCE = 120.0


async def migrate(access: Access, *, mode: str) -> list[str]:
    """Bring both indices to the present format; a line for a person about each that was old.

    Raises ``IndexMismatch`` where another format is not all that differs, and as ``ElasticIndex.open``.
    """
    link = Link(access)
    try:
        await reach(link, PATIENCE)
        parameters = parameters_for(mode)
        return [line for kind in KINDS if (line := await _migrated(link, kind, parameters)) is not None]
    finally:
        await link.close()


async def _migrated(link: Link, kind: Kind, parameters: Parameters) -> str | None:
    old, found = await _present(link, kind)
    if found == parameters:
        return None
    refuse_mismatch(old, {**found, "format": parameters["format"]} if found else {}, parameters)
    new = numbered(link.access.name, kind, number_of(old) + 1)
    await _close_to_writes(link, old)
    try:
        await _throw_away(link, new)
        await create(link, kind, parameters, number=number_of(new), aliased=False)
        count = await _copy(link, kind, old, new)
        await _swap(link, alias_of(link.access.name, kind), old, new)
    except BaseException:
        await _open_to_writes(link, old)
        raise
    log.info("index.migrated", old=old, new=new, documents=count)
    return f"{old} is {new} now, with {count} documents; delete {old} when you are content"


async def _present(link: Link, kind: Kind) -> tuple[str, Mapping[str, str]]:
    """The index behind the alias, and what it was made with."""
    alias = alias_of(link.access.name, kind)
    try:
        answer = await link.ask(lambda client: client.indices.get_mapping(index=alias))
    except IndexGone as error:
        raise IndexMismatch(f"{alias} is not at {link.url}: there is nothing to migrate") from error
    [(index, held)] = answer.body.items()
    return index, made_with(held["mappings"])


async def _copy(link: Link, kind: Kind, old: str, new: str) -> int:
    """All documents; raises ``IndexUnavailable`` when not all of them arrived."""
    await link.ask(lambda client: client.indices.refresh(index=old))
    count = 0
    async for hits in _pages(link, old):
        await bulk(link, [_operation(kind, hit, new) for hit in hits], require_alias=False)
        count += len(hits)
    await link.ask(lambda client: client.indices.refresh(index=new))
    arrived = (await link.ask(lambda client: client.count(index=new)))["count"]
    if arrived != count:
        raise IndexUnavailable(f"{arrived} of {count} documents of {old} arrived in {new}")
    return count


def _operation(kind: Kind, hit: Mapping[str, Any], new: str) -> Operation:
    if kind == "contents":
        return content_operation(content_doc(hit["_id"], hit["_source"]), new)
    return file_operation(file_doc(hit["_source"]), new)


async def _pages(link: Link, index: str) -> AsyncIterator[list[Mapping[str, Any]]]:
    opened = await link.ask(lambda client: client.open_point_in_time(index=index, keep_alive=KEPT))
    place, after = opened["id"], None
    try:
        while True:
            answer = await _page(link, place, after)
            hits = answer["hits"]["hits"]
            if not hits:
                return
            yield hits
            place, after = answer["pit_id"], hits[-1]["sort"]
    finally:
        await link.ask(lambda client: client.close_point_in_time(id=place))


async def _page(link: Link, place: str, after: list[Any] | None) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = await link.ask(
        lambda client: client.search(
            pit={"id": place, "keep_alive": KEPT}, sort=[{"_shard_doc": "asc"}], search_after=after, size=PAGE
        )
    )
    refuse_partial(answer, link.url)
    return answer


async def _swap(link: Link, alias: str, old: str, new: str) -> None:
    """In one step: nobody finds none, or both."""
    actions: list[dict[str, Any]] = [
        {"remove": {"index": old, "alias": alias}},
        {"add": {"index": new, "alias": alias, "is_write_index": True}},
    ]
    await link.ask(lambda client: client.indices.update_aliases(actions=actions))


async def _close_to_writes(link: Link, index: str) -> None:
    await link.ask(lambda client: client.indices.add_block(index=index, block="write"))


async def _open_to_writes(link: Link, index: str) -> None:
    await link.ask(lambda client: client.indices.put_settings(index=index, settings={"index.blocks.write": None}))


async def _throw_away(link: Link, index: str) -> None:
    """The half copy of a try that was interrupted; it has no alias."""
    await link.ask(lambda client: client.indices.delete(index=index, ignore_unavailable=True))

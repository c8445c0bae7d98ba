"""Searches: batches of questions, each put deeper until its answer is whole; and lists that are read to their end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from shared.index.elastic.layout import Kind, alias_of
from shared.index.elastic.link import Link
from shared.index.elastic.questions import Hits, Question, answered, settled
from shared.index.elastic.troubles import refuse_partial
from shared.index.port import Neighbours
from shared.signature import Signature

#: questions of one request, and hits that their answers may hold together
TOGETHER = 50
HITS_TOGETHER = 20_000
#: documents of one page, and ids of one request
PAGE = 2_000


async def neighbours(link: Link, queries: Sequence[Signature], max_distance: float, limit: int) -> list[Neighbours]:
    """I4; the featureless have none."""
    if not max_distance >= 0:  # not a number, too
        return [Neighbours(hits=())] * len(queries)
    asking = {n: query for n, query in enumerate(queries) if not query.is_featureless}
    count_now = await count(link, "contents") if asking else 0
    waiting = [
        (n, Question(query=query, max_distance=max_distance, limit=limit, count=count_now))
        for n, query in asking.items()
    ]
    parts: dict[int, list[Hits]] = {n: [] for n in range(len(queries))}
    while waiting:
        again: list[tuple[int, Question]] = []
        for some in _batches(waiting):
            answers = await _ask(link, [question for _, question in some])
            for (n, question), answer in zip(some, answers, strict=True):
                hits = settled(question, answer)
                if hits is None:
                    again += [(n, deeper) for deeper in question.deeper()]
                else:
                    parts[n].append(hits)
        waiting = again
    return [answered(parts[n], limit) for n in range(len(queries))]


def _batches(waiting: Sequence[tuple[int, Question]]) -> Iterator[list[tuple[int, Question]]]:
    """[pure] As many as one request may hold."""
    batch: list[tuple[int, Question]] = []
    for each in waiting:
        if batch and (len(batch) == TOGETHER or (len(batch) + 1) * each[1].k > HITS_TOGETHER):
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch


async def _ask(link: Link, questions: Sequence[Question]) -> list[Mapping[str, Any]]:
    head = {"index": alias_of(link.access.name, "contents"), **_WHOLE}
    searches = [part for question in questions for part in (head, question.body)]
    answer = await link.ask(lambda client: client.msearch(searches=searches))
    for each in answer["responses"]:
        refuse_partial(each, link.url)
    found: list[Mapping[str, Any]] = answer["responses"]
    return found


#: the same copy of each shard for all searches of a process, and no answer rather than half of one
_WHOLE: dict[str, Any] = {"allow_partial_search_results": False, "preference": "photosift"}


async def count(link: Link, kind: Kind, query: Mapping[str, Any] | None = None) -> int:
    """How many visible documents there are, or those that a query finds."""
    answer = await link.ask(lambda client: client.count(index=alias_of(link.access.name, kind), query=query))
    refuse_partial(answer, link.url)
    return int(answer["count"])


async def refresh(link: Link, *kinds: Kind) -> None:
    """Everything written so far is visible to every search that starts now (I1)."""
    names = [alias_of(link.access.name, kind) for kind in kinds]
    answer = await link.ask(lambda client: client.indices.refresh(index=names))
    refuse_partial(answer, link.url)


async def files(link: Link, query: Mapping[str, Any]) -> AsyncIterator[list[Mapping[str, Any]]]:
    """Sources of all file documents that a query finds, by page, ordered by id."""
    after: list[Any] | None = None
    while True:
        hits = await _page(link, query, after)
        yield [hit["_source"] for hit in hits]
        if len(hits) < PAGE:
            return
        after = hits[-1]["sort"]


async def _page(link: Link, query: Mapping[str, Any], after: list[Any] | None) -> list[Mapping[str, Any]]:
    answer = await link.ask(
        lambda client: client.search(
            index=alias_of(link.access.name, "files"),
            query=query,
            sort=[{"id": "asc"}],
            search_after=after,
            size=PAGE,
            track_total_hits=False,
            **_WHOLE,
        )
    )
    refuse_partial(answer, link.url)
    found: list[Mapping[str, Any]] = answer["hits"]["hits"]
    return found


async def highest_version(link: Link) -> int:
    """By sorting: an aggregation would round it to a double."""
    answer = await link.ask(
        lambda client: client.search(
            index=alias_of(link.access.name, "files"),
            sort=[{"version": "desc"}],
            size=1,
            source_includes=["version"],
            track_total_hits=False,
            **_WHOLE,
        )
    )
    refuse_partial(answer, link.url)
    return max((hit["_source"]["version"] for hit in answer["hits"]["hits"]), default=0)


async def by_id(
    link: Link, kind: Kind, ids: Sequence[str], fields: Sequence[str] | None = None
) -> dict[str, Mapping[str, Any]]:
    """Sources by id, as last written: no refresh is needed."""
    asked, found = list(dict.fromkeys(ids)), {}
    for start in range(0, len(asked), PAGE):
        for each in await _some_by_id(link, alias_of(link.access.name, kind), asked[start : start + PAGE], fields):
            refuse_partial(each, link.url)
            if each["found"]:
                found[each["_id"]] = each["_source"]
    return found


async def _some_by_id(
    link: Link, index: str, ids: Sequence[str], fields: Sequence[str] | None
) -> list[Mapping[str, Any]]:
    answer = await link.ask(lambda client: client.mget(index=index, ids=ids, source=fields))
    docs: list[Mapping[str, Any]] = answer["docs"]
    return docs

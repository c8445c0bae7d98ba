"""Bulk writes: every item's own answer is looked at, and none that failed is called done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.index.elastic.codec import content_source, file_source
from shared.index.elastic.layout import alias_of
from shared.index.elastic.link import Link
from shared.index.elastic.troubles import IndexReadOnly, of_complaint
from shared.index.port import ContentDoc, FileDoc

#: bytes of one request; a larger one the client would send in one piece while everything else waits
LARGEST = 1_000_000
CONFLICT = 409

Operation = tuple[dict[str, Any], dict[str, Any]]


def content_operation(doc: ContentDoc, index: str) -> Operation:
    """The first one stays (I3)."""
    return {"create": {"_index": index, "_id": doc.sha256}}, content_source(doc)


def file_operation(doc: FileDoc, index: str) -> Operation:
    """An older or equal version is refused by the server (I2, S18)."""
    version = {"version": doc.version, "version_type": "external"}
    return {"index": {"_index": index, "_id": doc.path.file_id, **version}}, file_source(doc)


async def put_contents(link: Link, docs: Sequence[ContentDoc]) -> None:
    index = alias_of(link.access.name, "contents")
    await bulk(link, [content_operation(doc, index) for doc in docs])


async def put_files(link: Link, docs: Sequence[FileDoc]) -> list[str]:
    """Ids of the files that have an equal or newer version already, one for each document that was refused."""
    index = alias_of(link.access.name, "files")
    return await bulk(link, [file_operation(doc, index) for doc in docs])


async def bulk(link: Link, operations: Sequence[Operation], *, require_alias: bool = True) -> list[str]:
    """Write all; the ids of those that conflicted with what is there. Raises as ``Link.ask``."""
    conflicts: list[str] = []
    for lines in chunks(operations):
        conflicts += _conflicts(link, await _send(link, lines, require_alias))
    if operations:
        link.is_writable()
    return conflicts


async def _send(link: Link, lines: Any, require_alias: bool) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = await link.ask(
        lambda client: client.bulk(operations=lines, require_alias=require_alias)
    )
    return answer


def _conflicts(link: Link, answer: Mapping[str, Any]) -> list[str]:
    found = []
    for item in answer["items"] if answer["errors"] else ():
        [result] = item.values()
        if result["status"] == CONFLICT:
            found.append(result["_id"])
        elif "error" in result:
            error = of_complaint(result["status"], result["error"], link.url)
            raise link.is_read_only(error) if isinstance(error, IndexReadOnly) else error
    return found


def chunks(operations: Sequence[Operation]) -> Iterator[list[str]]:
    """[pure] Requests of a size that holds up neither the event loop nor a small server, as lines of JSON."""
    lines: list[str] = []
    size = 0
    for operation in operations:
        texts = [json.dumps(part, separators=(",", ":"), ensure_ascii=False) for part in operation]
        length = sum(len(text.encode()) + 1 for text in texts)
        if lines and size + length > LARGEST:
            yield lines
            lines, size = [], 0
        lines += texts
        size += length
    if lines:
        yield lines

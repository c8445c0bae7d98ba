"""Finding the indices, or making them: right server, right parameters, right to write; or one clear sentence."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import structlog
from elasticsearch import BadRequestError

from shared.errors import UsageError
from shared.index.elastic.layout import (
    KINDS,
    Kind,
    Parameters,
    alias_of,
    made_with,
    mappings_of,
    numbered,
    refuse_mismatch,
    settings_of,
)
from shared.index.elastic.link import Link
from shared.index.elastic.troubles import IndexGone, NotElasticsearch, NotPermitted
from shared.index.port import IndexMismatch, IndexUnavailable

log = structlog.get_logger()

#: outside of these nobody tried
OLDEST, NEWEST = (8, 18), 9
LOOK_EVERY = 1.0
READS = ("read", "maintenance", "view_index_metadata")
#: nothing is ever deleted, so ``write`` would be too much
WRITES = (*READS, "index")


async def reach(link: Link, patience: float) -> None:
    """Wait for the server; then refuse one that cannot be used. Raises ``UsageError``, ``IndexUnavailable``."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        try:
            return await _refuse_unfit(link)
        except NotElasticsearch as error:
            raise UsageError(f"index_url: {error.detail}") from error
        except NotPermitted as error:
            raise UsageError(f"index_url: {error.detail} ({link.access.who})") from error
        except IndexUnavailable:  # the link has said it
            if loop.time() >= deadline:
                raise
        await asyncio.sleep(LOOK_EVERY)


async def _refuse_unfit(link: Link) -> None:
    """By the version of each node: not every distribution answers ``GET /``."""
    answer = await link.ask(
        lambda client: client.nodes.info(node_id="_all", metric="_none", filter_path="nodes.*.version")
    )
    for version in sorted({node["version"] for node in answer["nodes"].values()}):
        if not is_fit(version):
            wanted = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST}.x"
            raise UsageError(f"index_url: {link.url} is Elasticsearch {version}; photosift needs {wanted}")


def is_fit(version: str) -> bool:
    """[pure]"""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    return numbers >= OLDEST and numbers[0] <= NEWEST


async def refuse_missing_rights(link: Link, *, writable: bool) -> None:
    """Raises ``UsageError`` that names what is missing; says nothing of a server without users."""
    access = link.access
    if not access.user and not access.api_key:
        return
    wanted = [*(WRITES if writable else READS), *(["create_index"] if writable and access.create else [])]
    names = [alias_of(access.name, kind) for kind in KINDS]
    asked = [{"names": names, "privileges": wanted}]
    answer = await link.ask(lambda client: client.security.has_privileges(index=asked))
    missing = sorted({right for held in answer["index"].values() for right, there in held.items() if not there})
    if missing:
        raise UsageError(f"index_url: {access.who} lacks rights on {access.name}-* at {link.url}: {', '.join(missing)}")


async def found(link: Link, parameters: Parameters) -> bool:
    """Whether both indices are there, and as they must be. Raises ``IndexMismatch``."""
    mappings = [await _mapping(link, kind) for kind in KINDS]
    for kind, mapping in zip(KINDS, mappings, strict=True):
        if mapping is not None:
            refuse_mismatch(alias_of(link.access.name, kind), made_with(mapping), parameters)
    return None not in mappings


async def _mapping(link: Link, kind: Kind) -> Mapping[str, Any] | None:
    alias = alias_of(link.access.name, kind)
    try:
        answer = await link.ask(lambda client: client.indices.get_mapping(index=alias))
    except IndexGone:
        return None
    if len(answer.body) > 1:
        raise IndexMismatch(f"{alias} stands for {len(answer.body)} indices at {link.url}: {', '.join(answer.body)}")
    mapping: Mapping[str, Any] = next(iter(answer.body.values()))["mappings"]
    return mapping


async def make(link: Link, parameters: Parameters, patience: float) -> None:
    """Make what is missing; another process may be doing the same. Or wait for who makes it, where we may not.

    Raises ``IndexMismatch``, and ``UsageError`` when nobody made it.
    """
    if not link.access.create:
        return await _await_indices(link, parameters, patience)
    for kind in KINDS:
        if await _mapping(link, kind) is None:
            await create(link, kind, parameters, number=1, aliased=True)
            log.info("index.created", name=alias_of(link.access.name, kind), url=link.url)


async def _await_indices(link: Link, parameters: Parameters, patience: float) -> None:
    loop = asyncio.get_running_loop()
    deadline, said = loop.time() + patience, False
    while not await found(link, parameters):
        name = link.access.name
        if loop.time() >= deadline:
            raise UsageError(
                f"index_create is false and {name}-* is not at {link.url}; run photosift setup, or set it to true"
            )
        if not said:
            log.info("index.awaited", name=name, url=link.url, what_now="waiting for photosift setup to make it")
        said = True
        await asyncio.sleep(LOOK_EVERY)


async def create(link: Link, kind: Kind, parameters: Parameters, *, number: int, aliased: bool) -> None:
    """An empty index; where ``aliased``, in one step with its alias, so that nobody meets one without the other."""
    alias, name = alias_of(link.access.name, kind), numbered(link.access.name, kind, number)

    async def call(client: Any) -> None:
        try:
            await client.indices.create(
                index=name,
                settings=settings_of(kind),
                mappings=mappings_of(kind, parameters),
                aliases={alias: {"is_write_index": True}} if aliased else None,
            )
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise

    await link.ask(call)

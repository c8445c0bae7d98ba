"""Storing many messages: in atomic batches, which cost one fsync each; one by one where the server wants that.

ADR-50 (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md): the messages of a batch carry
its id and their place; the server stores all of them at the commit, or none.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Iterator, Sequence
from itertools import groupby
from typing import Any

import structlog

from shared.bus.jetstream.answers import checked
from shared.bus.jetstream.link import Link
from shared.bus.jetstream.storing import Letter, store
from shared.errors import PermanentError

log = structlog.get_logger()

#: messages in one batch (the server takes 1,000)
BATCH = 500
#: bytes in one batch: no more than nats-py buffers
BATCH_BYTES = 1 << 20
#: messages under way at once where they are stored one by one (bus.md: 32 k/s)
AT_ONCE = 64


async def store_many(link: Link, letters: Sequence[Letter]) -> None:
    """All are stored when this returns (G1); those about the same file in the order given. Raises as ``store``."""
    for chunk in chunks(letters):
        if len(chunk) == 1 or not await _stored_as_batch(link, chunk):
            await _one_by_one(link, chunk)


def chunks(letters: Sequence[Letter]) -> Iterator[list[Letter]]:
    """[pure] In order, cut at what one batch may hold."""
    chunk: list[Letter] = []
    size = 0
    for letter in letters:
        if chunk and (len(chunk) == BATCH or size + len(letter.payload) > BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(letter)
        size += len(letter.payload)
    if chunk:
        yield chunk


async def _stored_as_batch(link: Link, letters: Sequence[Letter]) -> bool:
    """False where the server will not have it as a batch: one of the ids is known already, or it knows no batches.

    Then some may be stored; storing them again one by one changes nothing, since their ids are known.
    """
    batch, (first, *between, last) = secrets.token_hex(16), letters
    try:
        if await link.ask(first.subject, first.payload, headers=_placed(first, batch, 1)):
            return False  # an answer of substance before the commit: stored alone, by a server that knows no batches
        for place, letter in enumerate(between, 2):
            await link.send(letter.subject, letter.payload, headers=_placed(letter, batch, place))
        commit = {**_placed(last, batch, len(letters)), "Nats-Batch-Commit": "1"}
        answer = checked(await link.ask(last.subject, last.payload, headers=commit), last.subject)
    except PermanentError as error:
        log.debug("bus.batch_refused", size=len(letters), error=str(error))
        return False
    return answer.get("count") == len(letters)


def _placed(letter: Letter, batch: str, place: int) -> dict[str, str]:
    return {**letter.headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(place)}


async def _one_by_one(link: Link, letters: Sequence[Letter]) -> None:
    by_file = sorted(letters, key=lambda letter: letter.about)  # stable: within one file the order stays
    runs = iter([list(run) for _, run in groupby(by_file, key=lambda letter: letter.about)])

    async def storer() -> None:
        for run in runs:
            for letter in run:
                await store(link, letter)

    await _together([storer() for _ in range(min(AT_ONCE, len(letters)))])


async def _together(storers: Sequence[Coroutine[Any, Any, None]]) -> None:
    """All of them; the first failure ends the others and is raised itself."""
    tasks = [asyncio.ensure_future(s) for s in storers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

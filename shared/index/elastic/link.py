"""One connection to Elasticsearch: short troubles are tried again, longer ones are said once and spare the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
import tenacity
from elasticsearch import AsyncElasticsearch

from shared.index.elastic.access import Access
from shared.index.elastic.troubles import (
    RAISED,
    IndexGone,
    IndexReadOnly,
    IndexRefused,
    translated,
    worth_another_try,
)
from shared.index.port import IndexUnavailable

log = structlog.get_logger()

Raised = TypeVar("Raised", bound=Exception)
Call = Callable[[AsyncElasticsearch], Awaitable[Any]]
#: tries of one call, and seconds between them: at most so long, growing, no two callers in step
TRIES = 4
LONGEST_PAUSE = 2.0
#: seconds for which nobody asks after an outage was found, doubling up to the last
CLOSED_FOR = (0.25, 5.0)


@dataclass
class Circuit:
    """After a failure calls fail at once; now and then one goes through to see whether the outage is over."""

    why: str = ""
    closed_for: float = CLOSED_FOR[0]
    until: float = 0.0
    somebody_looks: bool = False

    def may_pass(self, now: float) -> bool:
        return not self.why or (now >= self.until and not self.somebody_looks)

    def fails(self, why: str, now: float) -> bool:
        """True when this is news."""
        self.closed_for = min(self.closed_for * 2, CLOSED_FOR[1]) if self.why else CLOSED_FOR[0]
        news, self.why, self.until = not self.why, why, now + self.closed_for
        return news

    def works(self) -> bool:
        """True when this is news."""
        news, self.why = bool(self.why), ""
        return news


class Link:
    """Calls that raise photosift's errors. What it has said in the log, its errors say with ``said``."""

    def __init__(self, access: Access) -> None:
        self.access, self.url = access, access.url
        self._client = access.client()
        self._circuit = Circuit()
        self._read_only = ""
        self._closed = False

    def complaint(self) -> str | None:
        """What is wrong now, for ``/readyz``."""
        return self._circuit.why or self._read_only or None

    async def ask(self, call: Call) -> Any:
        """The answer. Raises ``IndexUnavailable``, ``IndexGone``, ``IndexReadOnly`` or ``IndexRefused``."""
        if self._closed:
            raise IndexUnavailable("it is closed")
        circuit, loop = self._circuit, asyncio.get_running_loop()
        if not circuit.may_pass(loop.time()):
            raise _said(IndexUnavailable(circuit.why))
        looks = bool(circuit.why)
        circuit.somebody_looks |= looks
        try:
            return await self._asked(call)
        finally:
            if looks:
                circuit.somebody_looks = False

    async def _asked(self, call: Call) -> Any:
        try:
            answer = await _patiently(call, self._client)
        except RAISED as error:
            raise self._told(translated(error, self.url)) from error
        self._works()
        return answer

    def _told(self, error: Exception) -> Exception:
        """The error, after the log knows of it and the circuit minds it."""
        if isinstance(error, IndexReadOnly):
            return self.is_read_only(error)
        if isinstance(error, IndexGone | IndexRefused):
            self._works()  # it answers
            return error
        if self._circuit.fails(error.detail if isinstance(error, IndexUnavailable) else str(error), self._now()):
            log.warning("index.unavailable", why=str(error), what_now="waiting for it; nothing is lost meanwhile")
        return _said(error)

    def _works(self) -> None:
        if self._circuit.works():
            log.info("index.available_again", url=self.url)

    def is_read_only(self, error: IndexReadOnly) -> IndexReadOnly:
        """A write was refused though the server is well: said once, until one works again."""
        if not self._read_only:
            log.error("index.read_only", why=error.detail)
        self._read_only = error.detail
        return _said(error)

    def is_writable(self) -> None:
        if self._read_only:
            log.info("index.writable_again", url=self.url)
        self._read_only = ""

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def close(self) -> None:
        """A second call does nothing."""
        self._closed = True
        await self._client.close()


def _said(error: Raised) -> Raised:
    if isinstance(error, IndexUnavailable):
        error.said = True
    return error


async def _patiently(call: Call, client: AsyncElasticsearch) -> Any:
    async for attempt in tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(worth_another_try),
        stop=tenacity.stop_after_attempt(TRIES),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=LONGEST_PAUSE),
        reraise=True,
    ):
        with attempt:
            return await call(client)
    raise AssertionError("the last attempt raises")

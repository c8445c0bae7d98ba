"""The suite runs against every adapter named here. An adapter is a context manager that gives a fresh place: something
with ``open``, ``opened`` and ``process`` like ``EmbeddedPlace``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager

import pytest

from shared.index.port import Index
from tests.support.data import REPOSITORY
from tests.support.index import EmbeddedPlace, embedded_place, say

NewPlace = Callable[[], AbstractContextManager[EmbeddedPlace]]
ADAPTERS: dict[str, NewPlace] = {"embedded": embedded_place}

Started = Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]


@pytest.fixture(params=list(ADAPTERS), scope="session")
def new_place(request: pytest.FixtureRequest) -> NewPlace:
    """For tests with examples (hypothesis): each takes a place of its own."""
    return ADAPTERS[request.param]


@pytest.fixture
def place(new_place: NewPlace) -> Iterator[EmbeddedPlace]:
    with new_place() as place:
        yield place


@pytest.fixture
async def index(place: EmbeddedPlace) -> AsyncIterator[Index]:
    """The writer."""
    async with place.opened() as index:
        yield index


@pytest.fixture
async def reader(index: Index, place: EmbeddedPlace) -> AsyncIterator[Index]:
    """A second view of the same index."""
    async with place.opened(writable=False) as reader:
        yield reader


@pytest.fixture
def process(place: EmbeddedPlace) -> Started:
    """``async with process(writable=...) as it``: another process with the index open; ``say`` tells it what to do."""

    @contextlib.asynccontextmanager
    async def started(*, writable: bool) -> AsyncIterator[asyncio.subprocess.Process]:
        pipe = asyncio.subprocess.PIPE
        it = await asyncio.create_subprocess_exec(*place.process, stdin=pipe, stdout=pipe, cwd=REPOSITORY)
        try:
            await say(it, writable=writable)
            yield it
        finally:
            if it.returncode is None:
                it.kill()
            await it.communicate()

    return started

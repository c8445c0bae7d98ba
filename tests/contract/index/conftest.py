"""The suite runs against every adapter named here. An adapter is a context manager that gives a fresh place: something
with ``open``, ``opened`` and ``process`` like ``Place``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager

import pytest

from shared.index.port import Index
from tests.support.data import REPOSITORY
from tests.support.elasticsearch import for_tests
from tests.support.index import Place, elastic_place, embedded_place, say

NewPlace = Callable[[], AbstractContextManager[Place]]
ADAPTERS: dict[str, NewPlace] = {"embedded": embedded_place, "elastic": elastic_place}

Started = Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]


@pytest.fixture(params=list(ADAPTERS), scope="session")
def new_place(request: pytest.FixtureRequest) -> NewPlace:
    """For tests with examples (hypothesis): each takes a place of its own."""
    if request.param == "elastic":
        for_tests()  # skips here, where there is none, and not in the middle of an example
    return ADAPTERS[request.param]


@pytest.fixture
def place(new_place: NewPlace) -> Iterator[Place]:
    with new_place() as place:
        yield place


@pytest.fixture
async def index(place: Place) -> AsyncIterator[Index]:
    """The writer."""
    async with place.opened() as index:
        yield index


@pytest.fixture
async def reader(index: Index, place: Place) -> AsyncIterator[Index]:
    """A second view of the same index."""
    async with place.opened(writable=False) as reader:
        yield reader


@pytest.fixture
def process(place: Place) -> Started:
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

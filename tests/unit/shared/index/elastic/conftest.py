"""A real server, and indices of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from shared.index.port import Index
from tests.support.elasticsearch import for_tests
from tests.support.index import ElasticPlace, elastic_place


@pytest.fixture(scope="session")
def _server() -> str:
    return for_tests().url


@pytest.fixture
def place(_server: str) -> Iterator[ElasticPlace]:
    with elastic_place() as place:
        yield place


@pytest.fixture
async def index(place: ElasticPlace) -> AsyncIterator[Index]:
    async with place.opened() as index:
        yield index

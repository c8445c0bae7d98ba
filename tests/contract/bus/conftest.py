"""One real server for each test; they start in some 80 ms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.bus import RunningBus, running_bus


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[RunningBus]:
    async with running_bus(tmp_path, ack_wait=2.0) as running:
        yield running

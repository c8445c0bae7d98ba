"""``/readyz`` says what a service waits for: its bus, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from services.bootstrap import one_service
from shared.bus.jetstream import setup
from shared.bus.server import BundledServer
from shared.config import Settings


@pytest.mark.parametrize("service", ["watcher", "analyser", "resolver"])
async def test_a_service_without_its_bus_is_not_ready_and_says_so(service: str, tmp_path: Path) -> None:
    (tmp_path / "Pictures").mkdir()
    server = BundledServer(tmp_path / "nats", sync="fast")
    await server.start()
    try:
        await setup(server.url, server.credentials)
        settings = Settings.model_validate(
            {
                "roots": [{"path": tmp_path / "Pictures"}],
                "state_dir": tmp_path / "state",
                "nats_url": server.url,
                "nats_credentials_dir": tmp_path / "nats",
            }
        )
        bus = f"bus of the {service}"
        async with one_service(service, settings) as (_, health):
            assert bus not in health.complaints()
            await server.stop()
            await until(lambda: bus in health.complaints())
            assert "no connection" in health.complaints()[bus]
    finally:
        await server.stop()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not done():  # noqa: ASYNC110  a health check has no event
            await asyncio.sleep(0.02)

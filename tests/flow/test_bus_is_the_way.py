"""The bus is the way, not an ornament: without the server nothing happens, without one service's word nothing follows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services import busplaces, standalone
from services.resolver.service import ResolverService
from services.terminal import ApplyChoice, SilentProgress
from shared.bus.port import Bus, Delivery
from shared.config import Settings
from shared.messages.base import Message
from tests.support.photos import small_library, write_photo
from tests.support.program import PHOTOSIFT, environment, files_below

PHOTOS = 150


def settings(photos: Path, state: Path, **more: Any) -> Settings:
    return Settings.model_validate(
        {
            "roots": [{"path": photos}],
            "state_dir": state,
            "watch": {"settle_seconds": 0},
            "stats_enabled": False,
            "analysis": {"threads": 1},
            **more,
        }
    )


class Mute:
    """A bus on which one service says nothing: what it publishes is swallowed."""

    def __init__(self, inner: Bus) -> None:
        self._inner = inner

    async def publish(self, message: Message, **_: Any) -> None:
        """Nobody hears it."""

    async def publish_many(self, messages: Sequence[Message], **_: Any) -> None:
        """Nobody hears them."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.mark.parametrize("silent", [None, "watcher", "analyser", "resolver"])
async def test_with_any_one_service_silenced_nothing_is_moved(
    silent: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, target = tmp_path / "Pictures", tmp_path / "Duplicates"
    small_library(photos)
    before = files_below(photos)
    real = busplaces.BusHome.connect

    async def connect(home: busplaces.BusHome, service: str) -> Any:
        bus = await real(home, service)
        return Mute(bus) if service == silent else bus

    monkeypatch.setattr(busplaces.BusHome, "connect", connect)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(60 if silent is None else 6, stop.set)
    result = await standalone.scan(
        settings(photos, tmp_path / "state", action="move", target=target),
        apply=ApplyChoice(action="move", classes=("same-bytes",)),
        progress=SilentProgress(),
        ask=lambda _count: True,
        stop=stop,
    )
    if silent is None:
        assert result.finished
        assert len(files_below(target / "Pictures")) == 2
    else:
        assert files_below(photos) == before
        assert not target.exists() or not files_below(target)


async def test_what_was_taken_is_in_the_report_also_where_the_resolver_hears_of_it_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The executor's answer reaches the person and the index before the one that keeps the decisions."""
    photos = tmp_path / "Pictures"
    small_library(photos)
    real = ResolverService.take_outcomes

    async def slowly(resolver: ResolverService, batch: Sequence[Delivery]) -> None:
        await asyncio.sleep(2)
        await real(resolver, batch)

    monkeypatch.setattr(ResolverService, "take_outcomes", slowly)
    result = await standalone.scan(
        settings(photos, tmp_path / "state", action="move", target=tmp_path / "Duplicates"),
        apply=ApplyChoice(action="move", classes=("same-bytes",)),
        progress=SilentProgress(),
        ask=lambda _count: True,
        stop=asyncio.Event(),
    )
    assert (result.report["counts"]["moved"], result.report["counts"]["files"]) == (2, 9)


def servers_of(pid: int) -> list[int]:
    """The nats-servers among a process's children."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [child for task in tasks for child in task.read_text().split()]
    return [int(c) for c in children if b"nats-server" in Path(f"/proc/{c}/cmdline").read_bytes()]


def analysed(state: Path) -> int:
    """How many files the index holds, read beside the running service."""
    with contextlib.suppress(sqlite3.OperationalError):
        connection = sqlite3.connect(f"file:{state}/analyser/index/index.sqlite?mode=ro", uri=True)
        try:
            return int(connection.execute("SELECT count(*) FROM files").fetchone()[0])
        finally:
            connection.close()
    return 0


def until_analysed(process: subprocess.Popen[bytes], state: Path, wanted: int) -> int:
    deadline = time.monotonic() + 60
    while (found := analysed(state)) < wanted:
        assert process.poll() is None, "the scan ended before"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_with_the_server_stopped_in_mid_scan_only_what_was_in_flight_is_analysed_and_all_goes_on_after(
    tmp_path: Path,
) -> None:
    photos, state = tmp_path / "Pictures", tmp_path / "state"
    for n in range(PHOTOS):
        write_photo(photos / f"{n:03}.jpg", n, size=(1600, 1200))
    process = subprocess.Popen(
        [PHOTOSIFT, "scan", photos, "--format", "json", "-t", "1"],
        env=environment(state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        at_stop = until_analysed(process, state, 20)
        (server,) = servers_of(process.pid)
        os.kill(server, signal.SIGSTOP)
        time.sleep(3)
        while_stopped = analysed(state)
        time.sleep(2)
        assert analysed(state) == while_stopped, "nothing is analysed while the server stands still"
        assert while_stopped <= at_stop + 16 < PHOTOS, "only what was in flight"
        os.kill(server, signal.SIGCONT)
        out, _ = process.communicate(timeout=90)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert out.count(b".jpg") >= PHOTOS
    assert analysed(state) == PHOTOS

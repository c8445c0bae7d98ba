"""Watcher, analyser and resolver, each a process of its own, on a nats-server that somebody else runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from services.resolver.store import read_open_decisions
from shared.bus.jetstream import Steward, setup
from shared.bus.names import ANALYSER_FS, RESOLVER_SIG
from shared.bus.server import BundledServer
from shared.messages.resolution import GroupDecided
from tests.support.index import elastic_settings
from tests.support.photos import small_library
from tests.support.program import running, scan

Groups = dict[str, frozenset[str]]


@contextlib.asynccontextmanager
async def external_server(folder: Path) -> AsyncIterator[BundledServer]:
    server = BundledServer(folder, sync="fast")
    await server.start()
    try:
        await setup(server.url, server.credentials)
        yield server
    finally:
        await server.stop()


def groups_of_report(report: dict[str, Any]) -> Groups:
    return {g["keeper"]["path"]: frozenset(d["path"] for d in g["duplicates"]) for g in report["groups"]}


def groups_of_decisions(decisions: list[GroupDecided], root: Path) -> Groups:
    return {
        str(root / d.keeper.file.path): frozenset(str(root / e.member.file.path) for e in d.duplicates)
        for d in decisions
    }


@contextlib.contextmanager
def three_services(config: Path, state: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name in ("watcher", "analyser", "resolver"):
            stack.enter_context(running(name, "--config", config, "-v", state=state))
        yield


@contextlib.contextmanager
def no_index_server() -> Iterator[Mapping[str, str]]:
    yield {}


@pytest.mark.parametrize("new_home", [no_index_server, elastic_settings], ids=["embedded", "elastic"])
async def test_three_processes_on_an_external_server_give_the_groups_of_the_all_in_one(
    tmp_path: Path, new_home: Callable[[], AbstractContextManager[Mapping[str, str]]]
) -> None:
    photos = tmp_path / "Pictures"
    small_library(photos)
    alone = tmp_path / "alone"
    alone.mkdir()
    wanted = groups_of_report(
        await asyncio.to_thread(scan, photos, state=alone / "state", PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    )
    assert len(wanted) == 2
    with new_home() as index:
        assert await groups_of_three_services(tmp_path, photos, wanted, index) == wanted


async def groups_of_three_services(tmp_path: Path, photos: Path, wanted: Groups, index: Mapping[str, str]) -> Groups:
    state = tmp_path / "state"
    async with external_server(tmp_path / "nats") as server:
        config = tmp_path / "photosift.yaml"
        config.write_text(
            json.dumps(
                {
                    "roots": [{"path": str(photos)}],
                    "watch": {"settle_seconds": 0},
                    "nats_url": server.url,
                    "nats_credentials_dir": str(tmp_path / "nats"),
                    "state_dir": str(state),
                    **index,
                }
            )
        )
        with three_services(config, state):
            return await until_idle(server, state / "resolver", photos, wanted)


async def until_idle(server: BundledServer, resolver: Path, photos: Path, wanted: Groups) -> Groups:
    """The groups once nine results are handled and the decisions stand; the last state when a minute is over."""
    steward = await Steward.connect(server.url, server.credentials)
    found: Groups = {}
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while found != wanted:
                    await asyncio.sleep(0.3)
                    done = await steward.last_seq("SIG") >= 9
                    busy = await steward.backlog(ANALYSER_FS) + await steward.backlog(RESOLVER_SIG)
                    if done and not busy:
                        decisions = await asyncio.to_thread(read_open_decisions, resolver)
                        found = groups_of_decisions(decisions, photos)
    finally:
        await steward.close()
    return found

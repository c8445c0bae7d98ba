"""Before the first message: what changed in the settings, and what the index holds that was never searched."""

from __future__ import annotations

import asyncio

import structlog

from services.resolver.contentbook import Change
from services.resolver.neighbourhood import neighbours_of
from services.resolver.policy import fingerprint_of
from services.resolver.store import DecisionStore
from shared.clock import Clock
from shared.config import Settings
from shared.index.port import FileDoc, Index

log = structlog.get_logger()

_PORTION = 256


async def prepare(store: DecisionStore, index: Index, settings: Settings, clock: Clock, stop: asyncio.Event) -> None:
    """Brings the store to the settings. May be repeated; goes on where it was interrupted."""
    threshold = str(settings.deduplication.max_distance)
    if await asyncio.to_thread(store.note, "searched_at") != threshold:
        await asyncio.to_thread(_begin_searching, store, threshold)
        for root in settings.roots:
            await _search_root(store, index, settings, root.name, stop)
        if stop.is_set():
            return
        await asyncio.to_thread(store.take_note, "searched_at", threshold)
    await asyncio.to_thread(_plan_anew_if_changed, store, fingerprint_of(settings), clock.now())


def _begin_searching(store: DecisionStore, threshold: str) -> None:
    with store.transaction():
        if store.note("searching_at") != threshold:
            store.contents.forget_neighbours()
            store.take_note("searching_at", threshold)
            store.take_note("searched_at", "")


def _plan_anew_if_changed(store: DecisionStore, fingerprint: str, now: float) -> None:
    with store.transaction():
        if store.note("fingerprint") != fingerprint:
            store.contents.mark_all()
            store.decisions.ask_refused_again(None, None, now)  # what was refused may be right under other settings
            store.take_note("fingerprint", fingerprint)
            log.info("resolver.settings_changed", fingerprint=fingerprint)


async def _search_root(store: DecisionStore, index: Index, settings: Settings, root: str, stop: asyncio.Event) -> None:
    portion: list[FileDoc] = []
    async for doc in index.walk(root):
        if stop.is_set():
            return
        if doc.state == "analysed":
            portion.append(doc)
        if len(portion) >= _PORTION:
            await _search(store, index, settings, portion)
            portion = []
    await _search(store, index, settings, portion)


async def _search(store: DecisionStore, index: Index, settings: Settings, docs: list[FileDoc]) -> None:
    hashes = [doc.sha256 for doc in docs if doc.sha256 is not None]
    fresh = await asyncio.to_thread(store.contents.unsearched, hashes)
    await index.refresh()  # the walk may have seen what no search sees yet
    near = await neighbours_of(index, fresh, settings.deduplication.max_distance)
    changes = [Change(file_id=doc.path.file_id, version=doc.version, sha=doc.sha256) for doc in docs]
    await asyncio.to_thread(_record, store, changes, near)


def _record(store: DecisionStore, changes: list[Change], near: dict[str, tuple[str, ...]]) -> None:
    with store.transaction():
        store.contents.record(changes, near)

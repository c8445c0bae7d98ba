"""Before the first message: what changed in the settings, and what the index holds that is not known, or otherwise."""

from __future__ import annotations

import asyncio

import structlog

from services.resolver.policy import fingerprint_of
from services.resolver.store import DecisionStore
from services.resolver.sweep import Sweep
from shared.clock import Clock
from shared.config import Settings

log = structlog.get_logger()


async def prepare(store: DecisionStore, sweep: Sweep, settings: Settings, clock: Clock, stop: asyncio.Event) -> None:
    """Brings the store to the index and the settings. May be repeated; goes on where it was interrupted."""
    threshold = str(settings.deduplication.max_distance)
    searched = await asyncio.to_thread(store.note, "searched_at") == threshold
    if not searched:
        await asyncio.to_thread(_begin_searching, store, threshold)
    await sweep.run(stop)
    if stop.is_set():
        return
    if not searched:
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

"""The safety net: what the resolver remembers is compared with the whole index, at every start and from time to time.

A message that never came, or a memory from an earlier day, leaves files of which nothing is known or something old.
What differs is searched and planned again; files that the index no longer has are forgotten, and their decisions fall
with the next plan. Both sides are read in pages. A difference that a message explains meanwhile is none: before it is
taken in it is looked at again, in turn with the messages. (S16, S18)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from services.resolver.contentbook import Change
from services.resolver.neighbourhood import neighbours_of
from services.resolver.store import DecisionStore
from shared.config import Settings
from shared.index.port import FileDoc, Index

log = structlog.get_logger()

#: files that are compared, and at most taken in, in one go
PORTION = 256
#: content and version by file id
Known = dict[str, tuple[str | None, int]]


class Sweep:
    """One comparison at a time; ``turn`` is what taking in and planning take turns by."""

    def __init__(
        self, *, store: DecisionStore, index: Index, settings: Settings, turn: asyncio.Lock, tell: Callable[[], None]
    ) -> None:
        self._store, self._index, self._settings = store, index, settings
        self._turn, self._tell = turn, tell
        #: roots that are compared; kept when an outage interrupts, so that what follows begins where it stopped
        self._done: set[str] = set()
        #: files seen in the index that are remembered too
        self._met = 0
        self._differing = 0

    def begin_anew(self) -> None:
        """What was compared before no longer counts."""
        self._done, self._met, self._differing = set(), 0, 0

    async def run(self, stop: asyncio.Event) -> None:
        """Once through everything; called again after an outage it goes on. Raises what index and store raise."""
        for root in self._settings.roots:
            if root.name not in self._done and not stop.is_set():
                await self._compare_root(root.name, stop)
        if not stop.is_set() and await self._some_may_be_gone():
            await self._forget_what_is_not_there(stop)
        if not stop.is_set():
            log.info("resolver.swept", differing=self._differing)
            self.begin_anew()

    # what the index has

    async def _compare_root(self, root: str, stop: asyncio.Event) -> None:
        met = 0
        async for docs in _portions(self._index.walk(root)):
            if stop.is_set():
                return
            differing, known = await asyncio.to_thread(self._compare, docs)
            met += len(known)
            if differing:
                met += await self._take_in([doc.path.file_id for doc in differing])
        self._done.add(root)
        self._met += met

    async def _take_in(self, file_ids: Sequence[str]) -> int:
        """How many of them were not remembered before."""
        async with self._turn:
            now = await self._index.files(file_ids)
            docs, known = await asyncio.to_thread(self._compare, list(now.values()))
            if docs:
                await self._search(docs)
        self._tell()
        return len([doc for doc in docs if doc.path.file_id not in known])

    async def _search(self, docs: Sequence[FileDoc]) -> None:
        hashes = [sha for doc in docs if (sha := content_of(doc)) is not None]
        fresh = await asyncio.to_thread(self._store.contents.unsearched, hashes)
        await self._index.refresh()  # the walk may have seen what no search sees yet
        near = await neighbours_of(self._index, fresh, self._settings.deduplication.max_distance)
        changes = [Change(file_id=doc.path.file_id, version=doc.version, sha=content_of(doc)) for doc in docs]
        await asyncio.to_thread(self._believe, changes, near)
        self._differing += len(docs)

    def _compare(self, docs: Sequence[FileDoc]) -> tuple[list[FileDoc], Known]:
        """Those of which something else is remembered, or whose neighbours are not known; and what is remembered."""
        contents = self._store.contents
        with self._store.transaction():
            known = contents.known([doc.path.file_id for doc in docs])
            unsearched = set(contents.unsearched([sha for doc in docs if (sha := content_of(doc)) is not None]))
        return [doc for doc in docs if _differs(doc, known, unsearched)], known

    def _believe(self, changes: Sequence[Change], near: dict[str, tuple[str, ...]]) -> None:
        with self._store.transaction():
            self._store.contents.believe(changes, near)

    # what the index has no more

    async def _some_may_be_gone(self) -> bool:
        """Whether more is remembered than was met. An index that has nothing at all says nothing (S14)."""
        if await asyncio.to_thread(self._store.contents.file_count) <= self._met:
            return False
        if await self._index.highest_version() == 0:
            log.warning("resolver.index_is_empty")
            return False
        return True

    async def _forget_what_is_not_there(self, stop: asyncio.Event) -> None:
        after = ""
        while not stop.is_set():
            page = await asyncio.to_thread(self._store.contents.files_after, after, PORTION)
            if not page:
                return
            there = await self._index.files(page)
            if missing := [file_id for file_id in page if file_id not in there]:
                await self._forget(missing)
            after = page[-1]

    async def _forget(self, file_ids: Sequence[str]) -> None:
        async with self._turn:
            there = await self._index.files(file_ids)
            gone = [file_id for file_id in file_ids if file_id not in there]
            await asyncio.to_thread(self._forget_all, gone)
        self._differing += len(gone)
        self._tell()

    def _forget_all(self, file_ids: Sequence[str]) -> None:
        with self._store.transaction():
            self._store.contents.forget_files(file_ids)


def content_of(doc: FileDoc) -> str | None:
    """What can be decided about: a tombstone keeps its content, and has none."""
    return doc.sha256 if doc.state == "analysed" else None


def _differs(doc: FileDoc, known: Known, unsearched: set[str]) -> bool:
    sha = content_of(doc)
    remembered = known.get(doc.path.file_id)
    if remembered is None:
        return sha is not None
    return remembered != (sha, doc.version) or sha in unsearched


async def _portions(docs: AsyncIterator[FileDoc]) -> AsyncIterator[list[FileDoc]]:
    portion: list[FileDoc] = []
    async for doc in docs:
        portion.append(doc)
        if len(portion) >= PORTION:
            yield portion
            portion = []
    if portion:
        yield portion

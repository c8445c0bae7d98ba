"""The answer to ``ItemDue``: a removal decision where a live file stands for the item now, else nothing. (S11, S20)

What the index shows at this moment counts. While a decision is out, the group of the file that it relies on is held up
like that of any command (S3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from services.resolver.commanding import evidence_of
from services.resolver.contentbook import EXPIRY_MARGIN
from services.resolver.neighbourhood import neighbours_of
from services.resolver.policy import candidates_of, policy_of
from services.resolver.ranking import Candidate
from services.resolver.standins import StandIn, stand_in_for
from services.resolver.store import DecisionStore
from shared.clock import Clock
from shared.config import Settings
from shared.index.port import Index
from shared.messages.base import digest_id
from shared.messages.commands import RemoveItem
from shared.messages.outcomes import ItemDue
from shared.signature import Signature

log = structlog.get_logger()
#: what was asked, and whose story it is (packed)
Question = tuple[ItemDue, str]


@dataclass(frozen=True, kw_only=True)
class _Around:
    """What the index knows around the items."""

    signatures: Mapping[str, Signature]
    candidates: Mapping[str, Sequence[Candidate]]
    #: the contents near each item's, and its own
    near: Mapping[str, Sequence[str]]


class Removals:
    """Answers questions about last copies."""

    def __init__(self, store: DecisionStore, index: Index, settings: Settings, clock: Clock) -> None:
        self._store, self._index, self._settings, self._clock = store, index, settings, clock

    async def answer(self, questions: Sequence[Question]) -> None:
        """The decisions wait in the outbox when it returns. Raises ``IndexUnavailable``, ``StoreUnavailable``."""
        if questions and self._settings.acting == "delete":  # S6
            around = await self._look_around([due for due, _ in questions])
            await asyncio.to_thread(self._decide, questions, around)

    async def _look_around(self, dues: Sequence[ItemDue]) -> _Around:
        await self._index.refresh()
        wanted = sorted({due.sha256 for due in dues})
        found = await neighbours_of(self._index, wanted, self._settings.deduplication.max_distance)
        near = {sha: (sha, *found.get(sha, ())) for sha in wanted}
        hashes = sorted({sha for some in near.values() for sha in some})
        files = await self._index.files_of(hashes)
        stood_for = {sha for due in dues for sha in due.stands_for}
        contents = await self._index.contents(sorted(stood_for.union(wanted, files)))
        roots = {root.name: root for root in self._settings.roots}
        return _Around(
            signatures={sha: doc.signature for sha, doc in contents.items()},
            candidates={sha: candidates_of(docs, contents, roots) for sha, docs in files.items()},
            near=near,
        )

    def _decide(self, questions: Sequence[Question], around: _Around) -> None:
        with self._store.transaction():
            for due, cause in questions:
                self._decide_one(due, cause, around)

    def _decide_one(self, due: ItemDue, cause: str, around: _Around) -> None:
        book, now = self._store.removals, self._clock.now()
        decision_id = digest_id("removal", due.message_id)
        if book.was_decided(decision_id):
            return  # asked twice, answered once (S18)
        candidates = [c for sha in around.near[due.sha256] for c in around.candidates.get(sha, ())]
        busy = book.may_go([c.file_id for c in candidates], now - EXPIRY_MARGIN)
        found = stand_in_for(due, candidates, around.signatures, policy_of(self._settings), busy)
        if found is None:
            log.info("resolver.last_copy", item=due.item_id, candidates=len(candidates))
            return
        command = _command(due, found, decision_id, now + self._settings.command_expiry_seconds)
        book.ask(command)
        self._store.outbox.put(command, cause)


def _command(due: ItemDue, found: StandIn, decision_id: str, expires_at: float) -> RemoveItem:
    return RemoveItem(
        decision_id=decision_id,
        item_id=due.item_id,
        file=due.file,
        sha256=due.sha256,
        keeper=evidence_of(found.file),
        match_class=found.match_class,
        distance=found.distance,
        covers=found.covers,
        expires_at=expires_at,
    )

"""What the executor answered, and what a person asked of it: remembered, and the groups looked at again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from services.resolver.decisionbook import TAKEN
from services.resolver.outbox import pack
from services.resolver.removals import Removals
from services.resolver.store import DecisionStore
from shared.bus.port import Delivery
from shared.clock import Clock
from shared.index.port import Index
from shared.messages.base import Message
from shared.messages.outcomes import CommandDone, ItemDue, ItemRestored, RemovalDone, RequestAnswered
from shared.messages.requests import AllowRequested, ConfirmRequested
from shared.signature import Signature

#: refusals of the moment: the code, and after how many seconds the same is asked again
MOMENTARY: Mapping[str, float] = {
    "batch-stopped": 0.0,
    "expired": 0.0,
    "keeper-elsewhere": 60.0,
    "keeper-in-use": 600.0,
    "keeper-too-young": 600.0,
    "root-unknown": 600.0,
    "victim-in-use": 600.0,
    "victim-is-keeper": 60.0,
}
#: how often a file that stayed as it is may be refused for something of the moment
MOST_ATTEMPTS = 3
#: what a person's request lets be asked again
_UNLOCKED = {"breaker": "breaker-open", "allow": "managed-folder"}


class Answers:
    """Takes in OUT, and of REQ what is the executor's to do and the resolver's to know."""

    def __init__(self, store: DecisionStore, index: Index, clock: Clock, removals: Removals) -> None:
        self._store, self._index, self._clock, self._removals = store, index, clock, removals

    async def take(self, batch: Sequence[Delivery]) -> None:
        """A batch of outcomes, in one transaction; last copies are answered about. Raises ``IndexUnavailable``."""
        heard = [(delivery.message, pack(delivery.envelope)) for delivery in batch]
        await self.learn(heard)
        await self._removals.answer([(message, cause) for message, cause in heard if isinstance(message, ItemDue)])

    async def learn(self, heard: Sequence[tuple[Message, str]]) -> None:
        """What was answered, each with its packed envelope; also by a resolver that only follows."""
        done = [message for message, _ in heard if isinstance(message, CommandDone | RemovalDone)]
        contents = await self._index.contents(sorted({m.sha256 for m in done}))
        keepers = await self._index.files([m.keeper.photo.file_id for m in done if isinstance(m, CommandDone)])
        keeper_sha = {file_id: doc.sha256 for file_id, doc in keepers.items() if doc.sha256 is not None}
        signatures = {sha: content.signature for sha, content in contents.items()}
        await asyncio.to_thread(self._take_all, heard, signatures, keeper_sha)

    def _take_all(
        self, heard: Sequence[tuple[Message, str]], signatures: Mapping[str, Signature], keeper_sha: Mapping[str, str]
    ) -> None:
        with self._store.transaction():
            for message, cause in heard:
                if isinstance(message, CommandDone):
                    known = keeper_sha.get(message.keeper.photo.file_id)
                    self._command_done(message, signatures.get(message.sha256), known, cause)
                elif isinstance(message, RemovalDone):
                    self._removal_done(message, signatures.get(message.sha256), cause)
                elif isinstance(message, ItemRestored):
                    self._store.decisions.restore(message.sha256, message.keeper_sha256)
                    self._store.contents.mark([message.sha256, message.keeper_sha256], cause)
                elif isinstance(message, RequestAnswered) and message.done:
                    self._store.decisions.remember(message.request_id, "answered", "done")
                    self._unlock(message.request_id)

    def _command_done(self, done: CommandDone, signature: Signature | None, keeper_now: str | None, cause: str) -> None:
        book = self._store.decisions
        asked = book.asked(done.command_id)
        if asked is not None and asked.answered:
            return  # heard before
        keeper = asked.keeper_sha if asked else keeper_now
        book.answer(done)
        if done.outcome in TAKEN and keeper is not None:
            book.replace(done.sha256, keeper, signature)
        elif asked is not None and done.code in MOMENTARY and book.try_count(asked) <= MOST_ATTEMPTS:
            book.ask_again(done.command_id, self._clock.now() + MOMENTARY[str(done.code)])
        self._store.contents.mark([sha for sha in (done.sha256, keeper) if sha], cause)

    def _removal_done(self, done: RemovalDone, signature: Signature | None, cause: str) -> None:
        """A last copy that is gone: its stand-in may only go for what is near both (S1 over time)."""
        self._store.removals.answer(done)
        if done.outcome == "removed":
            self._store.decisions.replace(done.sha256, done.keeper_sha256, signature)
        self._store.contents.mark([done.keeper_sha256], cause)

    def take_request(self, message: Message) -> None:
        """A request that the executor answers; what it unlocks is asked again once it is answered."""
        with self._store.transaction():
            if isinstance(message, AllowRequested):
                self._store.decisions.allow(message.folder.root, message.folder.rel)
                self._store.contents.mark_decided()
                self._expect(message.request_id, _UNLOCKED["allow"], None)
            elif isinstance(message, ConfirmRequested) and message.what == "breaker":
                self._expect(message.request_id, _UNLOCKED["breaker"], message.root)

    def _expect(self, request_id: str, code: str, root: str | None) -> None:
        self._store.decisions.remember(request_id, "unlocks", json.dumps([code, root]))
        self._unlock(request_id)

    def _unlock(self, request_id: str) -> None:
        """The request and its answer come on different streams, in either order; when both are here, it counts."""
        book = self._store.decisions
        unlocks = book.word(request_id, "unlocks")
        if unlocks is not None and book.word(request_id, "answered") is not None:
            code, root = json.loads(unlocks)
            book.ask_refused_again(code, root, self._clock.now())

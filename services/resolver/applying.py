"""A person's word for one batch (``scan --apply``): at most so many files, of these roots and classes (S5, S13)."""

from __future__ import annotations

import asyncio

from services.resolver.contentbook import WORK_SIZE, Component
from services.resolver.neighbourhood import gather
from services.resolver.policy import refusal_of
from services.resolver.rounds import Rounds, portions_of
from services.resolver.store import DecisionStore
from shared.index.port import Index
from shared.messages.requests import ApplyRequested
from shared.messages.resolution import ApplyAccepted
from shared.words import are, counted, verb

#: the side of a request's memory where the answer stands
_ANSWER = "apply"


async def apply(request: ApplyRequested, cause: str, rounds: Rounds, index: Index, now: float) -> None:
    """Plans anew what is open, under the person's terms; commands and answer wait in the outbox when it returns.

    A request that comes again gives the same answer and no further command, also when it was cut off half way.
    """
    if await asyncio.to_thread(rounds.store.decisions.word, request.request_id, _ANSWER):
        return
    explanation = refusal_of(request, rounds.settings)
    if explanation is None:
        await index.refresh()
        open_now, held_up = await asyncio.to_thread(_open, rounds, now)
        left_out = 0
        for portion in portions_of(open_now, WORK_SIZE):
            gathered = await gather(index, portion)
            left_out += (await asyncio.to_thread(rounds.apply, portion, gathered, request, now)).left_out
        explanation = _limits(left_out, held_up)
    await asyncio.to_thread(_answer, request, cause, rounds, explanation)


def _open(rounds: Rounds, now: float) -> tuple[list[Component], int]:
    with rounds.store.transaction():
        return rounds.store.contents.decided(now), rounds.store.contents.held_up(now)


def _answer(request: ApplyRequested, cause: str, rounds: Rounds, explanation: str) -> None:
    store = rounds.store
    with store.transaction():
        count = store.decisions.asked_in(request.request_id)
        answer = ApplyAccepted(
            request_id=request.request_id,
            batch_id=request.request_id,
            commands=count,
            explanation=_asked(count) + (f"; {explanation}" if explanation else ""),
        )
        store.outbox.put(answer, cause)
        remember_answer(store, answer)


def remember_answer(store: DecisionStore, answer: ApplyAccepted) -> None:
    """So that the request is not carried out again. Part of a transaction."""
    store.decisions.remember(answer.request_id, _ANSWER, answer.model_dump_json())


def _asked(count: int) -> str:
    return f"{are(count, 'file')} asked to be taken"


def _limits(left_out: int, held_up: int) -> str:
    parts = []
    if left_out:
        parts.append(f"{counted(left_out, 'file')} more than shown {verb(left_out, 'is', 'are')} left for another time")
    if held_up:
        parts.append(f"{counted(held_up, 'group')} {verb(held_up, 'waits', 'wait')} for earlier commands")
    return "; ".join(parts)

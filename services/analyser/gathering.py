"""Many small calls as few: what is asked for while one is under way goes into the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Gathering(Generic[Q, A]):
    """Hands what many ask for one by one to ``work`` together, and each its own answer back."""

    def __init__(
        self, work: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], *, linger: float = 0.0, most: int | None = None
    ) -> None:
        """``work``: as many answers as questions, in their order. ``linger``: seconds that the first of a batch waits
        for others. ``most``: questions in one batch; None: all there are."""
        self._work, self._linger, self._most = work, linger, most
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._working: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """Its answer. What ``work`` raises for a batch comes to each of it."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work_off())
        return await answer

    async def finish(self) -> None:
        """Wait for the batches that are under way."""
        if self._working is not None:
            await self._working

    async def _work_off(self) -> None:
        if self._linger:
            await asyncio.sleep(self._linger)
        while self._waiting:
            most = self._most or len(self._waiting)
            batch, self._waiting = self._waiting[:most], self._waiting[most:]
            await self._work_on(batch)

    async def _work_on(self, batch: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers = await self._work([question for question, _ in batch])
        except Exception as error:  # noqa: BLE001  given to each who waits; their handlers retry or dead-letter it
            for answer in _wanted(batch):
                answer.set_exception(error)
            return
        for (_, answer), said in zip(batch, answers, strict=True):
            if not answer.done():  # else who asked was cancelled
                answer.set_result(said)


def _wanted(batch: Sequence[tuple[Q, asyncio.Future[A]]]) -> list[asyncio.Future[A]]:
    return [answer for _, answer in batch if not answer.done()]

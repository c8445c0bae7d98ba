"""What a person's program knows of the work: it follows the bus, like anybody who may listen, and counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from shared.bus.port import Bus
from shared.messages.analysis import Analysed
from shared.messages.base import Message
from shared.messages.envelope import Envelope
from shared.messages.files import FileEvent, FileGone
from shared.messages.outcomes import CommandDone, FolderRemoved, RequestAnswered
from shared.messages.resolution import ApplyAccepted, CaughtUp

Heard = Callable[[Message], None]


class Following:
    """Counts what is said on the bus from the moment ``start`` returned, and wakes who waits for something."""

    def __init__(self, heard: Heard = lambda _message: None) -> None:
        self._heard = heard
        self._changed = asyncio.Condition()
        #: file events published
        self.files = 0
        #: of these, files that are gone
        self.forgotten = 0
        #: results of file events
        self.analysed = 0
        self.folders_removed = 0
        self.caught_up: CaughtUp | None = None
        self.accepted: dict[str, ApplyAccepted] = {}
        #: by batch and command: an answer may be told twice
        self.outcomes: dict[str, dict[str, CommandDone]] = {}
        self.answers: dict[str, list[RequestAnswered]] = {}

    async def start(self, bus: Bus, *subjects: str) -> asyncio.Task[None]:
        """Subscribe, then count in a task of its own, until that is cancelled."""
        stream = await bus.following(*(subjects or ("photosift.>",)))
        return asyncio.create_task(self._listen(stream), name="following")

    async def _listen(self, stream: AsyncIterator[tuple[Envelope, Message]]) -> None:
        async for _envelope, message in stream:
            self._note(message)
            self._heard(message)
            async with self._changed:
                self._changed.notify_all()

    def _note(self, message: Message) -> None:
        match message:
            case FileEvent():
                self.files += 1
                self.forgotten += isinstance(message, FileGone) and message.reason not in ("renamed", "taken")
            case Analysed():
                self.analysed += 1
            case FolderRemoved():
                self.folders_removed += 1
            case CaughtUp():
                self.caught_up = message
            case ApplyAccepted():
                self.accepted[message.request_id] = message
            case CommandDone():
                self.outcomes.setdefault(message.batch_id, {})[message.command_id] = message
            case RequestAnswered():
                self.answers.setdefault(message.request_id, []).append(message)

    async def until(self, holds: Callable[[], bool], *, within: float | None = None) -> bool:
        """Wait until ``holds`` after some message; asked once before the first. False: not in so many seconds."""
        try:
            async with asyncio.timeout(within), self._changed:
                return await self._changed.wait_for(holds)
        except TimeoutError:
            return False

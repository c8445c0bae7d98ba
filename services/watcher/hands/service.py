"""The hands of the watcher: commands and requests in, acts, outcomes out. (S8, S12, S18)

Everything that touches the disk or the journal happens in one thread of its own, one act at a time; what is to be said
stands in the journal's outbox until the server has stored it, and only then is the input acknowledged.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from services.watcher.disk.port import Disk, FaultPoint, no_fault
from services.watcher.hands.answering import Answering
from services.watcher.hands.executor import AskedFor, Executor, any_command
from services.watcher.hands.journalfile import JournalFailed
from services.watcher.hands.recovery import Recovery
from services.watcher.hands.releasing import Releasing
from services.watcher.hands.removal import Removal
from services.watcher.hands.restoring import Restoring
from services.watcher.hands.sight import Sight
from services.watcher.hands.workbench import Workbench
from shared.bus.consuming import OUTAGES, work_through
from shared.bus.names import EXECUTOR_CMD, EXECUTOR_REQ, of_watcher
from shared.bus.port import Bus, Delivery
from shared.clock import Clock
from shared.config import Settings
from shared.errors import MessageRejected, PermanentError
from shared.lifecycle import unless_stopped
from shared.messages.commands import RemoveItem, TakeFile
from shared.messages.envelope import Envelope
from shared.messages.outcomes import CommandDone, RequestAnswered
from shared.messages.requests import (
    AdoptRequested,
    AllowRequested,
    ConfirmRequested,
    Request,
    RestoreRequested,
    root_of,
)
from shared.paths import PhotoPath
from shared.telemetry.metrics import OUTCOMES

__all__ = ["Hands", "Sight"]

log = structlog.get_logger()
T = TypeVar("T")
#: seconds between rounds of retention, and of looking after intents that could not be settled
UPKEEP = 3600.0
#: seconds until a journal that cannot be opened is tried again
PATIENCE = 30.0


async def _no_path(_path: PhotoPath) -> None: ...


async def _no_root(_root: str) -> None: ...


async def _no_folder(_root: str, _folder: bytes) -> None: ...


async def _no_disappearances(_root: str | None) -> str:
    raise PermanentError("this photosift does not watch")


class Hands:
    """A ``lifecycle.Service``."""

    def __init__(
        self,
        *,
        bus: Bus,
        disk: Disk,
        settings: Settings,
        clock: Clock,
        folder: Path,
        sight: Sight = Sight(),  # noqa: B008  frozen
        on_taken: Callable[[PhotoPath], Awaitable[None]] = _no_path,
        on_restored: Callable[[PhotoPath], Awaitable[None]] = _no_path,
        confirm_disappearances: Callable[[str | None], Awaitable[str]] = _no_disappearances,
        adopt_for_eyes: Callable[[str], Awaitable[None]] = _no_root,
        allow_for_eyes: Callable[[str, bytes], Awaitable[None]] = _no_folder,
        asked_for: AskedFor = any_command,
        fault_point: FaultPoint = no_fault,
        upkeep_seconds: float = UPKEEP,
    ) -> None:
        self._bus, self._clock, self._upkeep_seconds = bus, clock, upkeep_seconds
        self._watcher, mine = settings.this_watcher, settings.of_this_watcher()
        self._elsewhere = settings.watchers.keys() - mine.watchers.keys()
        self._make = lambda: Workbench(
            disk=disk, settings=mine, clock=clock, folder=folder, sight=sight, fault_point=fault_point
        )
        self._on_taken, self._on_restored = on_taken, on_restored
        self._confirm_disappearances = confirm_disappearances
        self._adopt_for_eyes, self._allow_for_eyes = adopt_for_eyes, allow_for_eyes
        self._asked_for = asked_for
        self._by = f"{of_watcher('executor', self._watcher)}@{socket.gethostname()}"
        self._saying = asyncio.Lock()
        self._trouble: str | None = "the journal is not open yet"

    def complaint(self) -> str | None:
        """What stands against acting now; for ``Health``, from any thread."""
        return self._trouble

    async def run(self, stop: asyncio.Event) -> None:
        """Open the journal, settle what a crash left, then work until ``stop``."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="executor") as self._pool:
            if not await self._open(stop):
                return
            try:
                await self._work(stop)
            finally:
                await asyncio.shield(self._in_thread(self._bench.close))

    # ---- starting -------------------------------------------------------------------------------------------------

    async def _open(self, stop: asyncio.Event) -> bool:
        """Without its journal the executor does nothing, and says so (S12)."""
        while not stop.is_set():
            try:
                self._bench = await self._in_thread(self._make)
            except JournalFailed as error:
                self._in_trouble(error)
                await unless_stopped(stop, PATIENCE)
            else:
                self._trouble = None
                return True
        return False

    async def _work(self, stop: asyncio.Event) -> None:
        restoring = Restoring(self._bench)
        self._executor = Executor(self._bench, self._asked_for)
        self._recovery = Recovery(self._bench, self._executor, restoring)
        self._removal = Removal(self._bench)
        self._releasing = Releasing(self._bench, self._removal)
        self._answering = Answering(self._bench, restoring, by=self._by)
        working = partial(work_through, self._bus, stop=stop, outages=(*OUTAGES, JournalFailed))
        await self._look_after()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._upkeep(stop))
            group.create_task(working(of_watcher(EXECUTOR_CMD, self._watcher), self._on_command))
            group.create_task(working(of_watcher(EXECUTOR_REQ, self._watcher), self._on_request))

    async def _in_thread(self, work: Callable[..., T], *values: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *values)

    # ---- commands -------------------------------------------------------------------------------------------------

    async def _on_command(self, delivery: Delivery) -> None:
        command = delivery.message
        match command:
            case TakeFile():
                for result in await self._acting(self._take, command, delivery.envelope):
                    await self._done(result)
            case RemoveItem():
                await self._acting(self._releasing.carry_out, command, delivery.envelope)
            case _:
                raise MessageRejected(f"{command.TYPE} is no command")
        await self._say()

    def _take(self, command: TakeFile, cause: Envelope) -> list[CommandDone]:
        """In the executor's thread: what a crash or failure left open comes first. The results that are new."""
        settled = self._recovery.settle_all() if self._bench.journal.open_intents() else []
        before = self._bench.journal.lookup(command.command_id)
        result = self._executor.take(command, cause)
        is_new = before is None or before.result != result
        return [*settled, result] if is_new else settled

    async def _done(self, result: CommandDone) -> None:
        OUTCOMES.labels(result.outcome).inc()
        log.info(
            "executor.command_done",
            outcome=result.outcome,
            code=result.code,
            file=result.victim.photo.text,
            keeper=result.keeper.photo.text,
            decision=result.decision_id,
            item=result.item_id,
            reason=result.explanation,
            correlation=await self._story_of(result),
        )
        if result.outcome in ("moved", "quarantined"):
            await self._on_taken(result.victim.photo)

    async def _story_of(self, result: CommandDone) -> str | None:
        """Its own, also where a crash interrupted it and it is settled while another command is in hand."""
        with suppress(JournalFailed):
            entry = await self._in_thread(self._bench.journal.lookup, result.command_id)
            if entry is not None and entry.cause is not None:
                return entry.cause.correlationid
        return None

    async def _acting(self, work: Callable[..., T], *values: object) -> T:
        """Anything that writes the journal; a failure is said and waited for (S12)."""
        try:
            result = await self._in_thread(work, *values)
        except JournalFailed as error:
            self._in_trouble(error)
            raise
        self._trouble = None
        return result

    def _in_trouble(self, error: JournalFailed) -> None:
        self._trouble = f"nothing is moved: {error}"
        log.error("executor.journal_failed", error=str(error))

    # ---- requests -------------------------------------------------------------------------------------------------

    async def _on_request(self, delivery: Delivery) -> None:
        request = delivery.message
        if not isinstance(request, RestoreRequested | AdoptRequested | ConfirmRequested | AllowRequested):
            return  # the resolver's
        if root_of(request) in self._elsewhere:
            return  # another watcher's, which hears it too
        known = await self._acting(self._bench.journal.answer_to, request.request_id)
        answer = known or await self._answer(request)
        await self._acting(self._bench.journal.answer, answer, delivery.envelope)
        log.info(
            "executor.request_answered", request=type(request).__name__, done=answer.done, reason=answer.explanation
        )
        await self._say()

    async def _answer(self, request: Request) -> RequestAnswered:
        match request:
            case RestoreRequested():
                return await self._restore(request)
            case AdoptRequested():
                return await self._adopt(request)
            case AllowRequested():
                return await self._allow(request)
            case ConfirmRequested(what="breaker"):
                return await self._acting(self._answering.confirm_breaker, request)
            case ConfirmRequested():
                return await self._confirm(request)
        raise MessageRejected(f"{request.TYPE} is no request to an executor")

    async def _restore(self, request: RestoreRequested) -> RequestAnswered:
        answer, back = await self._acting(self._answering.restore, request)
        for path in back:
            await self._on_restored(path)
        return answer

    async def _adopt(self, request: AdoptRequested) -> RequestAnswered:
        answer = await self._acting(self._answering.adopt, request)
        if answer.done:
            await self._adopt_for_eyes(request.root)
        return answer

    async def _allow(self, request: AllowRequested) -> RequestAnswered:
        answer = await self._acting(self._answering.allow, request)
        if answer.done:
            await self._allow_for_eyes(request.folder.root, request.folder.rel)
        return answer

    async def _confirm(self, request: ConfirmRequested) -> RequestAnswered:
        try:
            text = await self._confirm_disappearances(request.root)
        except PermanentError as error:
            return self._answering.no(request, str(error))
        return self._answering.answer(request, done=True, text=text)

    # ---- saying, and looking after --------------------------------------------------------------------------------

    async def _say(self) -> None:
        """Publish the outbox in order (S18). Raises ``BusUnavailable``: then the input is not acknowledged."""
        async with self._saying:
            for unsaid in await self._acting(self._bench.journal.unsaid):
                try:
                    await self._bus.publish(unsaid.message, cause=unsaid.cause)
                except PermanentError as error:  # it would stand before all that follow, for ever
                    log.error("executor.outcome_unsayable", id=unsaid.message.message_id, error=str(error))
                await self._acting(self._bench.journal.said, unsaid.seq)

    async def _upkeep(self, stop: asyncio.Event) -> None:
        """Intents left open, running days, retention, and what could not be said before."""
        while await unless_stopped(stop, self._upkeep_seconds):
            await self._look_after()

    async def _look_after(self) -> None:
        with suppress(*OUTAGES, JournalFailed):  # said already; the next round or command tries again
            for result in await self._acting(self._round):
                await self._done(result)
            await self._say()

    def _round(self) -> list[CommandDone]:
        self._removal.note_today()
        settled = self._recovery.settle_all()
        done = self._removal.remove_due()
        self._releasing.ask(done.copyless)
        if done.removed or done.last_copies or done.stopped:
            log.info(
                "executor.retention_done", removed=done.removed, last_copies=len(done.last_copies), stopped=done.stopped
            )
        self._executor.rest()
        return settled

"""A resolver at work: real nats-server, real index, real store; the test plays analyser, executor and person."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from services.resolver.checks import check_parts
from services.resolver.ranking import Candidate
from services.resolver.service import ResolverService
from services.resolver.store import DecisionStore
from shared.bus.port import Bus
from shared.config import Root, Settings
from shared.index.embedded import EmbeddedIndex
from shared.index.port import FileDoc, Index
from shared.messages.analysis import FileAnalysed, FileForgotten
from shared.messages.base import FileRef, Message
from shared.messages.commands import TakeFile
from shared.messages.outcomes import CommandDone
from shared.messages.resolution import CaughtUp, DecisionWithdrawn, GroupDecided, Member
from shared.signature import Signature
from tests.support.bus import RunningBus, running_bus
from tests.support.model import content, document
from tests.support.working import at_work

M = TypeVar("M", bound=Message)
Picture = tuple[Candidate, Signature]


class TurnableClock:
    """A clock whose hands the test turns; between two looks it moves on by a millisecond."""

    def __init__(self, now: float = 2_000_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        self.time += 0.001
        return self.time

    def monotonic(self) -> float:
        return self.time


class Bench:
    """What the test sees and does."""

    def __init__(self, server: RunningBus, folder: Path, settings: Settings) -> None:
        self.server, self.folder, self.settings = server, folder, settings
        self.clock = TurnableClock()
        #: everything that was stored on the bus, in the order it was seen
        self.heard: list[Message] = []
        self._changed = asyncio.Condition()
        self.index: EmbeddedIndex
        self.analyser: Bus
        self.executor: Bus
        self.person: Bus
        self.service: ResolverService

    async def open(self, stack: contextlib.AsyncExitStack) -> None:
        (self.folder / "analyser").mkdir()
        (self.folder / "resolver").mkdir()
        self.index = await asyncio.to_thread(
            EmbeddedIndex.open, self.folder / "analyser", writable=True, mode="canonical"
        )
        stack.push_async_callback(self.index.close)
        self.analyser = await self.server.connect("analyser")
        self.executor = await self.server.connect("watcher")
        self.person = await self.server.connect("person")
        listening = asyncio.create_task(self._listen(await self.person.following("photosift.>")))
        stack.push_async_callback(_ended, listening)

    async def _listen(self, stream) -> None:
        async for _, message in stream:
            async with self._changed:
                self.heard.append(message)
                self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def working(
        self, *, index: Index | None = None, wrap: Callable[[Bus], Bus] = lambda bus: bus, **changes
    ) -> AsyncIterator[ResolverService]:
        """The resolver runs, until the block ends; may be entered again: a restart."""
        settings = self.settings.model_copy(update=changes)
        store = DecisionStore(self.folder / "resolver")
        bus = await self.server.connect("resolver")
        service = ResolverService(
            bus=wrap(bus),
            index=index or self.index,
            store=store,
            settings=settings,
            clock=self.clock,
            quiet_seconds=0.05,
        )
        self.service = service
        try:
            async with at_work(service):
                yield service
        finally:
            store.close()

    # the analyser's part

    async def add(self, *pictures: Picture) -> None:
        """Put files into the index, then say so."""
        await self.index.put([document(f) for f, _ in pictures], [content(f, s) for f, s in pictures])
        await self.analyser.publish_many([_analysed(f) for f, _ in pictures])

    async def forget(self, *files: Candidate) -> None:
        gone = [
            FileDoc(path=f.path, version=f.version + 1, state="gone", sha256=f.sha256, stat=f.stat, reason="deleted")
            for f in files
        ]
        await self.index.put(gone)
        await self.analyser.publish_many(
            [FileForgotten(file=FileRef.of(f.path), version=f.version + 1, reason="deleted") for f in files]
        )

    # the executor's part

    async def answer(self, command: TakeFile, outcome: str = "moved", code: str | None = None) -> None:
        await self.executor.publish(
            CommandDone(
                command_id=command.command_id,
                decision_id=command.decision_id,
                batch_id=command.batch_id,
                action=command.action,
                outcome=outcome,
                code=code,
                explanation="as the test says",
                victim=command.victim.file,
                keeper=command.keeper.file,
                sha256=command.victim.sha256,
                match_class=command.match_class,
                distance=command.distance,
                done_at=self.clock.now(),
            )
        )

    # what is heard

    async def until(self, holds: Callable[[], bool]) -> None:
        try:
            async with self._changed, asyncio.timeout(20):
                await self._changed.wait_for(holds)
        except TimeoutError as error:
            raise AssertionError("\n".join(["never heard; this was:", *map(repr, self.heard)])) from error

    def all(self, kind: type[M]) -> list[M]:
        return [m for m in self.heard if isinstance(m, kind)]

    async def heard_of(self, kind: type[M], count: int = 1) -> list[M]:
        await self.until(lambda: len(self.all(kind)) >= count)
        return self.all(kind)

    async def caught_up(self) -> CaughtUp:
        """Everything that was published by the analyser is decided."""
        last = await (await self.server.steward()).last_seq("SIG")
        await self.until(lambda: any(c.sig_seq >= last for c in self.all(CaughtUp)))
        return self.all(CaughtUp)[-1]

    async def settled(self, **facts: int) -> CaughtUp:
        """The last that was said of the resolver's state has these values."""
        await self.until(
            lambda: bool(found := self.all(CaughtUp)) and all(getattr(found[-1], k) == v for k, v in facts.items())
        )
        return self.all(CaughtUp)[-1]

    def standing(self) -> dict[str, list[str]]:
        """What stands for someone who heard everything: keeper's name -> duplicates' names. S3 held all the time."""
        open_now: dict[str, GroupDecided] = {}
        for message in self.heard:
            if isinstance(message, GroupDecided):
                open_now[message.decision_id] = message
                check_parts((_id(d.keeper), [_id(x.member) for x in d.duplicates]) for d in open_now.values())
            elif isinstance(message, DecisionWithdrawn):
                del open_now[message.decision_id]
        return stars_in(open_now.values())


def _id(member: Member) -> str:
    return member.file.photo.file_id


def stars_in(decisions) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for decided in decisions:
        followers = found.setdefault(decided.keeper.file.path, [])
        followers += [d.member.file.path for d in decided.duplicates]
    return {keeper: sorted(followers) for keeper, followers in found.items()}


def _analysed(file: Candidate) -> FileAnalysed:
    return FileAnalysed(
        file=FileRef.of(file.path),
        version=file.version,
        stat=file.stat,
        sha256=file.sha256,
        facts=file.facts,
        mode="canonical",
        known_since=file.known_since,
        doubt=file.doubt,
    )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def settings_for(roots: Sequence[str] = ("photos",), **changes) -> Settings:
    return Settings(roots=tuple(Root(name=name, path=Path("/srv") / name) for name in roots), **changes)


@contextlib.asynccontextmanager
async def bench(folder: Path, **changes) -> AsyncIterator[Bench]:
    async with running_bus(folder, ack_wait=3.0) as server, contextlib.AsyncExitStack() as stack:
        made = Bench(server, folder, settings_for(**changes))
        await made.open(stack)
        yield made

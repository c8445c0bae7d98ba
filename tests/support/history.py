"""photosift's real parts over real folders, and a reckoning of every photo that shares no code with them.

``House`` is the server, the connections and the worker that a whole run shares. ``World`` is one history: its folders,
its services, the ledger of what the user did, and what was said on the bus. ``Ledger`` looks at nothing but the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NoReturn

import nats
import numpy as np
from PIL import Image

from services.analyser.examining import sign
from services.analyser.service import AnalyserService
from services.analyser.workers import WorkerPool
from services.resolver.service import ResolverService
from services.resolver.store import DecisionStore
from services.watcher.disk.local import LocalDisk
from services.watcher.eyes.service import Eyes
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.hands.executor import FAULT_POINTS
from services.watcher.hands.service import Hands
from services.watcher.hands.sight import Sight
from shared import imaging
from shared.bus.jetstream import JetStreamBus, Steward
from shared.bus.names import ANALYSER_FS, EXECUTOR_CMD, EXECUTOR_REQ, RESOLVER_OUT, RESOLVER_REQ, RESOLVER_SIG
from shared.clock import SystemClock
from shared.config import Analysis, Settings
from shared.index.embedded import EmbeddedIndex
from shared.lifecycle import Service
from shared.messages.base import FileRef, Message
from shared.messages.commands import Evidence, TakeFile
from shared.messages.envelope import Envelope, decode, encode
from shared.messages.outcomes import CommandDone, ItemRestored, RequestAnswered
from shared.messages.resolution import CaughtUp, DecisionWithdrawn, GroupDecided
from shared.messages.subjects import subject_of
from shared.paths import PhotoPath
from tests.support.bus import RunningBus, running_bus
from tests.support.photos import jpeg, scene

ROLES = ("library", "reference", "incoming", "backup")
#: the threshold of the histories' settings
NEAR = 0.10
#: seconds until a history that does not come to rest has failed
SOON = 30.0
#: between these no look at the keeper follows any more
LAST_LOOK = {"delete": 5, "move": 8}
STEPS = (*FAULT_POINTS, "restore:before-mark", "restore:before-bring", "restore:before-result")


#: how the ids of decisions begin that no resolver took
NOBODYS = "nobody's"


class Killed(BaseException):
    """The process would have ended here."""


# ---- pictures -----------------------------------------------------------------------------------------------------


@cache
def pictures() -> tuple[bytes, ...]:
    """Two scenes, each as a chain of four in two sizes: neighbours are near each other, the ends are not."""
    found = []
    for seed in (1, 5):
        here, there = scene(seed, (240, 180)), scene(seed + 1, (240, 180))
        for n, share in enumerate((0.0, 0.04, 0.08, 0.12)):
            for size in ((160 + 8 * n, 120 + 6 * n), (120, 90)):
                found.append(jpeg(Image.blend(here, there, share).resize(size)))
    return tuple(found)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def short(content: str) -> str:
    """Scene, place in its chain and size, for a story."""
    n = next((n for n, data in enumerate(pictures()) if sha(data) == content), -1)
    return f"{'AB'[n // 8]}{n % 8 // 2}{'xs'[n % 2]}"


def told(message: Message) -> str:
    """A message in a line of a story."""
    match message:
        case TakeFile():
            pair = (f"{e.file.root}/{e.file.path} {short(e.sha256)}" for e in (message.victim, message.keeper))
            return f"  TAKE {message.command_id[:6]} {' for '.join(pair)} {message.match_class}"
        case CommandDone():
            return f"  DONE {message.command_id[:6]} {message.outcome} {message.code or ''} {message.explanation}"
        case ItemRestored():
            return f"  BACK {message.file.root}/{message.file.path} {short(message.sha256)}"
        case RequestAnswered():
            return f"  ANSWER {message.explanation}"
        case CaughtUp():
            return f"  CAUGHT UP {message.sig_seq} {message.open_decisions} {message.open_commands}"
    return f"  {message.TYPE} {message.about[:6]}"


@cache
def _values() -> Mapping[str, np.ndarray]:
    return {sha(data): sign(data, "canonical", 1 << 30)[1].values.astype(float) for data in pictures()}


@cache
def gap(one: str, other: str) -> float:
    """Measured directly: ``||a-b|| / (||a||+||b||)`` of two contents."""
    if one == other:
        return 0.0
    a, b = _values()[one], _values()[other]
    return float(np.linalg.norm(a - b) / (np.linalg.norm(a) + np.linalg.norm(b)))


# ---- what the disk says -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A name on the disk, and what lies there."""

    sha: str
    identity: tuple[int, int]


@dataclass
class Ledger:
    """What the user did, and where every photo must therefore be."""

    roots: Mapping[str, Path]
    target: Path
    similar: bool
    #: as the user left it: every photo at its own name
    live: dict[Path, str] = field(default_factory=dict)
    #: what photosift holds: the name it was taken from, and its content
    held: Counter[tuple[Path, str]] = field(default_factory=Counter)
    #: how the live files were each time photosift was about to write down its result, by the name that was gone
    at_act: dict[Path, list[dict[Path, Seen]]] = field(default_factory=dict)
    #: names that the user gave to other files while photosift still was at work on the first
    _reused: set[Path] = field(default_factory=set)
    #: names that were gone when photosift wrote down a result, and are not back
    _away: set[Path] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)
    #: told of what the user does
    tell: Callable[[str], None] = print

    def role_of(self, path: Path) -> str:
        return next(role for role, root in self.roots.items() if path.is_relative_to(root))

    def on_disk(self) -> dict[Path, Seen]:
        """Every photo below the roots, photosift's own folders left out."""
        found = {}
        for root in self.roots.values():
            for folder, folders, names in os.walk(root):
                folders[:] = [name for name in folders if name != ".photosift"]
                for name in names:
                    path = Path(folder, name)
                    stat = path.stat()
                    found[path] = Seen(sha(path.read_bytes()), (stat.st_dev, stat.st_ino))
        return found

    def put_away(self) -> Counter[str]:
        """Every photo in a quarantine or the target."""
        places = [root / ".photosift" for root in self.roots.values()] + [self.target]
        files = [path for place in places for path in place.rglob("*") if path.is_file()]
        contents = [data for path in files if (data := path.read_bytes())[:2] == b"\xff\xd8"]
        return Counter(map(sha, contents))

    # what the user does; atomic enough for the executor to be at work meanwhile

    def write(self, path: Path, data: bytes) -> None:
        """In place where there is a file, else a new one."""
        self.tell(f"write {path} {short(sha(data))}")
        with self.lock, contextlib.suppress(FileNotFoundError):
            known = path.exists()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._adopt(path)
            with path.open("r+b" if known else "xb") as file:
                stat = os.fstat(file.fileno())
                file.truncate()
                file.write(data)
            names = [p for p in self.live if p.exists() and os.path.samestat(p.stat(), stat)]
            for name in {path, *names}:  # every name of a hard-linked file shows the new bytes
                self._put(name, sha(data))

    def replace(self, path: Path, data: bytes) -> None:
        """As an editor does: a new file renamed over the old one."""
        self.tell(f"replace {path} {short(sha(data))}")
        with self.lock:
            fresh = self.target.parent / f"fresh-{path.name}"
            fresh.write_bytes(data)
            self._adopt(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.rename(path)
            self._put(path, sha(data))

    def delete(self, path: Path) -> None:
        self.tell(f"delete {path}")
        with self.lock, contextlib.suppress(FileNotFoundError):
            path.unlink()
            self._adopt(path, there=True)
            self.live.pop(path, None)

    def link(self, path: Path, other: Path) -> None:
        self.tell(f"link {path} as {other}")
        with self.lock, contextlib.suppress(FileNotFoundError, FileExistsError):
            other.parent.mkdir(parents=True, exist_ok=True)
            other.hardlink_to(path)
            self._adopt(other, there=False)
            self._put(other, sha(other.read_bytes()))

    def move(self, path: Path, other: Path) -> None:
        self.tell(f"move {path} to {other}")
        with self.lock, contextlib.suppress(FileNotFoundError):
            if other.exists():
                return
            other.parent.mkdir(parents=True, exist_ok=True)
            path.rename(other)
            self._adopt(path, there=True)
            self._adopt(other, there=False)
            self._put(other, self.live.pop(path))

    def _put(self, path: Path, content: str) -> None:
        self.live[path] = content
        self._away.discard(path)

    def _adopt(self, path: Path, there: bool | None = None) -> None:
        """Before the user changes a name: what photosift did to it since the last look is written down."""
        there = path.exists() if there is None else there
        if not there and path in self.live:
            content = self.live.pop(path)
            self._taken(path, content)
            if path not in self.at_act:
                self._reused.add(path)
        elif there and path not in self.live:
            back = [content for (origin, content), number in self.held.items() if origin == path and number]
            assert back, f"{path} holds what neither the user nor photosift put there"
            self._brought_back(path, sha(path.read_bytes()) if path.exists() else back[0])

    # the reckoning

    def note_act(self) -> None:
        """Called while photosift is about to write down what it did."""
        with self.lock:
            now = self.note_return()
            known = self.live.keys() | {path for path, _ in self.held}
            gone = known - now.keys() - self._away
            for path in gone | self._reused:
                self.at_act.setdefault(path, []).append(now)
            self._away |= gone
            self._reused.clear()

    def note_return(self) -> dict[Path, Seen]:
        """What is there now was not taken, or is back."""
        with self.lock:
            now = self.on_disk()
            self._away -= now.keys()
            return now

    def balance(self) -> None:
        """Every photo is where the user left it, or is held, once; nothing else is anywhere."""
        with self.lock:
            now = self.note_return()
            for path in [p for p in self.live if p not in now]:
                self._taken(path, self.live.pop(path))
            for path, seen in now.items():
                if path not in self.live:
                    self._brought_back(path, seen.sha)
                assert self.live[path] == seen.sha, f"{path} was overwritten"
            away = self.put_away()
            self._merge(self.contents_held() - away)
            held = self.contents_held()
            assert away == held, f"held and not found: {held - away}; found and not known: {away - held}"

    def _merge(self, missing: Counter[str]) -> None:
        """A restored item whose very bytes the user had put back at its name is let go: the name holds them."""
        for (path, content), number in (+self.held).items():
            merged = min(number, missing[content]) if self.live.get(path) == content else 0
            self.held[path, content] -= merged
            missing[content] -= merged

    def contents_held(self) -> Counter[str]:
        return Counter(content for (_, content), number in self.held.items() for _ in range(number))

    def _taken(self, path: Path, content: str) -> None:
        assert self.role_of(path) in ("library", "incoming"), f"S22: {path} was taken"
        self.held[path, content] += 1

    def _brought_back(self, path: Path, content: str) -> None:
        assert self.held[path, content] > 0, f"{path}: nobody put this there"
        self.held[path, content] -= 1
        self.live[path] = content

    def stood(self, victim: Path, content: str) -> bool:
        """Whether something live, and not the victim itself, stood for it when it was taken (S1, S2, S4, S22).

        One name may be taken, put back and taken again before this is asked; the acts are not told apart here.
        """
        root = self.role_of(victim)
        return any(
            (seen.sha == content or (self.similar and gap(seen.sha, content) <= NEAR))
            and (self.role_of(path) in ("library", "reference") or self.role_of(path) == root == "incoming")
            for then in self.at_act[victim]
            for path, seen in then.items()
        )


# ---- what the bus says --------------------------------------------------------------------------------------------


@dataclass
class Book:
    """What was said, and the rules that can be read off it."""

    ledger: Ledger
    names: Mapping[str, Path]
    commands: dict[str, tuple[Envelope, TakeFile]] = field(default_factory=dict)
    #: published by the resolver and not answered
    open: dict[str, TakeFile] = field(default_factory=dict)
    done: dict[str, CommandDone] = field(default_factory=dict)
    decided: dict[str, GroupDecided] = field(default_factory=dict)
    #: pairs of contents, victim and keeper, that a person put back
    restored: set[tuple[str, str]] = field(default_factory=set)
    stands_for: dict[str, set[str]] = field(default_factory=dict)
    answers: dict[str, RequestAnswered] = field(default_factory=dict)
    caught_up: CaughtUp | None = None
    taken: int = 0
    broken: list[str] = field(default_factory=list)
    unjudged: list[TakeFile] = field(default_factory=list)

    def hear(self, envelope: Envelope, message: Message) -> None:
        match message:
            case TakeFile() if message.victim.file.root in self.names:
                self._asked(envelope, message)
            case CommandDone() if message.victim.root in self.names:
                self._answered(message)
            case ItemRestored() if message.file.root in self.names:
                self.restored.add((message.sha256, message.keeper_sha256))
            case GroupDecided() if message.keeper.file.root in self.names:
                self.decided[message.decision_id] = message
                self._one_role_each()
            case DecisionWithdrawn():
                self.decided.pop(message.decision_id, None)
            case RequestAnswered():
                self.answers[message.request_id] = message
            case CaughtUp():
                self.caught_up = message

    def _asked(self, envelope: Envelope, command: TakeFile) -> None:
        first = command.command_id not in self.commands
        self.commands.setdefault(command.command_id, (envelope, command))
        if first and not command.decision_id.startswith(NOBODYS):
            self.open[command.command_id] = command
            victims = {c.victim.file.photo for c in self.open.values()}
            keepers = {c.keeper.file.photo for c in self.open.values()}
            self._unless(victims & keepers, "S3: asked to be taken and to stand at once")

    def _one_role_each(self) -> None:
        keepers = {d.keeper.file.photo for d in self.decided.values()}
        victims = {x.member.file.photo for d in self.decided.values() for x in d.duplicates}
        self._unless(keepers & victims, "S3: keeper and duplicate at once")

    def _answered(self, done: CommandDone) -> None:
        self.open.pop(done.command_id, None)
        before = self.done.get(done.command_id)
        self.done[done.command_id] = done
        if done.outcome in ("moved", "quarantined") and (before is None or before.outcome != done.outcome):
            self._took(self.commands[done.command_id][1])

    def _took(self, command: TakeFile) -> None:
        self.taken += 1
        self.unjudged.append(command)
        victim, keeper = command.victim.sha256, command.keeper.sha256
        self._unless({(victim, keeper)} & self.restored, "S12: taken again after it was put back")
        behind = self.stands_for.get(victim, set()) | {victim}
        self._unless({v for v in behind if gap(v, keeper) > NEAR}, f"S1: {keeper} is too far from what it stands for")
        self.stands_for.setdefault(keeper, set()).update(behind - {keeper})

    def judge(self) -> None:
        """Every file that was taken had something live that stood for it."""
        for command in self.unjudged:
            victim = command.victim.file
            path = self.names[victim.root] / victim.path
            if path not in self.ledger.at_act or not self.ledger.stood(path, command.victim.sha256):
                self.broken.append(f"S2: {path} was taken, and nothing stood for it")
        self.unjudged.clear()
        self.ledger.at_act.clear()
        assert not self.broken, self.broken

    def _unless(self, found: set, sentence: str) -> None:
        if found:
            self.broken.append(f"{sentence}: {found}")


# ---- the services -------------------------------------------------------------------------------------------------


class House:
    """What a run of many histories shares. Its event loop runs only while somebody waits for something."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count, self.taken = folder, 0, 0
        self.loop = asyncio.new_event_loop()
        self._stack = contextlib.AsyncExitStack()
        self.world: World | None = None
        self.server: RunningBus
        self.steward: Steward
        self.workers: WorkerPool
        self.bus: dict[str, JetStreamBus]
        self.forger: nats.NATS

    def wait_for(self, work):
        return self.loop.run_until_complete(work)

    @contextlib.contextmanager
    def opened(self) -> Iterator[House]:
        try:
            self.wait_for(self._open())
            yield self
        finally:
            self.wait_for(self._stack.aclose())
            self.wait_for(self.loop.shutdown_asyncgens())
            self.wait_for(self.loop.shutdown_default_executor())
            self.loop.close()

    async def _open(self) -> None:
        enter = self._stack.enter_async_context
        self.server = await enter(running_bus(self.folder, ack_wait=2.0))
        self.steward = await self.server.steward()
        self.workers = await enter(WorkerPool(Analysis(threads=1)))
        self.bus = {who: await self.server.connect(who) for who in ("watcher", "analyser", "resolver", "person")}
        resolver = self.server.credentials["resolver"]
        self.forger = await nats.connect(self.server.url, user=resolver.user, password=resolver.password)
        self._stack.push_async_callback(self.forger.close)
        listening = asyncio.create_task(self._listen(await self.bus["person"].following("photosift.>")))
        self._stack.push_async_callback(_cancelled, listening)

    async def _listen(self, stream) -> None:
        async for envelope, message in stream:
            if self.world is not None:
                self.world.hear(envelope, message)

    async def backlog(self) -> int:
        names = (EXECUTOR_REQ, RESOLVER_REQ, EXECUTOR_CMD, ANALYSER_FS, RESOLVER_SIG, RESOLVER_OUT)
        return sum([await self.steward.backlog(name) for name in names])

    async def publish_again(self, envelope: Envelope) -> None:
        """As the resolver, and without the message id by which the server would drop a repetition."""
        await self.forger.publish(subject_of(decode(encode(envelope))[1]), encode(envelope))
        await self.forger.flush()


class World:
    """One history. ``rest`` lets everything be seen, decided and done."""

    def __init__(self, house: House, *, action: str, similar: bool) -> None:
        house.count += 1
        self.house, self.action = house, action
        self.folder = house.folder / f"world-{house.count}"
        # names of this history alone: the server remembers the ids of the last minutes
        self.names = {f"{role}-{house.count}": self.folder / role for role in ROLES}
        for path in (
            *self.names.values(),
            *(self.folder / "state" / part for part in ("watcher", "analyser", "resolver")),
        ):
            path.mkdir(parents=True)
        self.settings = self._settings(similar)
        roots = {role: self.folder / role for role in ROLES}
        self.ledger = Ledger(roots=roots, target=self.folder / "target", similar=similar)
        self.book = Book(self.ledger, self.names)
        self.waited_for: type[Message] | None = None
        self.story: list[str] = []
        self.ledger.tell = self.tell
        self.armed: tuple[str, Callable[[], None]] | None = None
        self._running: dict[str, tuple[asyncio.Task[None], asyncio.Event, Callable[[], None]]] = {}
        self.index: EmbeddedIndex
        self.eyes: Eyes
        self.first_seq = 0

    def _settings(self, similar: bool) -> Settings:
        return Settings.model_validate(
            {
                "roots": [
                    {"name": name, "path": path, "role": role}
                    for role, (name, path) in zip(ROLES, self.names.items(), strict=True)
                ],
                "action": self.action,
                "allow_delete": self.action == "delete",
                "target": self.folder / "target",
                "automatic_classes": ["same-bytes", "similar"] if similar else ["same-bytes"],
                "deduplication": {"across_roots": True, "max_distance": NEAR},
                "keeper_age_seconds": 0,
                "watch": {"settle_seconds": 0},
                "breaker": {"at_least": 10_000, "at_most": 10_000, "refusals": 10_000},
            }
        )

    async def open(self) -> None:
        self.index = await asyncio.to_thread(
            EmbeddedIndex.open, self.folder / "state" / "analyser", writable=True, mode="canonical"
        )
        self.first_seq = await self.house.steward.last_seq("SIG")
        self.house.world = self
        for who in ("analyser", "resolver", "watcher"):
            await self.start(who)

    async def close(self) -> None:
        for who in list(self._running):
            await self.stop(who)
        self.house.world = None
        self.house.taken += self.book.taken
        await self.index.close()

    async def start(self, who: str) -> None:
        service, close = await getattr(self, f"_{who}")()
        stop = asyncio.Event()
        self._running[who] = (asyncio.create_task(service.run(stop)), stop, close)

    async def stop(self, who: str) -> None:
        task, stop, close = self._running.pop(who)
        stop.set()
        try:
            await task
        except* Killed:
            pass
        finally:
            await asyncio.to_thread(close)

    async def restart(self, *which: str) -> None:
        for who in which:
            if who in self._running:
                await self.stop(who)
            await self.start(who)

    async def _analyser(self) -> tuple[Service, Callable[[], None]]:
        bus, workers = self.house.bus["analyser"], self.house.workers
        return AnalyserService(
            bus=bus, index=self.index, workers=workers, roots=self.names, settings=self.settings
        ), lambda: None

    async def _resolver(self) -> tuple[Service, Callable[[], None]]:
        store = await asyncio.to_thread(DecisionStore, self.folder / "state" / "resolver")
        service = ResolverService(
            bus=self.house.bus["resolver"],
            index=self.index,
            store=store,
            settings=self.settings,
            clock=SystemClock(),
            quiet_seconds=0.01,
        )
        return service, store.close

    async def _watcher(self) -> tuple[Service, Callable[[], None]]:
        """The hands run; the eyes look when told to."""
        part, clock, bus = self.folder / "state" / "watcher", SystemClock(), self.house.bus["watcher"]
        snapshot = await asyncio.to_thread(Snapshot, part / "snapshot.sqlite", now=clock.now)
        await asyncio.to_thread(snapshot.raise_epoch, await self.index.highest_version())
        self.eyes = eyes = Eyes(
            bus=bus,
            snapshot=snapshot,
            settings=self.settings,
            clock=clock,
            extensions=imaging.extensions(),
            private=(self.folder / "state",),
        )
        hands = Hands(
            bus=bus,
            disk=LocalDisk(self.fault),
            settings=self.settings,
            clock=clock,
            folder=part,
            sight=Sight(known_since=eyes.known_since, files_in=eyes.file_count, doubt=eyes.doubt),
            on_taken=eyes.hearsay.taken,
            on_restored=eyes.hearsay.restored,
            fault_point=self.fault,
        )
        return hands, snapshot.close

    def fault(self, step: str) -> None:
        """In the executor's thread, at every step that has a name."""
        if step == "execute:before-result":
            self.ledger.note_act()
        elif step == "restore:before-result":
            self.ledger.note_return()
        if self.armed is not None and self.armed[0] == step:
            _, act = self.armed
            self.armed = None
            self.tell(f"at {step}:")
            act()

    def tell(self, what: str) -> None:
        self.story.append(what.replace(str(self.folder) + "/", ""))

    # waiting

    def hear(self, envelope: Envelope, message: Message) -> None:
        self.book.hear(envelope, message)
        self.tell(told(message))
        if self.waited_for is not None and isinstance(message, self.waited_for):
            self.waited_for = None

    async def until_next(self, kind: type[Message]) -> None:
        """A look of the eyes, then until a message of this kind came, all is at rest, or someone was killed."""
        self.waited_for = kind
        await self.eyes.full_pass()
        while self.waited_for is kind and not self._someone_died() and not await self._is_empty():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        self.waited_for = None

    async def rest(self) -> None:
        """Until every queue is empty and the resolver says that nothing is open; what was killed is started again."""
        try:
            await self._until_empty()  # an act in hand and a look at its file would get into each other's way
            await self.eyes.full_pass()
            await self._until_empty()
            self.ledger.balance()
            self.book.judge()
        except (AssertionError, TimeoutError) as error:
            self.fail(repr(error))
        self.tell("-- at rest")

    def fail(self, why: str) -> NoReturn:
        raise AssertionError("\n".join([*self.story, why]))

    async def _until_empty(self, enough: Callable[[], bool] = lambda: False) -> None:
        async with asyncio.timeout(SOON):
            while not enough() and not await self._is_empty():
                for who in [who for who, (task, _, _) in self._running.items() if task.done()]:
                    await self.restart(who)
                # the server's queues are asked: nobody publishes that one has run empty
                await asyncio.sleep(0.005)

    def _someone_died(self) -> bool:
        return any(task.done() for task, _, _ in self._running.values())

    async def _is_empty(self) -> bool:
        if self._someone_died() or await self.house.backlog():
            return False
        last, said = await self.house.steward.last_seq("SIG"), self.book.caught_up
        return said is not None and said.open_commands == 0 and (said.sig_seq >= last or last == self.first_seq)

    # what the test says in the names of others

    def evidence(self, path: Path) -> Evidence:
        """True as of now."""
        stat, name = path.stat(), f"{self.ledger.role_of(path)}-{self.house.count}"
        return Evidence(
            file=FileRef.of(PhotoPath(name, os.fsencode(path.relative_to(self.names[name])))),
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            ctime_ns=stat.st_ctime_ns,
            sha256=sha(path.read_bytes()),
            dev=stat.st_dev,
            ino=stat.st_ino,
            version=1,
        )

    def command(self, victim: Path, keeper: Path, decision: str) -> TakeFile:
        """A command valid in form and evidence, whatever the resolver thinks of it."""
        one, other = self.evidence(victim), self.evidence(keeper)
        return TakeFile(
            decision_id=f"{NOBODYS} {decision}",
            batch_id=f"{NOBODYS} {decision}",
            action=self.action,
            victim=one,
            keeper=other,
            match_class="same-bytes" if one.sha256 == other.sha256 else "similar",
            distance=gap(one.sha256, other.sha256),
            expires_at=time.time() + 600,
            target=str(self.settings.target) if self.action == "move" else None,
        )


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

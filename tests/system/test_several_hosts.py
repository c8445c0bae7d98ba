"""Analysers, watchers and resolvers on several hosts, each killed in the middle of its work. (S3, S14, S18, S23)

In the end all is as if one photosift had done it alone: the same groups, every copy taken once and by the watcher that
has it, every file in the index, no picture without a live copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shared.bus.jetstream import JetStreamBus, Steward, connect, setup
from shared.bus.names import ANALYSER_FS, EXECUTOR_CMD, RESOLVER_OUT, RESOLVER_SIG, of_watcher
from shared.bus.server import BundledServer
from shared.bus.topology import declared
from shared.index.elastic import Access, ElasticIndex
from shared.messages.base import FileRef
from shared.messages.leading import LeadHeld
from shared.messages.outcomes import CommandDone
from tests.support.hosts import Hosts, hosts_at_work
from tests.support.index import elastic_settings
from tests.support.photos import TAKEN, write_photo
from tests.support.program import files_below, scan

#: which watcher has a root
ROOTS = {"family": "nas", "attic": "box"}
SIZE = (320, 240)
#: ``root:path`` of a keeper, and of what it could stand for
Groups = dict[str, frozenset[str]]


# ---- the library ----------------------------------------------------------------------------------------------------


def library(folder: Path, waves: int) -> list[list[Path]]:
    """Paths below ``folder``, wave by wave; each wave has copies of every kind, in and between the roots."""
    made: list[list[Path]] = []
    for n in range(waves):
        wave: list[Path] = []
        for at, (root, other) in enumerate((("family", "attic"), ("attic", "family"))):
            first = 10 * n + 5 * at
            originals = [write_photo(folder / root / f"{n}/{first + k:03}.jpg", first + k, size=SIZE) for k in range(4)]
            copies = {
                folder / root / f"{n}/copies/{first:03} - Copy.jpg": originals[0],
                folder / root / f"{n}/copies/{first:03} - Copy 2.jpg": originals[0],
                folder / other / f"{n}/from {root}/{first + 1:03} - Copy.jpg": originals[1],
            }
            for copy, original in copies.items():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(original, copy)
            half = write_photo(folder / root / f"{n}/small/{first + 2:03}.jpg", first + 2, size=(160, 120))
            wave += [*originals, *copies, half]
        for path in wave:
            os.utime(path, (TAKEN, TAKEN))
        made.append([path.relative_to(folder) for path in wave])
    return made


def put(wave: Sequence[Path], source: Path, place: Path) -> None:
    """Renamed into place, so that each is seen whole."""
    for rel in wave:
        (place / rel).parent.mkdir(parents=True, exist_ok=True)
        fresh = place.parent / "arriving"
        shutil.copy2(source / rel, fresh)
        fresh.rename(place / rel)


def alone(folder: Path, source: Path) -> Groups:
    """The groups of a single all-in-one scan."""
    config = folder / "photosift.yaml"
    roots = [{"name": name, "path": str(source / name)} for name in ROOTS]
    config.write_text(json.dumps({"roots": roots, **SETTINGS, "action": "propose"}))
    report = scan(options=("--config", str(config)), state=folder / "state")
    return {
        _name(g["keeper"]["path"], source): frozenset(_name(d["path"], source) for d in g["duplicates"])
        for g in report["groups"]
    }


def _name(path: str, source: Path) -> str:
    root, _, rel = str(Path(path).relative_to(source)).partition("/")
    return f"{root}:{rel}"


SETTINGS = {
    "action": "delete",
    "allow_delete": True,
    "deduplication": {"across_roots": True},
    "watch": {"settle_seconds": 0},
    "analysis": {"threads": 1},
    "keeper_age_seconds": 0,
    "breaker": {"at_least": 10_000, "at_most": 10_000},
    "takeover_seconds": 12,
    "stats_enabled": False,
}


#: a service is in the middle of its work when so many of these were said since there was some
MID_WORK = {"analyser": ("FileAnalysed", 4), "watcher": ("TakeFile", 1), "resolver": ("GroupDecided", 1)}


# ---- what is seen of it ---------------------------------------------------------------------------------------------


@dataclass
class Watching:
    """A person who follows everything, and an operator who looks into queues and index."""

    hosts: Hosts
    person: JetStreamBus
    resolver: JetStreamBus
    steward: Steward
    index: ElasticIndex
    outcomes: list[CommandDone] = field(default_factory=list)
    heard: Counter[str] = field(default_factory=Counter)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self, stream: AsyncIterator[tuple[object, object]]) -> None:
        async for _, message in stream:
            self.heard[type(message).__name__] += 1
            if isinstance(message, CommandDone):
                self.outcomes.append(message)
            self.changed.set()

    async def until(self, holds: Callable[[], bool], what: Callable[[], object], seconds: float = 90.0) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not holds():
                    self.changed.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self.changed.wait(), 0.5)
        assert holds(), f"{what()}; {self.heard}; {self.hosts.logs('error')[-20:]}"

    async def more(self, kind: str, count: int) -> None:
        """So many messages of a kind more than there are now."""
        wanted = self.heard[kind] + count
        await self.until(lambda: self.heard[kind] >= wanted, lambda: f"{count} more of {kind}")

    async def leader(self) -> str:
        """The resolver that decides."""
        _, word = await self.resolver.latest("photosift.lead.held") or (0, None)
        assert isinstance(word, LeadHeld)
        return next(name for name in ("resolver-1", "resolver-2") if self.hosts.memory(name) == word.holder)

    async def another_leads(self, than: str) -> None:
        async with asyncio.timeout(60):
            while await self.leader() == than:  # noqa: ASYNC110  the lease is a message like any other
                await asyncio.sleep(0.2)

    def taken(self) -> dict[str, str]:
        """What was quarantined, and what stands for it now: a keeper may itself have been a victim of a better one."""
        keepers = {_ref(o.victim): _ref(o.keeper) for o in self.outcomes if o.outcome == "quarantined"}

        def live(name: str) -> str:
            return live(keepers[name]) if name in keepers else name

        return {victim: live(keeper) for victim, keeper in keepers.items()}

    def groups(self, resolver: str) -> Groups:
        """What stands, and what was done: as a report would have them together."""
        found: dict[str, set[str]] = {}
        for decided in self.hosts.decisions(resolver):
            keeper = found.setdefault(_ref(decided.keeper.file), set())
            keeper.update(_ref(d.member.file) for d in decided.duplicates)
        for victim, keeper_name in self.taken().items():
            found.setdefault(keeper_name, set()).add(victim)
        return {keeper: frozenset(copies) for keeper, copies in found.items()}

    async def is_idle(self) -> bool:
        executors = [of_watcher(EXECUTOR_CMD, watcher) for watcher in ROOTS.values()]
        return await self.steward.is_idle(ANALYSER_FS, RESOLVER_SIG, RESOLVER_OUT, *executors)


def _ref(file: FileRef) -> str:
    return f"{file.root}:{file.path}"


@contextlib.asynccontextmanager
async def deployment(folder: Path, names: Sequence[str]) -> AsyncIterator[Watching]:
    # what a killed analyser had in hand comes again after ten seconds, not after a minute
    topology = declared(watchers=ROOTS, ack_wait=10.0)
    server = BundledServer(folder / "nats", sync="fast", topology=topology)
    await server.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        await setup(server.url, server.credentials, topology)
        place = stack.enter_context(elastic_settings())
        known = {**SETTINGS, "nats_url": server.url, **place}
        person, resolver = [
            await connect(server.url, server.credentials, service=service, topology=topology)
            for service in ("person", "resolver")
        ]
        steward = await Steward.connect(server.url, server.credentials, topology=topology)
        stack.push_async_callback(steward.close)
        for bus in (person, resolver):
            stack.push_async_callback(bus.close)
        index = await ElasticIndex.open(
            Access.of(place["index_url"], name=place["index_name"]), writable=True, mode="canonical", patience=60
        )
        stack.push_async_callback(index.close)
        hosts = stack.enter_context(hosts_at_work(folder, known, ROOTS, server.credentials, names))
        seen = Watching(hosts=hosts, person=person, resolver=resolver, steward=steward, index=index)
        listening = asyncio.create_task(seen.listen(await person.following("photosift.>")))
        stack.callback(listening.cancel)
        yield seen


# ---- the test -------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(400)
@pytest.mark.parametrize("rounds", [1, pytest.param(3, marks=pytest.mark.long)], ids=["once", "three times"])
async def test_s18_each_process_of_several_hosts_is_killed_in_mid_work_and_all_is_as_if_one_had_done_it(
    tmp_path: Path, rounds: int
) -> None:
    names = [f"analyser-{n}" for n in range(1, 5)]
    names += ["watcher-nas", "watcher-box", "resolver-1", "resolver-2"]
    victims = names * rounds
    waves = library(tmp_path / "complete", 1 + len(victims))
    wanted = await asyncio.to_thread(alone, _made(tmp_path / "alone"), tmp_path / "complete")
    photos = tmp_path / "photos"
    for root in ROOTS:
        _made(photos / root)
    put(waves[0], tmp_path / "complete", photos)
    async with deployment(tmp_path, names) as seen:
        await seen.until(lambda: seen.heard["FileAnalysed"] > 0, lambda: "no work has begun")
        for wave, victim in zip(waves[1:], victims, strict=True):
            await killed_in_mid_work(seen, victim, lambda wave=wave: put(wave, tmp_path / "complete", photos))
        await the_end_is_as_if_one_had_done_it(seen, wanted, tmp_path)
        assert len(seen.hosts.logs("resolver.taken_over")) >= rounds, "a resolver that led was killed too"


async def killed_in_mid_work(seen: Watching, victim: str, work: Callable[[], None]) -> None:
    """The work is there, some of it is done, and the process dies; of the resolvers the other one takes over."""
    was_leading = victim.startswith("resolver") and await seen.leader() == victim
    more = asyncio.create_task(seen.more(*MID_WORK[victim.partition("-")[0]]))
    await asyncio.to_thread(work)
    await more
    seen.hosts.kill(victim)
    if was_leading:
        await seen.another_leads(victim)
    seen.hosts.start(victim)


async def the_end_is_as_if_one_had_done_it(seen: Watching, wanted: Groups, folder: Path) -> None:
    expected = {
        copy: keeper
        for keeper, copies in wanted.items()
        for copy in copies
        if copy.partition(":")[0] == keeper.partition(":")[0] and "Copy" in copy
    }
    await seen.until(lambda: seen.taken() == expected, lambda: seen.taken().items() ^ expected.items(), 180)
    for resolver in ("resolver-1", "resolver-2"):  # the one that decides, and the one that stands by
        await seen.until(
            lambda name=resolver: seen.groups(name) == wanted,
            lambda name=resolver: _differing(seen.groups(name), wanted),
        )
    reasons = {
        f"{d.reason.partition(':')[0]}"
        for decided in seen.hosts.decisions("resolver-1")
        for d in decided.duplicates
        if d.member.file.root != decided.keeper.file.root
    }
    assert reasons == {"keeper-out-of-reach"}
    await nothing_is_lost(seen, expected, folder)


async def nothing_is_lost(seen: Watching, taken: Mapping[str, str], folder: Path) -> None:
    """On the disks, in the index, and by what the executors said."""
    acts = Counter(o.item_id for o in seen.outcomes if o.outcome == "quarantined")
    assert len(acts) == len(taken), "no file was taken under two items"
    for root, watcher in ROOTS.items():
        before = files_below(folder / "complete" / root)
        gone = {name.partition(":")[2] for name in taken if name.startswith(f"{root}:")}
        live = files_below(folder / "photos" / root)
        assert live == {rel: data for rel, data in before.items() if rel not in gone}
        held = [p for p in (folder / "photos" / root / ".photosift" / "quarantine").rglob("*") if p.is_file()]
        held_bytes = Counter(p.read_bytes() for p in held)
        for rel in gone:
            assert before[rel] in live.values(), f"{root}:{rel} has no live copy"
            assert held_bytes[before[rel]] >= 1
        await the_index_has(seen.index, root, live)
        assert watcher in ("nas", "box")


async def the_index_has(index: ElasticIndex, root: str, live: Mapping[str, bytes]) -> None:
    async with asyncio.timeout(60):
        while True:
            docs = [doc async for doc in index.walk(root)]
            states = Counter((os.fsdecode(doc.path.rel), doc.state) for doc in docs if doc.state != "gone")
            if states == Counter((rel, "analysed") for rel in live):
                return
            await asyncio.sleep(0.5)


def _differing(found: Groups, wanted: Groups) -> object:
    return found.items() ^ wanted.items()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder

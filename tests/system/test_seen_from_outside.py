"""One duplicate moved by ``photosift run``, as it is seen from outside: on the bus, in the log, on the stats port.

The story is lived through once for all tests of this module.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.bus.jetstream import Steward
from shared.bus.passwords import read_credentials
from tests.support.bus import halt
from tests.support.overhearing import Event, Overheard, Watched, tiny, watched, write
from tests.support.program import files_below

pytestmark = pytest.mark.timeout(300)

#: what is stored of one photo's way, dead letters included; REQ holds what people ask, and nobody asks here
STREAMS = ("FS", "SIG", "DEC", "CMD", "OUT", "DLQ")
KEEPER, COPY = "a.jpg", "copies/a - Copy.jpg"
WAITING = ("photosift_bus_queue_depth", "analyser-fs")


@dataclass(frozen=True, kw_only=True)
class Story:
    """What was to be seen."""

    heard: Overheard
    #: sequence of the last message that each stream stored
    stored: dict[str, int]
    log: list[str]
    #: samples before the first photo came, and after everything
    before: dict[tuple[str, ...], float]
    after: dict[tuple[str, ...], float]
    #: messages that waited for the analyser while its workers stood still, and after that
    waiting: tuple[float, float]
    health: tuple[int, str]
    readiness: tuple[int, str]
    photos: dict[str, bytes]
    moved: dict[str, bytes]

    def rise(self, *name: str) -> float:
        return self.after.get(name, 0.0) - self.before.get(name, 0.0)

    @property
    def the_move(self) -> list[Event]:
        """Everything that belongs to the story of the copy."""
        (settled,) = self.heard.of("file.settled", COPY)
        return [e for e in self.heard.events if e.correlation == settled.correlation]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return asyncio.run(lived_through(tmp_path_factory.mktemp("outside")))


async def lived_through(folder: Path) -> Story:
    target = folder / "Duplicates"
    acting = {"PHOTOSIFT_ACTION": "move", "PHOTOSIFT_TARGET": str(target), "PHOTOSIFT_KEEPER_AGE_SECONDS": "0"}
    async with watched(folder, **acting) as w:
        before = w.metrics()
        await a_duplicate_is_moved(w)
        await a_photo_is_renamed(w)
        await a_half_photo_is_refused(w)
        waiting = await photos_wait_for_halted_workers(w)
        stored = await until_all_is_heard(w)
        return Story(
            heard=w.heard,
            stored=stored,
            log=w.log,
            before=before,
            after=w.metrics(),
            waiting=waiting,
            health=w.get("/healthz"),
            readiness=w.get("/readyz"),
            photos=dict(files_below(w.photos)),
            moved=dict(files_below(target / w.photos.name)),
        )


async def a_duplicate_is_moved(w: Watched) -> None:
    write(w.photos / KEEPER, tiny(1))
    await w.heard.until_analysed(KEEPER)
    # otherwise its story may be the one that goes on: the resolver looks for neighbours in the index, which is ahead
    await w.heard.until(lambda h: any(e.data["sig_seq"] >= 1 for e in h.of("decision.caught-up")))
    copies = w.state.parent / "copies"
    copies.mkdir()
    shutil.copy2(w.photos / KEEPER, copies / Path(COPY).name)
    copies.rename(w.photos / "copies")
    await w.heard.until(lambda h: h.of("outcome.command-done"))
    await w.heard.until(lambda h: h.of("analysis.forgotten"))


async def a_photo_is_renamed(w: Watched) -> None:
    write(w.photos / "b.jpg", tiny(2))
    await w.heard.until_analysed("b.jpg")
    (w.photos / "b.jpg").rename(w.photos / "c.jpg")
    await w.heard.until(lambda h: h.of("analysis.forgotten", "b.jpg"))


async def a_half_photo_is_refused(w: Watched) -> None:
    write(w.photos / "half.jpg", tiny(3)[:2000])
    await w.heard.until(lambda h: h.of("deadletter"))


async def photos_wait_for_halted_workers(w: Watched) -> tuple[float, float]:
    workers = workers_of(w.process.pid)
    for pid in workers:
        await halt(pid)
    try:
        for n in range(3):
            write(w.photos / "later" / f"{n}.jpg", tiny(10 + n))
        most = await w.until_metric(*WAITING, reaches=lambda depth: depth > 0)
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    await w.heard.until_analysed(*(f"later/{n}.jpg" for n in range(3)))
    return most, await w.until_metric(*WAITING, reaches=lambda depth: depth == 0)


def workers_of(pid: int) -> list[int]:
    """The processes below it that may decode: all but the server of the bus."""
    found = []
    for child in children_of(pid):
        if b"nats-server" not in Path(f"/proc/{child}/cmdline").read_bytes():
            found += [child, *workers_of(child)]
    return found


def children_of(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        yield from map(int, task.read_text().split())


async def until_all_is_heard(w: Watched) -> dict[str, int]:
    """Returns the last sequence of every stream, once the auditor has heard of all of them."""
    steward = await Steward.connect(*read_credentials(w.state / "nats"))
    try:
        stored = {stream: await steward.last_seq(stream) for stream in STREAMS}
    finally:
        await steward.close()
    await w.heard.until(
        lambda h: all((stream, last) in {e.stored for e in h.events} for stream, last in stored.items())
    )
    return stored


def test_a_plain_nats_subscriber_hears_all_that_the_streams_store(story: Story) -> None:
    """From the first message it was there for: with the look at the empty folder it may have come too late."""
    for stream, last in story.stored.items():
        heard = [sequence for name, sequence in (e.stored for e in story.heard.events) if name == stream]
        first = heard[0]
        assert first == 1 or stream in ("FS", "DEC"), stream
        assert heard[: last - first + 1] == list(range(first, last + 1)), stream


def test_a_plain_nats_subscriber_hears_of_one_duplicate_from_the_file_to_the_outcome(story: Story) -> None:
    kinds = ["file.settled", "analysis.analysed", "decision.group-decided", "command.take", "outcome.command-done"]
    assert [e.kind for e in story.the_move if e.kind in kinds] == kinds
    decided, command, outcome = (e.data for e in story.the_move if e.kind in kinds[2:])
    assert decided["keeper"]["file"]["path"] == KEEPER
    assert [d["member"]["file"]["path"] for d in decided["duplicates"]] == [COPY]
    assert command["decision_id"] == outcome["decision_id"] == decided["decision_id"]
    assert (command["victim"]["file"]["path"], outcome["victim"]["path"], outcome["outcome"]) == (COPY, COPY, "moved")
    assert story.moved == {COPY: tiny(1)}
    assert story.photos[KEEPER] == tiny(1)
    assert COPY not in story.photos


def test_one_correlation_id_and_one_trace_lead_from_the_file_event_to_the_outcome(story: Story) -> None:
    assert {e.subject.split(".")[1] for e in story.the_move} >= {"fs", "sig", "dec", "cmd", "out"}
    assert len({e.envelope["traceparent"].split("-")[1] for e in story.the_move}) == 1
    others = {e.correlation for e in story.heard.of("file.settled") if e.path != COPY}
    assert len(others) == len(story.heard.of("file.settled")) - 1, "every other file has a story of its own"


def test_the_log_carries_the_correlation_id_from_the_file_event_to_the_outcome(story: Story) -> None:
    correlation = story.the_move[0].correlation
    lines = [line for line in story.log if f"correlation={correlation}" in line]
    told = Counter(found.group(1) for line in lines if (found := re.search(r"\] (\S+)", line)))
    told.pop(
        "resolver.decision_withdrawn", None
    )  # when the copy is gone; the end of this story or of that of its going
    assert told == {
        "watcher.file_settled": 1,
        "analyser.file_analysed": 1,
        "resolver.group_decided": 1,
        "resolver.file_commanded": 1,
        "executor.command_done": 1,
    }


def test_the_metrics_of_every_part_move_with_what_it_does(story: Story) -> None:
    photos = len(story.photos)
    assert story.after["photosift_watcher_files", "Pictures"] == photos == 6
    events = {kind: story.rise("photosift_watcher_file_events_total", kind) for kind in ("settled", "moved", "gone")}
    assert events == {"settled": 7, "moved": 1, "gone": 2}
    analyses = {
        kind: story.rise("photosift_analyser_files_total", kind) for kind in ("analysed", "reused", "unreadable")
    }
    assert analyses == {"analysed": 6, "reused": 1, "unreadable": 1}
    assert story.rise("photosift_analyser_file_seconds_count") == 7
    assert story.rise("photosift_analyser_file_seconds_sum") > 0
    assert story.rise("photosift_analyser_unreadable_total", "truncated") == 1
    assert story.rise("photosift_resolver_search_seconds_count") >= 1
    assert story.rise("photosift_resolver_search_seconds_sum") > 0
    assert story.rise("photosift_resolver_decisions_total", "move", "same-bytes") == 1
    assert story.rise("photosift_resolver_commands_total", "move") == 1
    assert story.rise("photosift_executor_outcomes_total", "moved") == 1


def test_the_depth_of_a_queue_rises_while_its_consumer_stands_still_and_falls_after(story: Story) -> None:
    most, least = story.waiting
    assert 1 <= most <= 3
    assert least == 0


def test_health_and_readiness_answer(story: Story) -> None:
    assert story.health == (200, '{"alive": true}\n')
    status, answer = story.readiness
    assert (status, json.loads(answer)) == (200, {"ready": True, "waiting_for": {}})

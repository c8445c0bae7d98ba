"""Whatever people do to their photos meanwhile, and however often a service ends: none is lost. (S1-S4, S12, S22)

The real eyes, analyser, resolver and hands on a real server, index and folder; hypothesis plays the user, the network
and the power switch. The reckoning (``tests.support.history.Ledger``) looks at the disk alone.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from shared.messages.analysis import FileAnalysed
from shared.messages.base import FileRef, Message
from shared.messages.commands import TakeFile
from shared.messages.outcomes import CommandDone
from shared.messages.requests import RestoreRequested
from tests.support.history import LAST_LOOK, NEAR, STEPS, House, Killed, World, gap, pictures, sha

CONTENTS = st.sampled_from(range(len(pictures())))
#: few, so that names are used again
NAMES = st.sampled_from(("1.jpg", "2.jpg", "3.jpg", "a/1.jpg", "a/2.jpg"))
PLACES = st.sampled_from(("library", "library", "library", "incoming", "reference", "backup"))
PICK = st.integers(0, 1_000)


def with_files(step: Callable[..., None]) -> Callable[..., None]:
    """Nothing where there is no file. No precondition: when photosift takes a file depends on time, drawing must not."""

    @functools.wraps(step)
    def done(self: History, **values: Any) -> None:
        if self.ledger.live:
            step(self, **values)

    return done


class History(RuleBasedStateMachine):
    """One life of some folders."""

    house: House

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None
        self.asked = 0

    @initialize(
        action=st.sampled_from(("move", "delete")),
        similar=st.sampled_from((True, True, False)),
        files=st.lists(st.tuples(PLACES, NAMES, st.integers(0, 7)), min_size=4, max_size=8),
    )
    def begin(self, action: str, similar: bool, files: list[tuple[str, str, int]]) -> None:
        self.world = World(self.house, action=action, similar=similar)
        self.ledger, self.book = self.world.ledger, self.world.book
        for role, name, content in files:
            self.add_file(role, name, pictures()[content // (1 if similar else 3)])
        self.wait_for(self.world.open())

    def add_file(self, role: str, name: str, data: bytes) -> None:
        path = self.ledger.roots[role] / name
        if not path.exists():
            self.ledger.write(path, data)

    def wait_for(self, work):
        return self.house.wait_for(work)

    def teardown(self) -> None:
        if self.world is None:
            return
        try:
            self.everything_comes_back()
        finally:
            self.wait_for(self.world.close())
            shutil.rmtree(self.world.folder, ignore_errors=True)

    def everything_comes_back(self) -> None:
        """Whatever is held can be restored, but where the user put another file.

        What came back may be taken again for *another* content (S12 remembers pairs), but only so often.
        """
        self.world.armed = None
        self.settle()
        for _ in pictures():
            if not self.restorable():
                return
            self.restore_with(since=0.0)
            self.settle()
        self.world.fail(f"still held, though their names are free: {self.restorable()}")

    def restorable(self) -> set[Path]:
        return {path for path, _ in +self.ledger.held} - self.ledger.live.keys()

    # the user

    @rule(role=PLACES, name=NAMES, content=CONTENTS)
    def add(self, role: str, name: str, content: int) -> None:
        self.add_file(role, name, pictures()[content])

    @rule(pick=PICK, role=PLACES, name=NAMES)
    @with_files
    def copy(self, pick: int, role: str, name: str) -> None:
        self.add_file(role, name, self.bytes_of(self.some_file(pick)))

    @rule(pick=PICK, role=PLACES, name=NAMES, by=st.sampled_from((1, 2, 3)))
    @with_files
    def add_one_better_or_worse(self, pick: int, role: str, name: str, by: int) -> None:
        """One or two links on in the chain, larger or smaller."""
        known = [n for n, data in enumerate(pictures()) if sha(data) == self.ledger.live[self.some_file(pick)]]
        self.add_file(role, name, pictures()[(known[0] + by) % len(pictures())])

    def bytes_of(self, path: Path) -> bytes:
        wanted = self.ledger.live[path]
        return next(data for data in pictures() if sha(data) == wanted)

    def some_file(self, pick: int) -> Path:
        files = sorted(self.ledger.live)
        return files[pick % len(files)]

    def keeper(self, pick: int) -> Path:
        """A file that stands for something that was taken, where there is one."""
        held = self.ledger.contents_held()
        near = [p for p, content in sorted(self.ledger.live.items()) if any(gap(content, h) <= NEAR for h in held)]
        return near[pick % len(near)] if near else self.some_file(pick)

    @rule(pick=PICK, content=CONTENTS)
    @with_files
    def edit_in_place(self, pick: int, content: int) -> None:
        self.ledger.write(self.keeper(pick), pictures()[content])

    @rule(pick=PICK)
    @with_files
    def delete(self, pick: int) -> None:
        self.ledger.delete(self.keeper(pick))

    @rule(pick=PICK, content=CONTENTS)
    @with_files
    def replace_by_rename(self, pick: int, content: int) -> None:
        self.ledger.replace(self.keeper(pick), pictures()[content])

    @rule(pick=PICK, role=PLACES, name=NAMES)
    @with_files
    def hard_link(self, pick: int, role: str, name: str) -> None:
        self.ledger.link(self.some_file(pick), self.ledger.roots[role] / name)

    @rule(pick=PICK, role=PLACES, name=NAMES)
    @with_files
    def move_to_another_root(self, pick: int, role: str, name: str) -> None:
        self.ledger.move(self.some_file(pick), self.ledger.roots[role] / name)

    # while photosift acts

    @rule(at=st.integers(0, 7), act=st.sampled_from(("delete", "edit", "replace", "occupy")), pick=PICK)
    def meddle_at_the_next(self, at: int, act: str, pick: int) -> None:
        """The user does something to keeper or victim at a named step of the next act."""
        step = STEPS[at % LAST_LOOK[self.world.action]]
        self.world.armed = (step, lambda: self.meddle(act, pick))

    def meddle(self, act: str, pick: int) -> None:
        with self.ledger.lock:
            gone = sorted(self.ledger.live.keys() - self.ledger.on_disk().keys())
            if act == "occupy":
                self.ledger.write(gone[0] if gone else self.some_file(pick), pictures()[pick % len(pictures())])
                return
            path = self.standing_for(gone, pick)
            if act == "delete":
                self.ledger.delete(path)
            else:
                change: Callable[[Path, bytes], None] = getattr(self.ledger, {"edit": "write"}.get(act, act))
                change(path, pictures()[pick % len(pictures())])

    def standing_for(self, gone: list[Path], pick: int) -> Path:
        there = self.ledger.on_disk()
        near = [p for p in sorted(there) if any(gap(there[p].sha, self.ledger.live[g]) <= NEAR for g in gone)]
        files = near or sorted(there)
        return files[pick % len(files)]

    @rule(step=st.sampled_from(STEPS))
    def kill_the_hands_at_the_next(self, step: str) -> None:
        def kill() -> None:
            raise Killed

        self.world.armed = (step, kill)

    # the machine room

    @rule(which=st.sets(st.sampled_from(("watcher", "resolver", "analyser")), min_size=1))
    def restart(self, which: set[str]) -> None:
        self.wait_for(self.world.restart(*sorted(which)))

    @rule(pick=PICK)
    def deliver_a_command_again(self, pick: int) -> None:
        known = list(self.book.commands.values())
        if known:
            envelope, command = known[pick % len(known)]
            self.world.tell(f"again: {command.victim.file.path} of {command.decision_id[:6]}")
            self.wait_for(self.house.publish_again(envelope))

    @rule(pick=PICK, other=PICK)
    def a_resolver_without_memory_asks(self, pick: int, other: int) -> None:
        """Valid in form and evidence, and in nobody's book: the executor alone stands for the rules."""
        there = self.ledger.on_disk()
        pairs = [
            (v, k) for v in sorted(there) for k in sorted(there) if v != k and gap(there[v].sha, there[k].sha) <= NEAR
        ]
        if pairs:
            self.asked += 1
            self.world.tell("a resolver without memory asks")
            with suppress(FileNotFoundError):  # the hands go on in their thread, and may just have taken it
                command = self.world.command(*pairs[(pick * 1_000 + other) % len(pairs)], str(self.asked))
                self.wait_for(self.house.bus["resolver"].publish(command))

    # people

    @rule(pick=PICK, how=st.sampled_from(("file", "decision_id", "batch_id")))
    def restore(self, pick: int, how: str) -> None:
        known = list(self.book.done.values())
        if not known:
            return
        done = known[pick % len(known)]
        chosen: dict[str, FileRef | str] = {
            "file": done.victim,
            "decision_id": done.decision_id,
            "batch_id": done.batch_id,
        }
        self.restore_with(**{how: chosen[how]})

    def restore_with(self, **selector) -> None:
        self.asked += 1
        request = f"{self.world.folder.name}-{self.asked}"
        self.wait_for(self.house.bus["person"].publish(RestoreRequested(request_id=request, **selector)))

    @rule()
    def settle(self) -> None:
        self.wait_for(self.world.rest())

    # more often: what follows an act is where the danger is
    settle_again = rule()(lambda self: self.settle())
    and_again = rule()(lambda self: self.settle())

    @rule(kind=st.sampled_from((TakeFile, CommandDone, FileAnalysed)))
    def go_on_until_something_is_said(self, kind: type[Message]) -> None:
        """Stops the event loop in the middle of what goes on: the next step of the user falls there."""
        self.wait_for(self.world.until_next(kind))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path).opened() as house:
        yield house


def run(house: House, *, examples: int, steps: int) -> None:
    History.house = house
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            # a history takes its time, and the next one is never quite the same: its own story says more
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert house.taken > examples, "hardly anything was taken: the histories show nothing"


EXAMPLES = int(os.environ.get("PHOTOSIFT_TEST_HISTORIES", "25"))


@pytest.mark.timeout(90)
def test_s1_s2_s3_s4_s12_s22_no_history_of_15_steps_loses_a_photo(house: House) -> None:
    run(house, examples=EXAMPLES, steps=15)


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)
def test_s1_s2_s3_s4_s12_s22_no_long_history_loses_a_photo(house: House) -> None:
    run(house, examples=40 * EXAMPLES, steps=40)

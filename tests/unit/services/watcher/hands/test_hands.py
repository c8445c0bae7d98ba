"""Commands in, outcomes out, over a real server: nothing twice, nothing forgotten, nothing unsaid. (S12, S18, S20)"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.watcher.disk.local import LocalDisk
from services.watcher.hands.service import Hands
from shared.bus.jetstream import JetStreamBus
from shared.bus.names import SUBJECT_OUT
from shared.errors import PermanentError
from shared.messages.base import FileRef, FolderRef, Message
from shared.messages.outcomes import CommandDone, ItemRestored, RequestAnswered
from shared.messages.requests import (
    AdoptRequested,
    AllowRequested,
    ApplyRequested,
    ConfirmRequested,
    RestoreRequested,
)
from shared.paths import PhotoPath
from tests.support.bus import RunningBus, running_bus
from tests.support.executing import Stage, contents_in
from tests.support.messages import envelope_of
from tests.support.working import at_work


@dataclass
class Scene:
    """Hands at work, with a resolver and a person at the other end."""

    stage: Stage
    server: RunningBus
    resolver: JetStreamBus
    person: JetStreamBus
    outcomes: AsyncIterator[Any]
    told: list[tuple[str, object]] = field(default_factory=list)

    def hands(self, bus: JetStreamBus, action: str = "delete", **more: Any) -> Hands:
        async def taken(path: PhotoPath) -> None:
            self.told.append(("taken", path.rel))

        async def restored(path: PhotoPath) -> None:
            self.told.append(("restored", path.rel))

        async def adopted(root: str) -> None:
            self.told.append(("adopted", root))

        async def allowed(root: str, folder: bytes) -> None:
            self.told.append(("allowed", folder))

        async def disappearances(root: str | None) -> str:
            if root == "nowhere":
                raise PermanentError("there is no such root")
            return f"believed for {root}"

        return Hands(
            bus=bus,
            disk=LocalDisk(),
            settings=self.stage.made_settings(action),
            clock=self.stage.clock,
            folder=self.stage.state,
            sight=self.stage.sight,
            on_taken=taken,
            on_restored=restored,
            adopt_for_eyes=adopted,
            allow_for_eyes=allowed,
            confirm_disappearances=disappearances,
            **more,
        )

    @contextlib.asynccontextmanager
    async def at_work(self, action: str = "delete", **more: Any) -> AsyncIterator[Hands]:
        hands = self.hands(await self.server.connect("watcher"), action, **more)
        async with at_work(hands):
            yield hands

    async def next(self, kind: type[Message]) -> Any:
        """The next outcome, which must be of this kind."""
        _, message = await asyncio.wait_for(anext(self.outcomes), 30)
        assert isinstance(message, kind), message
        return message

    async def answer(self, request: Message) -> RequestAnswered:
        await self.person.publish(request)
        while True:
            _, message = await asyncio.wait_for(anext(self.outcomes), 30)
            if isinstance(message, RequestAnswered):
                return message


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    stage = Stage(tmp_path)
    stage.pair()
    async with running_bus(tmp_path) as server:
        resolver, person = await server.connect("resolver"), await server.connect("person")
        outcomes = await person.following(SUBJECT_OUT)
        yield Scene(stage, server, resolver, person, outcomes)


async def test_a_command_is_carried_out_said_and_told_to_the_eyes(scene: Scene) -> None:
    command = scene.stage.command()
    async with scene.at_work() as hands:
        await scene.resolver.publish(command)
        done = await scene.next(CommandDone)
        assert (done.command_id, done.outcome) == (command.command_id, "quarantined")
        assert hands.complaint() is None
    assert scene.told == [("taken", b"a/victim.jpg")]
    assert not (scene.stage.root() / "a/victim.jpg").exists()


async def test_the_correlation_of_a_command_is_carried_to_its_outcome(scene: Scene) -> None:
    async with scene.at_work():
        await scene.resolver.publish(scene.stage.command())
        envelope, _ = await asyncio.wait_for(anext(scene.outcomes), 30)
    commands = await scene.person.following("photosift.cmd.>")
    await scene.resolver.publish(scene.stage.command("b/keeper.jpg", "b/keeper.jpg", decision_id="2"))
    async with scene.at_work():
        sent, _ = await asyncio.wait_for(anext(commands), 30)
        answered, _ = await asyncio.wait_for(anext(scene.outcomes), 30)
    assert sent.correlationid == answered.correlationid != envelope.correlationid


async def test_s8_a_refusal_is_an_outcome_too(scene: Scene) -> None:
    async with scene.at_work("propose"):
        await scene.resolver.publish(scene.stage.command())
        assert (await scene.next(CommandDone)).code == "not-allowed-to-act"
    assert scene.told == []


async def test_s18_an_outcome_that_was_not_stored_is_said_after_a_restart(scene: Scene) -> None:
    """The act and its outcome are in the journal; the server had not acknowledged it."""
    with scene.stage.hand() as hand:
        done = hand.executor.take(scene.stage.command())
    async with scene.at_work():
        assert await scene.next(CommandDone) == done


async def test_s12_an_intent_left_by_a_crash_is_settled_before_the_first_command(scene: Scene) -> None:
    class Killed(BaseException):
        pass

    def fault(step: str) -> None:
        if step == "execute:before-result":
            raise Killed

    command = scene.stage.command()
    cause = envelope_of(command)
    with pytest.raises(Killed), scene.stage.hand(fault=fault) as hand:
        hand.executor.take(command, cause)
    with capture_logs() as lines:
        async with scene.at_work():
            assert (await scene.next(CommandDone)).outcome == "quarantined"
    assert scene.told == [("taken", b"a/victim.jpg")]
    (done,) = (line for line in lines if line["event"] == "executor.command_done")
    assert done["correlation"] == cause.correlationid, "the log goes on with the story that the crash interrupted"


async def test_a_restore_is_answered_and_the_item_said_to_be_back(scene: Scene) -> None:
    async with scene.at_work():
        await scene.resolver.publish(scene.stage.command())
        done = await scene.next(CommandDone)
        await scene.person.publish(RestoreRequested(request_id="r1", decision_id=done.decision_id))
        assert (await scene.next(ItemRestored)).item_id == done.item_id
        answer = await scene.next(RequestAnswered)
        assert (answer.request_id, answer.done, answer.count) == ("r1", True, 1)
        again = await scene.answer(RestoreRequested(request_id="r2", decision_id=done.decision_id))
        assert (again.done, again.count) == (False, 0)
    assert scene.told == [("taken", b"a/victim.jpg"), ("restored", b"a/victim.jpg")]
    assert contents_in(scene.stage.root()) == {b"the same picture": 2}


async def test_s20_a_restore_by_path_reaches_only_what_was_taken(scene: Scene) -> None:
    async with scene.at_work():
        for path in ("a/victim.jpg", "../../etc/passwd", ".photosift/owner.json"):
            request = RestoreRequested(request_id=path, file=FileRef(root="photos", path=path))
            await scene.person.publish(request)
        answers = [await asyncio.wait_for(anext(scene.outcomes), 30) for _ in range(2)]
    assert [message.done for _, message in answers] == [False, False]


async def test_a_restore_that_cannot_be_says_why(scene: Scene) -> None:
    async with scene.at_work():
        await scene.resolver.publish(scene.stage.command())
        await scene.next(CommandDone)
        scene.stage.write("a/victim.jpg", b"another")
        answer = await scene.answer(RestoreRequested(request_id="r", since=0.0))
    assert not answer.done
    assert "victim (2).jpg" in answer.explanation


async def test_adopt_confirm_and_allow_are_answered_and_reach_the_eyes(scene: Scene) -> None:
    folder = FolderRef(root="photos", path="a")
    async with scene.at_work():
        assert (await scene.answer(AdoptRequested(request_id="1", root="photos"))).done
        assert not (await scene.answer(AdoptRequested(request_id="2", root="nowhere"))).done
        assert (await scene.answer(ConfirmRequested(request_id="3", what="breaker"))).done
        assert not (await scene.answer(ConfirmRequested(request_id="4", what="breaker", root="nowhere"))).done
        seen = await scene.answer(ConfirmRequested(request_id="5", what="disappearances", root="photos"))
        assert (seen.done, seen.explanation) == (True, "believed for photos")
        assert not (await scene.answer(ConfirmRequested(request_id="6", what="disappearances", root="nowhere"))).done
        assert (await scene.answer(AllowRequested(request_id="7", folder=folder))).done
        (scene.stage.root() / "a" / ".stfolder").mkdir()
        await scene.resolver.publish(scene.stage.command())
        assert (await scene.next(CommandDone)).outcome == "quarantined"  # S24: allowed by name
    assert scene.told[:2] == [("adopted", "photos"), ("allowed", b"a")]


@pytest.mark.parametrize("mark", ["photos/.stfolder", ".stfolder"])
async def test_s24_a_root_that_is_managed_as_a_whole_is_allowed_by_its_own_name(scene: Scene, mark: str) -> None:
    (scene.stage.folder / mark).mkdir()
    scene.stage.write("inner/victim.jpg", b"the same picture")
    (scene.stage.root() / "inner" / ".stfolder").mkdir()
    async with scene.at_work():
        await scene.resolver.publish(scene.stage.command())
        refused = await scene.next(CommandDone)
        assert refused.code == "managed-folder" and "the whole root photos" in refused.explanation
        answer = await scene.answer(AllowRequested(request_id="1", folder=FolderRef(root="photos", path="")))
        assert answer.done and "the whole root photos" in answer.explanation
        assert str(scene.stage.root()) in answer.explanation and "their own word" in answer.explanation
        await scene.resolver.publish(scene.stage.command(decision_id="2"))
        assert (await scene.next(CommandDone)).outcome == "quarantined"
        await scene.resolver.publish(scene.stage.command("inner/victim.jpg", decision_id="3"))
        assert (await scene.next(CommandDone)).code == "managed-folder"
    assert ("allowed", b"") in scene.told


@pytest.mark.parametrize("path", ["..", ".", "/", "a/../..", "/etc"])
async def test_s9_a_word_for_a_place_that_leads_out_of_its_root_is_refused(scene: Scene, path: str) -> None:
    async with scene.at_work():
        answer = await scene.answer(AllowRequested(request_id="1", folder=FolderRef(root="photos", path=path)))
    assert not answer.done
    assert scene.told == []


async def test_s6_adopting_while_proposing_writes_nothing_below_the_root(scene: Scene) -> None:
    async with scene.at_work("propose"):
        assert (await scene.answer(AdoptRequested(request_id="1", root="photos"))).done
    assert not (scene.stage.root() / ".photosift").exists()
    assert scene.told == [("adopted", "photos")]


async def test_requests_of_the_resolver_are_left_to_it(scene: Scene) -> None:
    apply = ApplyRequested(request_id="a", action="move", classes=("same-bytes",), roots=("photos",), at_most=1)
    async with scene.at_work():
        await scene.person.publish(apply)
        answer = await scene.answer(RestoreRequested(request_id="r", since=0.0))
    assert answer.request_id == "r"


async def test_s12_a_journal_that_cannot_be_opened_stops_the_hands_and_is_said(scene: Scene) -> None:
    (scene.stage.state / "journal.sqlite").write_bytes(b"no database at all" * 1000)
    async with scene.at_work() as hands:
        await scene.resolver.publish(scene.stage.command())
        while "nothing is moved" not in str(hands.complaint()):  # noqa: ASYNC110  a health check has no event
            await asyncio.sleep(0.01)
    assert (scene.stage.root() / "a/victim.jpg").exists()


async def test_s12_many_commands_are_each_done_once_with_a_restart_in_between(scene: Scene) -> None:
    count = 60
    scene.stage.settings["breaker"] = {"at_most": 1000, "at_least": 1000}
    commands = []
    for n in range(count):
        scene.stage.write(f"v/{n}.jpg", b"%d" % n)
        scene.stage.write(f"k/{n}.jpg", b"%d" % n)
        commands.append(scene.stage.command(f"v/{n}.jpg", f"k/{n}.jpg"))
    await scene.resolver.publish_many(commands)
    done: dict[str, str] = {}
    async with scene.at_work():
        while len(done) < count // 2:
            message = await scene.next(CommandDone)
            done[message.command_id] = message.outcome
    async with scene.at_work():
        while len(done) < count:
            message = await scene.next(CommandDone)
            done[message.command_id] = message.outcome
    assert set(done.values()) == {"quarantined"}
    assert len(scene.told) == len(set(scene.told)) == count

"""Questions about last copies, answered on the bus: once, by what the index shows, holding up who is relied on. (S3, S11)"""

from __future__ import annotations

import contextlib

from services.resolver.outbox import pack
from services.resolver.removals import Removals
from services.resolver.store import DecisionStore
from shared.messages.base import FileRef
from shared.messages.commands import RemoveItem
from shared.messages.outcomes import ItemDue, RemovalDone
from shared.paths import PhotoPath
from tests.support.messages import envelope_of
from tests.support.model import candidate, sha_of, signature
from tests.support.resolving import Bench, Picture, bench

DELETING = {"action": "delete", "allow_delete": True, "automatic_classes": ("same-bytes", "similar")}


def picture(name: str, seed: int, changed: int = 0, width: int = 100) -> Picture:
    file = candidate(name, content=f"{seed} {changed}", pixels=(width, 1), known_since=1.0)
    return file, signature(seed, changed)


async def item(at: Bench, seed: int = 1) -> ItemDue:
    """A picture that was there once, and lies in a quarantine now."""
    small = picture("small.jpg", seed)
    await at.add(small)
    await at.caught_up()
    await at.forget(small[0])
    return ItemDue(
        item_id="i1",
        file=FileRef.of(PhotoPath("photos", b"small.jpg")),
        sha256=sha_of(f"{seed} 0"),
        mtime_ns=small[0].stat.mtime_ns,
        asked_at=at.clock.now(),
    )


def done(command: RemoveItem, at: Bench, outcome: str = "kept") -> RemovalDone:
    return RemovalDone(
        command_id=command.command_id,
        decision_id=command.decision_id,
        item_id=command.item_id,
        outcome=outcome,
        explanation="as the test says",
        file=command.file,
        sha256=command.sha256,
        keeper=command.keeper.file,
        keeper_sha256=command.keeper.sha256,
        match_class=command.match_class,
        distance=command.distance,
        done_at=at.clock.now(),
    )


async def test_s11_a_live_look_alike_is_named_with_all_evidence_and_an_expiry(tmp_path) -> None:
    async with bench(tmp_path, **DELETING) as at, at.working():
        due = await item(at)
        large = picture("large.jpg", 1, 4)
        await at.add(large, picture("other.jpg", 2))
        await at.executor.publish(due)
        (command,) = await at.heard_of(RemoveItem)
        assert (command.item_id, command.sha256, command.match_class) == ("i1", due.sha256, "similar")
        assert (command.keeper.file, command.keeper.sha256) == (FileRef.of(large[0].path), large[0].sha256)
        assert command.keeper.ctime_ns == large[0].stat.ctime_ns
        assert 0 < command.distance < 0.1
        assert command.expires_at - at.clock.now() < 3_600


async def test_s18_a_question_that_comes_twice_is_answered_once_and_again_the_next_day(tmp_path) -> None:
    async with bench(tmp_path, **DELETING) as at:
        due = await known_look_alike(at)
        next_day = due.model_copy(update={"asked_at": due.asked_at + 86_400})
        assert len(await answers(at, due, due)) == 1
        assert len(await answers(at, due)) == 1
        assert len({command.decision_id for command in await answers(at, due, next_day)}) == 2


async def test_s6_where_deleting_is_not_allowed_no_question_is_answered(tmp_path) -> None:
    async with bench(tmp_path, **DELETING) as at:
        due = await known_look_alike(at)
        assert await answers(at, due, action="move", target="/target") == []
        assert await answers(at, due, dry_run=True) == []
        assert len(await answers(at, due)) == 1


async def known_look_alike(at: Bench) -> ItemDue:
    async with at.working():
        due = await item(at)
        await at.add(picture("large.jpg", 1, 4))
        await at.caught_up()
    return due


async def answers(at: Bench, *dues: ItemDue, **changes) -> list[RemoveItem]:
    """All that wait in the outbox after these questions."""
    with contextlib.closing(DecisionStore(at.folder / "resolver")) as store:
        settings = at.settings.model_copy(update=changes)
        await Removals(store, at.index, settings, at.clock).answer([(due, pack(envelope_of(due))) for due in dues])
        with store.transaction():
            return [letter.message for letter in store.outbox.first(10) if isinstance(letter.message, RemoveItem)]


async def test_s3_a_file_that_an_open_decision_would_take_is_not_relied_on(tmp_path) -> None:
    """The nearest follows a larger one, which is near enough itself."""
    async with bench(tmp_path, **DELETING, keeper_age_seconds=9e9) as at, at.working():
        due = await item(at)
        await at.add(picture("nearest.jpg", 1, 2, width=50), picture("large.jpg", 1, 8))
        await at.caught_up()
        assert at.standing() == {"large.jpg": ["nearest.jpg"]}
        await at.executor.publish(due)
        (command,) = await at.heard_of(RemoveItem)
        assert command.keeper.file.path == "large.jpg"


async def test_s3_while_a_removal_is_out_nothing_is_decided_about_who_it_relies_on(tmp_path) -> None:
    async with bench(tmp_path, **DELETING) as at, at.working():
        due = await item(at)
        await at.add(picture("large.jpg", 1, 4))
        await at.caught_up()
        await at.executor.publish(due)
        (command,) = await at.heard_of(RemoveItem)
        await at.add(picture("larger.jpg", 1, 6, width=500))
        assert (await at.caught_up()).open_commands == 1
        assert at.standing() == {}
        await at.executor.publish(done(command, at))
        await at.until(lambda: at.standing() == {"larger.jpg": ["large.jpg"]})

"""The resolver on a real nats-server with the real index: what it says when files come, change and go."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.resolver.store import read_open_decisions
from shared.messages.base import FileRef, FolderRef
from shared.messages.commands import TakeFile
from shared.messages.outcomes import ItemRestored, RequestAnswered
from shared.messages.requests import AllowRequested, ApplyRequested, ConfirmRequested
from shared.messages.resolution import ApplyAccepted, CaughtUp, DecisionWithdrawn, GroupDecided
from tests.support.model import candidate, signature
from tests.support.resolving import Picture, bench, stars_in

OLD = 1.0


def copies(*names: str, content: str = "x", seed: int = 1, **facts) -> list[Picture]:
    return [(candidate(name, content=content, known_since=OLD, **facts), signature(seed)) for name in names]


def variants(*names: str, seed: int = 1) -> list[Picture]:
    """Similar pictures, the first the largest."""
    return [
        (candidate(name, pixels=(1_000 - n, 100), known_since=OLD), signature(seed, 2 * n))
        for n, name in enumerate(names)
    ]


def request(name: str = "r1", **changes) -> ApplyRequested:
    facts = {"action": "move", "classes": ("same-bytes",), "roots": ("photos",), "target": "/target", "at_most": 10}
    return ApplyRequested(request_id=name, **(facts | changes))


MOVING = {"action": "move", "target": "/target"}


async def test_copies_are_proposed_and_nothing_is_asked_of_the_executor(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working():
        await at.add(*copies("a.jpg", "b.jpg"), *variants("c.jpg", "d.jpg", seed=2))
        said = await at.caught_up()
        assert at.standing() == {"a.jpg": ["b.jpg"], "c.jpg": ["d.jpg"]}
        assert (said.open_decisions, said.open_commands) == (2, 0)
        assert not at.all(TakeFile)


async def test_caught_up_is_said_also_where_there_is_nothing(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working():
        (said,) = await at.heard_of(CaughtUp)
        assert (said.sig_seq, said.open_decisions) == (0, 0)


async def test_every_pair_is_found_whatever_came_together_or_apart(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working():
        first, second, third = copies("a.jpg"), variants("v.jpg", "w.jpg"), copies("b.jpg")
        await at.add(*first)
        await at.caught_up()
        await at.add(*second, *third)
        await at.caught_up()
        assert at.standing() == {"b.jpg": ["a.jpg", "v.jpg", "w.jpg"]} or at.standing() == {
            "a.jpg": ["b.jpg", "v.jpg", "w.jpg"]
        }


async def test_a_better_copy_withdraws_what_stood_and_takes_its_place(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working():
        small, large = variants("z-large.jpg", "small.jpg", "smaller.jpg")[1:], variants("z-large.jpg")
        await at.add(*small)
        await at.caught_up()
        assert at.standing() == {"small.jpg": ["smaller.jpg"]}
        await at.add(*large)
        await at.caught_up()
        assert at.standing() == {"z-large.jpg": ["small.jpg", "smaller.jpg"]}
        assert len(at.all(DecisionWithdrawn)) == 1


async def test_a_decision_falls_with_its_file_and_stands_again_under_a_new_id(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working():
        await at.add(*copies("a.jpg", "b.jpg"))
        await at.caught_up()
        large = variants("large.jpg")
        await at.add(*large)
        await at.caught_up()
        await at.forget(large[0][0])
        await at.caught_up()
        assert at.standing() == {"a.jpg": ["b.jpg"]}
        ids = [d.decision_id for d in at.all(GroupDecided)]
        assert len(ids) == len(set(ids)) == 3


async def test_a_file_with_new_bytes_leaves_its_old_group(tmp_path) -> None:
    async with bench(tmp_path) as at, at.working():
        pair = copies("a.jpg", "b.jpg")
        await at.add(*pair)
        await at.caught_up()
        edited = replace(candidate("b.jpg", content="new", known_since=OLD), version=2)
        await at.add((edited, signature(2)))
        await at.caught_up()
        assert at.standing() == {}


async def test_a_restart_says_nothing_twice_and_knows_what_stands(tmp_path) -> None:
    async with bench(tmp_path) as at:
        async with at.working():
            await at.add(*copies("a.jpg", "b.jpg"))
            await at.caught_up()
        async with at.working() as again:
            await at.heard_of(CaughtUp, 2)
            assert len(at.all(GroupDecided)) == 1
            assert stars_in(await again.open_decisions()) == {"a.jpg": ["b.jpg"]}
        assert stars_in(read_open_decisions(tmp_path / "resolver")) == {"a.jpg": ["b.jpg"]}


async def test_a_lost_memory_is_made_anew_from_the_index(tmp_path) -> None:
    async with bench(tmp_path) as at:
        async with at.working():
            await at.add(*copies("a.jpg", "b.jpg"), *variants("v.jpg", "w.jpg", seed=3))
            await at.caught_up()
        for file in (tmp_path / "resolver").iterdir():
            file.unlink()
        before = len(at.all(CaughtUp))
        async with at.working() as again:
            await at.heard_of(CaughtUp, before + 1)
            assert stars_in(await again.open_decisions()) == {"a.jpg": ["b.jpg"], "v.jpg": ["w.jpg"]}


async def test_a_wider_threshold_finds_what_a_narrow_one_did_not_and_back(tmp_path) -> None:
    pictures = [(candidate("a.jpg", pixels=(9, 9)), signature(1)), (candidate("b.jpg"), signature(1, 40))]
    async with bench(tmp_path) as at:
        wide = at.settings.deduplication.model_copy(update={"max_distance": 0.3})
        async with at.working():
            await at.add(*pictures)
            assert (await at.caught_up()).open_decisions == 0
        async with at.working(deduplication=wide):
            await at.until(lambda: at.standing() == {"b.jpg": ["a.jpg"]})
        async with at.working():
            await at.until(lambda: at.standing() == {})


async def test_other_rules_give_another_keeper(tmp_path) -> None:
    async with bench(tmp_path) as at:
        turned = at.settings.deduplication.model_copy(update={"rules": ("lower-pixel-count",)})
        async with at.working():
            await at.add(*variants("large.jpg", "small.jpg"))
            await at.caught_up()
        async with at.working(deduplication=turned):
            await at.until(lambda: at.standing() == {"small.jpg": ["large.jpg"]})


async def test_a_root_taken_out_of_the_settings_withdraws_its_decisions(tmp_path) -> None:
    async with bench(tmp_path, roots=("photos", "other")) as at:
        async with at.working():
            await at.add(*copies("a.jpg", "b.jpg"), *copies("c.jpg", "d.jpg", content="y", seed=2, root="other"))
            await at.caught_up()
            assert at.standing() == {"a.jpg": ["b.jpg"], "c.jpg": ["d.jpg"]}
        async with at.working(roots=at.settings.roots[:1]):
            await at.until(lambda: at.standing() == {"a.jpg": ["b.jpg"]})


class TestActing:
    """What it asks of the executor by itself."""

    async def test_s8_a_command_carries_all_evidence(self, tmp_path) -> None:
        async with bench(tmp_path, **MOVING) as at, at.working():
            (keeper, _), (victim, _) = pictures = copies("a.jpg", "b.jpg")
            await at.add(*pictures)
            (command,) = await at.heard_of(TakeFile)
            assert command.victim.file == FileRef.of(victim.path)
            assert command.keeper.file == FileRef.of(keeper.path)
            assert (command.victim.sha256, command.victim.ino) == (victim.sha256, victim.stat.ino)
            assert (command.target, command.confirmed) == ("/target", False)
            assert command.expires_at == pytest.approx(at.clock.now() + 3_600, abs=1)
            assert (await at.settled(open_commands=1)).open_decisions == 1
            assert at.heard.index(at.all(GroupDecided)[0]) < at.heard.index(command)

    async def test_what_was_moved_closes_the_decision_and_is_remembered_as_done(self, tmp_path) -> None:
        async with bench(tmp_path, **MOVING) as at, at.working() as service:
            await at.add(*copies("a.jpg", "b.jpg"))
            (command,) = await at.heard_of(TakeFile)
            await at.settled(open_commands=1)
            await at.answer(command)
            await at.settled(open_commands=0, open_decisions=0)
            assert at.standing() == {}
            ((decided, done),) = await service.outcomes(since=at.clock.now() - 1)
            assert (decided.decision_id, done.outcome) == (command.decision_id, "moved")
            assert len(at.all(TakeFile)) == 1

    async def test_a_refusal_leaves_a_proposal_with_its_reason_and_is_not_asked_again(self, tmp_path) -> None:
        async with bench(tmp_path, **MOVING) as at:
            async with at.working() as service:
                await at.add(*copies("a.jpg", "b.jpg"))
                (command,) = await at.heard_of(TakeFile)
                await at.answer(command, "refused", "part-of-a-unit")
                await at.settled(open_commands=0, open_decisions=1)
                ((duplicate,),) = [d.duplicates for d in await service.open_decisions()]
                assert (duplicate.action, duplicate.reason) == ("propose", "part-of-a-unit: as the test says")
            async with at.working():
                await at.add(*copies("c.jpg", content="y", seed=2))
                await at.caught_up()
                assert len(at.all(TakeFile)) == 1

    async def test_a_refused_pair_is_asked_again_when_its_evidence_changed(self, tmp_path) -> None:
        async with bench(tmp_path, **MOVING) as at, at.working():
            await at.add(*copies("a.jpg", "b.jpg"))
            (command,) = await at.heard_of(TakeFile)
            await at.answer(command, "refused", "victim-changed")
            await at.settled(open_commands=0)
            touched = candidate("b.jpg", content="x", known_since=OLD, version=2, mtime=1_600_000_005.0)
            await at.add((touched, signature(1)))
            commands = await at.heard_of(TakeFile, 2)
            assert {commands[1].victim.version, commands[1].keeper.version} == {1, 2}

    async def test_an_expired_command_is_asked_again_under_a_new_decision_but_not_for_ever(self, tmp_path) -> None:
        async with bench(tmp_path, **MOVING) as at, at.working():
            await at.add(*copies("a.jpg", "b.jpg"))
            for n in range(1, 5):
                command = (await at.heard_of(TakeFile, n))[-1]
                await at.answer(command, "refused", "expired")
            await at.settled(open_commands=0)
            commands = at.all(TakeFile)
            assert len({c.command_id for c in commands}) == len(commands) == 4

    async def test_s15_a_young_keeper_is_waited_for(self, tmp_path) -> None:
        async with bench(tmp_path, **MOVING) as at, at.working():
            now = at.clock.now()
            await at.add(*[(replace(f, known_since=now), s) for f, s in copies("a.jpg", "b.jpg")])
            said = await at.caught_up()
            assert (said.open_decisions, said.open_commands) == (1, 0)
            at.clock.time = now + 3_601
            (command,) = await at.heard_of(TakeFile)
            assert command.decision_id == at.all(GroupDecided)[0].decision_id

    async def test_s12_a_restored_file_is_not_taken_again_without_a_person(self, tmp_path) -> None:
        async with bench(tmp_path, **MOVING) as at, at.working():
            (_, (victim, its)) = pictures = copies("a.jpg", "b.jpg")
            await at.add(*pictures)
            (command,) = await at.heard_of(TakeFile)
            await at.answer(command)
            await at.forget(victim)
            await at.caught_up()
            await at.executor.publish(
                ItemRestored(
                    item_id="i",
                    decision_id=command.decision_id,
                    batch_id=command.batch_id,
                    file=command.victim.file,
                    sha256=victim.sha256,
                    keeper_sha256=command.keeper.sha256,
                    done_at=at.clock.now(),
                )
            )
            await at.add((replace(victim, version=3), its))
            await at.settled(open_decisions=1, open_commands=0)
            assert len(at.all(TakeFile)) == 1
            assert "put it back" in at.all(GroupDecided)[-1].duplicates[0].reason

    async def test_s3_nothing_new_is_decided_about_a_group_while_a_command_is_out(self, tmp_path) -> None:
        async with bench(tmp_path, **MOVING) as at, at.working():
            await at.add(*copies("b.jpg", "c.jpg"))
            (command,) = await at.heard_of(TakeFile)
            await at.add(*copies("a.jpg"))  # ranks before the keeper that the command names
            await at.caught_up()
            assert at.standing() == {"b.jpg": ["c.jpg"]}
            await at.answer(command)
            await at.heard_of(TakeFile, 2)
            assert at.standing() == {"a.jpg": ["b.jpg"]}

    async def test_s3_a_command_that_nobody_answered_holds_its_group_up_only_until_it_is_void(self, tmp_path) -> None:
        async with bench(tmp_path, **MOVING) as at, at.working():
            await at.add(*copies("b.jpg", "c.jpg"))
            await at.heard_of(TakeFile)
            await at.add(*copies("a.jpg"))
            await at.caught_up()
            at.clock.time += 3_600 + 61
            await at.until(lambda: at.standing() == {"a.jpg": ["b.jpg", "c.jpg"]})
            await at.settled(open_decisions=1, open_commands=2)  # the void one is not counted

    async def test_s1_over_time_a_keeper_does_not_follow_one_that_is_far_from_its_victims(self, tmp_path) -> None:
        acting = {**MOVING, "automatic_classes": ("same-bytes", "similar"), "keeper_age_seconds": 0}
        async with bench(tmp_path, **acting) as at, at.working():
            now = at.clock.now()
            chain = [
                (candidate(f"{n}.jpg", pixels=(10 + n, 10), known_since=now), signature(1, place))
                for n, place in enumerate((0, 16, 32))
            ]
            await at.add(*chain[:2])
            (command,) = await at.heard_of(TakeFile)
            assert command.victim.file.path == "0.jpg"
            await at.answer(command)
            await at.forget(chain[0][0])
            await at.add(chain[2])
            await at.settled(open_decisions=1, open_commands=0)
            assert at.standing() == {"2.jpg": ["1.jpg"]}
            assert len(at.all(TakeFile)) == 1
            assert "taken earlier" in at.all(GroupDecided)[-1].duplicates[0].reason

    async def test_s1_what_came_before_its_memory_is_only_proposed_where_bytes_differ(self, tmp_path) -> None:
        acting = {**MOVING, "automatic_classes": ("same-bytes", "similar")}
        async with bench(tmp_path, **acting) as at, at.working():
            await at.add(*variants("v.jpg", "w.jpg"), *copies("a.jpg", "b.jpg", seed=2))
            await at.caught_up()
            (command,) = await at.heard_of(TakeFile)
            assert command.match_class == "same-bytes"
            reasons = {d.duplicates[0].reason for d in at.all(GroupDecided) if d.keeper.file.path == "v.jpg"}
            assert any("before this service's memory" in reason for reason in reasons)

    async def test_the_breaker_confirmed_by_a_person_lets_it_ask_again(self, tmp_path) -> None:
        async with bench(tmp_path, **MOVING) as at, at.working():
            await at.add(*copies("a.jpg", "b.jpg"))
            (command,) = await at.heard_of(TakeFile)
            await at.answer(command, "refused", "breaker-open")
            await at.settled(open_commands=0)
            answer = RequestAnswered(request_id="c1", by="executor@here", done=True, explanation="")
            await at.executor.publish(answer)  # before the request itself is heard
            await at.person.publish(ConfirmRequested(request_id="c1", what="breaker"))
            await at.heard_of(TakeFile, 2)

    async def test_s24_a_managed_folder_is_acted_on_once_a_person_allowed_it_by_name(self, tmp_path) -> None:
        async with bench(tmp_path, managed_folders=("photos:sync",), **MOVING) as at, at.working():
            await at.add(*copies("a.jpg", "sync/b.jpg"))
            assert (await at.caught_up()).open_commands == 0
            folder = FolderRef(root="photos", path="sync")
            await at.person.publish(AllowRequested(request_id="a1", folder=folder))
            (command,) = await at.heard_of(TakeFile)
            assert command.victim.file.path == "sync/b.jpg"

    async def test_s24_a_word_for_the_whole_root_opens_no_managed_folder_inside_it(self, tmp_path) -> None:
        managed = ("/srv/photos", "photos:sync")
        async with bench(tmp_path, managed_folders=managed, **MOVING) as at, at.working():
            await at.add(*copies("a.jpg", "b.jpg", "sync/c.jpg"))
            assert (await at.caught_up()).open_commands == 0
            await at.person.publish(AllowRequested(request_id="a1", folder=FolderRef(root="photos", path="")))
            (command,) = await at.heard_of(TakeFile)
            assert command.victim.file.path == "b.jpg"
            assert (await at.settled(open_commands=1)).open_decisions == 1


class TestApplying:
    """A person's word for one batch."""

    async def test_a_batch_is_confirmed_counted_and_answered(self, tmp_path) -> None:
        async with bench(tmp_path, target="/target") as at, at.working():
            now = at.clock.now()
            young = [(replace(f, known_since=now), s) for f, s in copies("a.jpg", "b.jpg", "c.jpg")]
            await at.add(*young, *variants("v.jpg", "w.jpg", seed=2))
            await at.caught_up()
            await at.person.publish(request())
            (answer,) = await at.heard_of(ApplyAccepted)
            commands = at.all(TakeFile)
            assert answer.commands == len(commands) == 2
            assert {c.batch_id for c in commands} == {answer.batch_id} == {"r1"}
            assert all(c.confirmed and c.match_class == "same-bytes" for c in commands)
            assert at.standing() == {"a.jpg": ["b.jpg", "c.jpg"], "v.jpg": ["w.jpg"]}

    async def test_after_the_batch_the_rest_is_proposed_again(self, tmp_path) -> None:
        async with bench(tmp_path, target="/target") as at, at.working():
            large, similar = variants("large.jpg", "small.jpg")
            await at.add(large, similar, (candidate("twin.jpg", content="t", pixels=(9, 9)), signature(1, 4)))
            await at.add((candidate("twin2.jpg", content="t", pixels=(9, 9)), signature(1, 4)))
            await at.caught_up()
            assert at.standing() == {"large.jpg": ["small.jpg", "twin.jpg", "twin2.jpg"]}
            await at.person.publish(request())
            (command,) = await at.heard_of(TakeFile)
            assert {command.victim.file.path, command.keeper.file.path} == {"twin.jpg", "twin2.jpg"}
            await at.answer(command)
            left = command.keeper.file.path
            await at.until(lambda: at.standing() == {"large.jpg": ["small.jpg", left]})

    async def test_no_more_than_the_person_was_shown(self, tmp_path) -> None:
        async with bench(tmp_path, target="/target") as at, at.working():
            await at.add(*copies("a.jpg", "b.jpg", "c.jpg", "d.jpg"))
            await at.caught_up()
            await at.person.publish(request(at_most=2))
            (answer,) = await at.heard_of(ApplyAccepted)
            assert answer.commands == len(at.all(TakeFile)) == 2
            assert "1 file more than shown is left" in answer.explanation

    async def test_a_request_delivered_twice_acts_once(self, tmp_path) -> None:
        async with bench(tmp_path, target="/target") as at, at.working() as service:
            await at.add(*copies("a.jpg", "b.jpg", "c.jpg"))
            await at.caught_up()
            await at.person.publish(request(at_most=1))
            await at.heard_of(ApplyAccepted)

            await service.take_request(_delivered(request(at_most=1)))
            await asyncio.sleep(0)
            for command in at.all(TakeFile):
                await at.answer(command)
            await at.settled(open_commands=0)
            assert len(at.all(TakeFile)) == 1

    async def test_s6_what_the_settings_forbid_is_answered_with_the_reason(self, tmp_path) -> None:
        async with bench(tmp_path, target="/target") as at, at.working():
            await at.add(*copies("a.jpg", "b.jpg"))
            await at.caught_up()
            for n, wrong in enumerate(
                ({"action": "delete", "target": None}, {"target": "/elsewhere"}, {"roots": ("x",)}), 1
            ):
                await at.person.publish(request(f"w{n}", **wrong))
                answer = (await at.heard_of(ApplyAccepted, n))[-1]
                assert answer.commands == 0
            assert "allow_delete" in at.all(ApplyAccepted)[0].explanation
            assert not at.all(TakeFile)

    async def test_s6_dry_run_wins_over_a_request(self, tmp_path) -> None:
        async with bench(tmp_path, target="/target", dry_run=True) as at, at.working():
            await at.add(*copies("a.jpg", "b.jpg"))
            await at.caught_up()
            await at.person.publish(request())
            (answer,) = await at.heard_of(ApplyAccepted)
            assert (answer.commands, "dry_run" in answer.explanation) == (0, True)

    async def test_a_person_may_ask_for_what_the_service_was_refused(self, tmp_path) -> None:
        async with bench(tmp_path, **MOVING) as at, at.working():
            await at.add(*copies("a.jpg", "b.jpg"))
            (command,) = await at.heard_of(TakeFile)
            await at.answer(command, "refused", "breaker-open")
            await at.settled(open_commands=0)
            await at.person.publish(request())
            commands = await at.heard_of(TakeFile, 2)
            assert commands[1].confirmed
            assert commands[1].command_id != command.command_id


def _delivered(message):
    from tests.support.messages import envelope_of

    class Delivered:
        envelope = envelope_of(message)
        seq, deliveries = 1, 2

        async def ack(self) -> None:
            """The test needs no acknowledgement."""

    delivery = Delivered()
    delivery.message = message
    return delivery

"""The executor on real files: every act, every refusal, every way back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from services.watcher.hands.sight import Sight
from tests.support.executing import NOW, Stage, at_step, contents_in, photos_in


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def take(stage: Stage, action: str = "delete", **more: Any) -> Any:
    with stage.hand(action) as hand:
        return hand.executor.take(stage.command(action=action, **more))


# ---- acts -------------------------------------------------------------------------------------------------------


def test_s11_delete_moves_the_victim_into_the_quarantine_of_its_root_with_a_record(stage: Stage) -> None:
    victim, keeper = stage.pair()
    done = take(stage)
    item = stage.root() / ".photosift" / "quarantine" / str(done.item_id)
    assert (done.outcome, done.code) == ("quarantined", None)
    assert not victim.exists()
    assert keeper.read_bytes() == (item / "photo").read_bytes() == b"the same picture"
    assert (item / "record.json").stat().st_size > 500
    assert done.where == str(item / "photo")


def test_move_puts_the_victim_at_its_place_below_the_target_with_a_record_there(stage: Stage) -> None:
    stage.pair()
    done = take(stage, "move")
    moved = stage.target / "photos" / "a" / "victim.jpg"
    assert (done.outcome, done.where) == ("moved", str(moved))
    assert moved.read_bytes() == b"the same picture"
    assert (stage.target / ".photosift" / "records" / f"{done.item_id}.json").exists()
    assert (stage.target / ".photosift" / "target.json").exists()  # S22
    assert list((stage.root() / ".photosift" / "private").iterdir()) == []


@pytest.mark.parametrize("there", [b"other bytes", b"the same picture"])
def test_s10_a_taken_name_in_the_target_gets_a_number(stage: Stage, there: bytes) -> None:
    stage.pair()
    occupied = stage.target / "photos" / "a" / "victim.jpg"
    occupied.parent.mkdir(parents=True)
    occupied.write_bytes(there)
    done = take(stage, "move")
    assert done.where == str(stage.target / "photos" / "a" / "victim (2).jpg")
    assert occupied.read_bytes() == there


def test_s10_a_name_that_is_taken_at_the_last_moment_gets_a_number(stage: Stage) -> None:
    stage.pair()
    rival = stage.target / "photos" / "a" / "victim.jpg"
    fault = at_step("execute:before-move-on", lambda: rival.write_bytes(b"rival"))
    with stage.hand("move", fault=fault) as hand:
        done = hand.executor.take(stage.command(action="move"))
    assert done.where == str(rival.with_name("victim (2).jpg"))
    assert rival.read_bytes() == b"rival"
    assert len(list((stage.target / ".photosift" / "records").iterdir())) == 1


@pytest.mark.parametrize("step", ["execute:before-move-on", "execute:before-second-look"])
def test_s8_a_keeper_lost_while_its_victim_was_moved_on_brings_it_back(stage: Stage, step: str) -> None:
    victim, keeper = stage.pair()
    with stage.hand("move", fault=at_step(step, keeper.unlink)) as hand:
        done = hand.executor.take(stage.command(action="move"))
    assert (done.outcome, done.code) == ("undone", "keeper-gone")
    assert victim.exists()
    assert photos_in(stage.target, stage.root() / "a" / ".photosift") == []
    assert list((stage.target / ".photosift/records").iterdir()) == []


def test_names_that_are_no_text_survive(stage: Stage) -> None:
    name = os.fsdecode(b"a/\xff\xfe\n.jpg")
    stage.write(name, b"x")
    stage.write("keeper.jpg", b"x")
    done = take(stage, "move", victim=name, keeper="keeper.jpg")
    assert done.outcome == "moved"
    assert (stage.target / "photos" / name).read_bytes() == b"x"


# ---- nothing happens --------------------------------------------------------------------------------------------


def test_s6_proposing_touches_nothing_at_all(stage: Stage) -> None:
    stage.pair()
    with stage.hand("propose") as hand:
        done = hand.executor.take(stage.command())
    assert (done.outcome, done.code) == ("refused", "not-allowed-to-act")
    assert not (stage.root() / ".photosift").exists()


def test_s6_dry_run_wins_over_the_action(stage: Stage) -> None:
    stage.pair()
    with stage.hand("delete", dry_run=True) as hand:
        assert hand.executor.take(stage.command()).code == "not-allowed-to-act"
    assert not (stage.root() / ".photosift").exists()


def test_move_allows_no_deletion_and_deletion_no_move(stage: Stage) -> None:
    stage.pair()
    with stage.hand("move") as hand:
        assert hand.executor.take(stage.command(action="delete")).code == "not-allowed-to-act"
    with stage.hand("delete") as hand:
        assert hand.executor.take(stage.command(action="move")).code == "not-allowed-to-act"


def test_only_the_configured_target_is_a_target(stage: Stage, tmp_path: Path) -> None:
    stage.pair()
    assert take(stage, "move", target=str(tmp_path / "elsewhere")).code == "target-not-mine"
    assert not (tmp_path / "elsewhere").exists()


def test_s8_a_command_expires_by_the_executors_own_clock(stage: Stage) -> None:
    victim, _ = stage.pair()
    assert take(stage, expires_at=NOW).code == "expired"
    assert take(stage, expires_at=NOW + 10_000_000).code == "expired"
    assert victim.exists()


def test_a_root_that_is_not_mine_is_refused(stage: Stage) -> None:
    stage.pair()
    with stage.hand() as hand:
        command = stage.command()
        other = command.keeper.model_copy(update={"file": command.keeper.file.model_copy(update={"root": "elsewhere"})})
        assert hand.executor.take(command.model_copy(update={"keeper": other})).code == "keeper-out-of-reach"


@pytest.mark.parametrize("what", ["victim", "keeper"])
@pytest.mark.parametrize("how", ["rewritten", "edited-in-place", "touched", "gone", "link", "folder"])
def test_s8_evidence_that_does_not_hold_is_a_named_refusal(stage: Stage, what: str, how: str) -> None:
    """Also an edit that gives size and mtime back (exiftool -P): the change time tells."""
    files = dict(zip(("victim", "keeper"), stage.pair(), strict=True))
    command, path = stage.command(), files[what]
    before = path.stat()
    if how == "rewritten":
        path.write_bytes(b"longer than it was before")
    elif how == "edited-in-place":
        path.write_bytes(b"tHe same picture")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif how == "touched":
        path.chmod(0o600)
    else:
        path.unlink()
        if how == "link":
            path.symlink_to(files["keeper" if what == "victim" else "victim"])
        elif how == "folder":
            path.mkdir()
    with stage.hand() as hand:
        done = hand.executor.take(command)
    expected = {"gone": "gone", "link": "unreadable", "folder": "unreadable"}.get(how, "changed")
    assert (done.outcome, done.code) == ("refused", f"{what}-{expected}")
    assert not (stage.root() / ".photosift" / "quarantine").exists()


def test_s2_a_keeper_whose_bytes_are_not_those_is_refused(stage: Stage) -> None:
    stage.pair()
    command = stage.command()
    wrong = {"sha256": "0" * 64}
    with stage.hand() as hand:
        lie = command.model_copy(update={"victim": command.victim.model_copy(update=wrong)})
        lie = lie.model_copy(update={"keeper": command.keeper.model_copy(update=wrong)})
        assert hand.executor.take(lie).code == "victim-changed"
        similar = {"match_class": "similar", "confirmed": True}
        lie = command.model_copy(update={"keeper": command.keeper.model_copy(update=wrong), **similar})
        assert hand.executor.take(lie).code == "keeper-changed"
    assert contents_in(stage.root()) == {b"the same picture": 2}


def test_s4_two_names_of_one_file_are_no_duplicates(stage: Stage) -> None:
    victim = stage.write("a/victim.jpg")
    (stage.root() / "b").mkdir()
    os.link(victim, stage.root() / "b" / "keeper.jpg")
    assert take(stage).code == "same-file"
    assert take(stage, victim="a/victim.jpg", keeper="a/victim.jpg").code == "same-file"


@pytest.mark.parametrize("when", ["before", "execute:before-set-aside"])
@pytest.mark.parametrize("action", ["delete", "move"])
def test_s4_a_file_with_a_further_name_stays_because_an_edit_there_would_change_what_is_held(
    stage: Stage, tmp_path: Path, action: str, when: str
) -> None:
    victim, _ = stage.pair()
    other = tmp_path / "further name"
    if when == "before":
        os.link(victim, other)
    with stage.hand(action, fault=at_step(when, lambda: os.link(victim, other))) as hand:
        done = hand.executor.take(stage.command(action=action))
    assert (done.outcome, done.code) == ("refused" if when == "before" else "undone", "victim-has-other-names")
    assert "1 further name" in done.explanation
    other.write_bytes(b"edited in place")
    assert victim.read_bytes() == b"edited in place", "it is at its place, and nothing else was changed with it"
    assert contents_in(stage.root()) == {b"edited in place": 1, b"the same picture": 1}


def test_s4_a_keeper_may_have_further_names(stage: Stage, tmp_path: Path) -> None:
    victim, keeper = stage.pair()
    os.link(keeper, tmp_path / "further name")
    assert take(stage).outcome == "quarantined"
    assert not victim.exists()


def test_s8_a_file_that_is_being_written_is_refused(stage: Stage) -> None:
    victim, keeper = stage.pair()
    for path, code in ((victim, "victim-in-use"), (keeper, "keeper-in-use")):
        command = stage.command(decision_id=code)
        fd = os.open(path, os.O_WRONLY)
        try:
            with stage.hand() as hand:
                assert hand.executor.take(command).code == code
        finally:
            os.close(fd)


@pytest.mark.parametrize(
    "place", [".photosift/quarantine/x/photo.jpg", "@eaDir/v.jpg", "#recycle/v.jpg", ".snapshot/h/v.jpg"]
)
def test_s22_places_that_are_not_live_give_neither_victims_nor_keepers(stage: Stage, place: str) -> None:
    stage.write(place, b"x")
    stage.write("k.jpg", b"x")
    assert take(stage, victim=place, keeper="k.jpg").code == "not-live"
    assert take(stage, victim="k.jpg", keeper=place).code == "not-live"


def test_s22_the_target_inside_a_root_is_no_place_for_keepers(stage: Stage) -> None:
    stage.paths["target"] = stage.root() / "sorted"
    stage.write("v.jpg", b"x")
    stage.write("sorted/photos/k.jpg", b"x")
    assert take(stage, "move", victim="v.jpg", keeper="sorted/photos/k.jpg").code == "not-live"


def test_s22_another_instances_target_is_honoured_by_its_marker(stage: Stage) -> None:
    stage.write("v.jpg", b"x")
    stage.write("theirs/photos/k.jpg", b"x")
    stage.write("theirs/.photosift/target.json", b'{"id": "1"}')
    assert take(stage, victim="v.jpg", keeper="theirs/photos/k.jpg").code == "not-live"


@pytest.mark.parametrize(("role", "code"), [("reference", "victim-protected"), ("backup", "victim-protected")])
def test_s22_files_of_reference_and_backup_are_never_victims(stage: Stage, role: str, code: str) -> None:
    stage.roles["photos"] = role
    stage.pair()
    assert take(stage).code == code


@pytest.mark.parametrize(
    ("role", "outcome"), [("reference", None), ("backup", "keeper-not-live"), ("incoming", "keeper-not-live")]
)
def test_s22_which_roles_may_keep_for_another_root(tmp_path: Path, role: str, outcome: str | None) -> None:
    stage = Stage(tmp_path, roles={"photos": "library", "other": role})
    stage.write("v.jpg", b"x")
    stage.write("k.jpg", b"x", root="other")
    assert take(stage, victim="v.jpg", keeper="k.jpg", keeper_root="other").code == outcome


def test_s22_incoming_keeps_for_itself(stage: Stage) -> None:
    stage.roles["photos"] = "incoming"
    stage.pair()
    assert take(stage).outcome == "quarantined"


def test_s24_a_managed_folder_is_left_alone_until_it_is_allowed_by_name(stage: Stage) -> None:
    stage.pair()
    (stage.root() / "a" / ".stfolder").mkdir()
    assert take(stage).code == "managed-folder"
    with stage.hand() as hand:
        hand.bench.counters.allow("photos", b"a", NOW)
    assert take(stage, expires_at=NOW + 700).outcome == "quarantined"


@pytest.mark.parametrize("entry", ["photos:a", "{root}/a", "{root}"])
def test_s24_the_users_own_list_of_managed_folders_holds(stage: Stage, entry: str) -> None:
    stage.pair()
    with stage.hand(managed_folders=(entry.format(root=stage.root()),)) as hand:
        assert hand.executor.take(stage.command()).code == "managed-folder"


def test_s7_a_part_of_a_unit_is_never_taken(stage: Stage) -> None:
    stage.pair()
    stage.write("a/victim.CR2", b"raw")
    assert take(stage).code == "part-of-a-unit"


def test_s5_only_allowed_classes_are_acted_on_without_a_person(stage: Stage) -> None:
    stage.write("a/victim.jpg", b"small")
    stage.write("b/keeper.jpg", b"bigger")
    assert take(stage, match_class="same-bytes").code == "not-same-bytes"
    assert take(stage, match_class="similar", decision_id="1").code == "class-not-allowed"
    assert take(stage, match_class="similar", confirmed=True, decision_id="2").outcome == "quarantined"


def test_s15_a_young_keeper_is_waited_for(stage: Stage) -> None:
    stage.pair()
    for since, code in ((NOW - 10, "keeper-too-young"), (None, "keeper-too-young"), (NOW - 3600, None)):
        with stage.hand(sight=Sight(known_since=lambda _, s=since: s, files_in=lambda _: 1000)) as hand:
            command = stage.command(decision_id=str(since))
            assert hand.executor.take(command).code == code


def test_s14_nothing_is_claimed_or_taken_in_a_root_of_which_nothing_is_known(stage: Stage) -> None:
    stage.pair()
    with stage.hand(sight=Sight(doubt=lambda root: f"{root} is an empty mount")) as hand:
        assert hand.executor.take(stage.command()).code == "root-unknown"
    assert not (stage.root() / ".photosift").exists()


def test_s14_a_root_that_lost_its_marker_is_not_claimed_anew(stage: Stage) -> None:
    stage.pair()
    take(stage)
    stage.root().rename(stage.folder / "unmounted")
    stage.pair()
    assert take(stage, decision_id="2").code == "root-unknown"


def test_a_missing_root_is_a_refusal(stage: Stage) -> None:
    stage.pair()
    command = stage.command()
    stage.root().rename(stage.folder / "away")
    with stage.hand() as hand:
        assert hand.executor.take(command).code == "root-unknown"


# ---- twice, and over time ---------------------------------------------------------------------------------------


def test_s12_a_command_delivered_twice_acts_once(stage: Stage) -> None:
    victim, _ = stage.pair()
    command = stage.command()
    with stage.hand() as hand:
        first = hand.executor.take(command)
    victim.write_bytes(b"a new photo under the old name")
    with stage.hand() as hand:
        assert hand.executor.take(command) == first
        assert len(hand.held()) == 1
    assert victim.read_bytes() == b"a new photo under the old name"


def test_s12_a_refused_command_delivered_again_is_refused_again_and_asked_again_judged_anew(stage: Stage) -> None:
    victim, _ = stage.pair()
    command = stage.command()
    with stage.hand("move") as hand:
        assert hand.executor.take(command).code == "not-allowed-to-act"
    with stage.hand() as hand:
        assert hand.executor.take(command).code == "not-allowed-to-act"
        assert victim.exists()
        again = command.model_copy(update={"expires_at": command.expires_at + 60})
        assert again.command_id == command.command_id
        assert hand.executor.take(again).outcome == "quarantined"


def test_s1_what_stands_for_others_is_not_taken_for_a_keeper_that_was_not_compared_with_them(stage: Stage) -> None:
    stage.write("first.jpg", b"first")
    stage.write("second.jpg", b"second")
    stage.write("third.jpg", b"third")
    stage.write("second copy.jpg", b"second")
    similar = {"match_class": "similar", "confirmed": True}
    assert take(stage, victim="first.jpg", keeper="second.jpg", **similar).outcome == "quarantined"
    assert take(stage, victim="second.jpg", keeper="third.jpg", **similar).code == "stands-for-others"
    assert take(stage, victim="second.jpg", keeper="second copy.jpg").outcome == "quarantined"


def test_s1_a_chain_of_equal_bytes_is_no_chain(stage: Stage) -> None:
    for name in ("1.jpg", "2.jpg"):
        stage.write(name, b"x")
    stage.write("better.jpg", b"better")
    assert take(stage, victim="1.jpg", keeper="2.jpg").outcome == "quarantined"
    done = take(stage, victim="2.jpg", keeper="better.jpg", match_class="similar", confirmed=True)
    assert done.outcome == "quarantined"


def test_s3_opposite_decisions_one_after_the_other_leave_one_copy(stage: Stage) -> None:
    stage.pair()
    one, other = stage.command(), stage.command("b/keeper.jpg", "a/victim.jpg")
    with stage.hand() as hand:
        assert hand.executor.take(one).outcome == "quarantined"
        assert hand.executor.take(other).code == "keeper-gone"


# ---- between check and act --------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["delete", "move"])
@pytest.mark.parametrize(
    "step",
    ["execute:before-intent", "execute:before-set-aside", "execute:before-identify", "execute:before-look-again"],
)
@pytest.mark.parametrize("how", ["deleted", "renamed", "edited", "replaced"])
def test_s8_a_keeper_lost_between_check_and_act_brings_the_victim_back(
    stage: Stage, action: str, step: str, how: str
) -> None:
    victim, keeper = stage.pair()
    before = victim.stat()

    def lose() -> None:
        if how == "deleted":
            keeper.unlink()
        elif how == "renamed":
            keeper.rename(keeper.with_name("elsewhere.jpg"))
        elif how == "edited":
            keeper.write_bytes(b"The same picture")
        else:
            (fresh := keeper.with_name("saving.tmp")).write_bytes(b"the same picture")
            fresh.rename(keeper)

    with stage.hand(action, fault=at_step(step, lose)) as hand:
        done = hand.executor.take(stage.command(action=action))
        assert (done.outcome, done.item_id) == ("undone", None)
        assert done.code in ("keeper-gone", "keeper-changed")
        assert hand.bench.journal.open_intents() == []
    assert victim.read_bytes() == b"the same picture"
    assert (victim.stat().st_ino, victim.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert photos_in(stage.root() / ".photosift", stage.target) == []


def test_s10_an_editors_save_between_check_and_rename_is_put_back_at_once(stage: Stage) -> None:
    """The new version is renamed over the checked one: it is a stranger, and the user's."""
    victim, _ = stage.pair()

    def save() -> None:
        (fresh := victim.with_name("saving.tmp")).write_bytes(b"a precious edit")
        fresh.rename(victim)

    with stage.hand(fault=at_step("execute:before-set-aside", save)) as hand:
        done = hand.executor.take(stage.command())
    assert (done.outcome, done.code) == ("undone", "victim-changed")
    assert victim.read_bytes() == b"a precious edit"


def test_s10_another_file_with_equal_bytes_is_a_stranger_too(stage: Stage) -> None:
    """Its attributes were never looked at."""
    victim, _ = stage.pair()
    times = victim.stat()

    def save() -> None:
        (fresh := victim.with_name("saving.tmp")).write_bytes(b"the same picture")
        os.utime(fresh, ns=(times.st_atime_ns, times.st_mtime_ns))
        fresh.chmod(0o600)
        fresh.rename(victim)

    with stage.hand(fault=at_step("execute:before-set-aside", save)) as hand:
        done = hand.executor.take(stage.command())
    assert (done.outcome, done.code) == ("undone", "victim-changed")
    assert victim.stat().st_mode & 0o777 == 0o600


def test_s10_an_edit_in_place_that_keeps_size_and_mtime_is_found_by_the_hash(stage: Stage) -> None:
    victim, _ = stage.pair()
    times = victim.stat()

    def edit() -> None:
        victim.write_bytes(b"The Same Picture")
        os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))

    with stage.hand(fault=at_step("execute:before-set-aside", edit)) as hand:
        done = hand.executor.take(stage.command())
    assert (done.outcome, done.code) == ("undone", "victim-changed")
    assert victim.read_bytes() == b"The Same Picture"


def test_s10_a_stranger_whose_place_is_taken_is_held_and_can_be_restored(stage: Stage) -> None:
    victim, _ = stage.pair()

    def save() -> None:
        (fresh := victim.with_name("saving.tmp")).write_bytes(b"first edit")
        fresh.rename(victim)

    def save_again() -> None:
        victim.write_bytes(b"second edit")

    def both(step: str) -> None:
        at_first(step)
        at_second(step)

    at_first = at_step("execute:before-set-aside", save)
    at_second = at_step("execute:before-identify", save_again)
    with stage.hand(fault=both) as hand:
        done = hand.executor.take(stage.command())
        assert done.outcome == "undone"
        assert done.item_id is not None
        assert victim.read_bytes() == b"second edit"
        victim.rename(victim.with_name("kept.jpg"))
        restored = hand.restoring.restore(hand.held())
    assert len(restored.back) == 1
    assert victim.read_bytes() == b"first edit"


def test_s10_a_victim_put_back_onto_a_taken_name_is_held(stage: Stage) -> None:
    victim, keeper = stage.pair()

    def lose() -> None:
        keeper.unlink()
        victim.write_bytes(b"somebody else's")

    with stage.hand(fault=at_step("execute:before-look-again", lose)) as hand:
        done = hand.executor.take(stage.command())
        assert (done.outcome, done.code) == ("undone", "keeper-gone")
        assert [item.item_id for item in hand.held()] == [done.item_id]
    assert contents_in(stage.root()) == {b"somebody else's": 1, b"the same picture": 1}

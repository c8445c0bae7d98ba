"""Last copies: they stay, unless a live file that the resolver names is read from the disk and stands for all. (S11)"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.watcher.hands.releasing import ASK_AGAIN, Releasing
from services.watcher.hands.removalrules import ItemFacts, judge_item
from services.watcher.hands.sight import Sight
from shared.errors import UnsafePath
from shared.messages.base import FileRef
from shared.messages.commands import Covered, RemoveItem
from shared.messages.outcomes import ItemDue, ItemRemoved, RemovalDone
from shared.paths import PhotoPath
from tests.support.executing import DAY, NOW, Hand, Stage, at_step, photos_in

SIMILAR = {"match_class": "similar", "distance": 0.05}
BOTH = ("same-bytes", "similar")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A small picture was taken for a larger one, which is gone by now; another large one is still there."""
    stage = Stage(tmp_path, roles={"photos": "library", "other": "library"})
    stage.settings |= {"retention_days": 2, "automatic_classes": BOTH}
    stage.write("a/small.jpg", b"small")
    stage.write("a/large.jpg", b"large")
    stage.write("b/large too.jpg", b"large too")
    with stage.hand() as hand:
        hand.removal.note_today()
        assert hand.executor.take(stage.command("a/small.jpg", "a/large.jpg", **SIMILAR)).outcome == "quarantined"
    (stage.root() / "a/large.jpg").unlink()
    return stage


def run_days(hand: Hand, stage: Stage, days: int) -> None:
    for _ in range(days):
        stage.clock.at += DAY
        hand.removal.note_today()


def asked(hand: Hand) -> list[ItemDue]:
    return [u.message for u in hand.bench.journal.unsaid() if isinstance(u.message, ItemDue)]


def removal(stage: Stage, hand: Hand, keeper: str = "b/large too.jpg", root: str = "photos", **more: Any) -> RemoveItem:
    """The resolver's answer, true as of now."""
    (item,) = [i for i in hand.held() if i.record.origin.name == b"small.jpg"]
    values: dict[str, Any] = {
        "decision_id": "removal",
        "item_id": item.item_id,
        "file": FileRef.of(item.record.origin),
        "sha256": item.record.sha256,
        "keeper": stage.evidence(keeper, root),
        "expires_at": stage.clock.at + 600,
        **SIMILAR,
    }
    return RemoveItem(**(values | more))


def lying(stage: Stage) -> list[bytes]:
    return [path.read_bytes() for path in photos_in(stage.root() / ".photosift")]


def carried_out(
    stage: Stage, *, days: int = 3, before: Callable[[], object] = lambda: None, **more: Any
) -> RemovalDone:
    hands = {key: more.pop(key) for key in ("sight", "breaker", "action") if key in more}
    with stage.hand(**hands) as hand:
        run_days(hand, stage, days)
        command = removal(stage, hand, **more)
        before()
        done = Releasing(hand.bench, hand.removal).carry_out(command)
        assert done is not None
        assert isinstance(hand.bench.journal.unsaid()[-1].message, RemovalDone | ItemRemoved)
    return done


# ---- asking -------------------------------------------------------------------------------------------------------


def test_s11_a_last_copy_that_is_due_is_asked_about_once_a_day_and_stays(stage: Stage) -> None:
    with stage.hand() as hand:
        releasing = Releasing(hand.bench, hand.removal)
        run_days(hand, stage, 2)
        assert releasing.ask(hand.removal.remove_due().copyless) == 0
        run_days(hand, stage, 1)
        assert releasing.ask(hand.removal.remove_due().copyless) == 1
        (due,) = asked(hand)
        assert (due.file.path, due.stands_for, due.asked_at) == ("a/small.jpg", (), stage.clock.at)
        stage.clock.at += ASK_AGAIN - 1
        assert releasing.ask(hand.removal.remove_due().copyless) == 0
        stage.clock.at += 1
        assert releasing.ask(hand.removal.remove_due().copyless) == 1
    assert lying(stage) == [b"small"]


def test_what_is_no_longer_what_was_taken_is_not_asked_about(stage: Stage) -> None:
    photos_in(stage.root() / ".photosift")[0].write_bytes(b"edited in the quarantine")
    with stage.hand() as hand:
        run_days(hand, stage, 3)
        done = hand.removal.remove_due()
        assert (len(done.last_copies), done.copyless) == (1, ())


def test_s1_the_question_names_all_that_the_item_stands_for(stage: Stage) -> None:
    """Copies of the small one were taken for it earlier, and something similar for one of those."""
    stage.write("c/small.jpg", b"small")
    with stage.hand() as hand:
        stage.write("c/tiny.jpg", b"tiny")
        tiny = stage.evidence("c/tiny.jpg")
        assert hand.executor.take(stage.command("c/tiny.jpg", "c/small.jpg", **SIMILAR)).item_id
        run_days(hand, stage, 3)
        (stage.root() / "c/small.jpg").unlink()
        Releasing(hand.bench, hand.removal).ask(hand.removal.remove_due().copyless)
        assert {due.file.path: due.stands_for for due in asked(hand)}["a/small.jpg"] == (tiny.sha256,)


# ---- carrying out -------------------------------------------------------------------------------------------------


def test_s11_a_last_copy_goes_when_a_live_file_stands_for_it(stage: Stage) -> None:
    done = carried_out(stage)
    assert (done.outcome, done.code, done.keeper.path) == ("removed", None, "b/large too.jpg")
    assert lying(stage) == []
    with stage.hand() as hand:
        said = [u.message for u in hand.bench.journal.unsaid()]
        (gone,) = [m for m in said if isinstance(m, ItemRemoved)]
        assert gone.live_copy.path == "b/large too.jpg"


def test_s11_equal_bytes_that_came_elsewhere_release_it_too(stage: Stage) -> None:
    stage.write("new/small.jpg", b"small")
    done = carried_out(stage, keeper="new/small.jpg", match_class="same-bytes", distance=0.0)
    assert done.outcome == "removed"


def test_s12_a_removal_delivered_twice_is_done_once(stage: Stage) -> None:
    with stage.hand() as hand:
        run_days(hand, stage, 3)
        command = removal(stage, hand)
        releasing = Releasing(hand.bench, hand.removal)
        assert releasing.carry_out(command) is not None
        before = len(hand.bench.journal.unsaid())
        assert releasing.carry_out(command) is None
        assert len(hand.bench.journal.unsaid()) == before


def test_s1_what_stood_in_for_a_last_copy_is_not_taken_for_what_was_not_compared_with_it(stage: Stage) -> None:
    carried_out(stage)
    stage.write("d/third.jpg", b"a third one")
    stage.write("d/same.jpg", b"large too")
    with stage.hand() as hand:
        similar = hand.executor.take(stage.command("b/large too.jpg", "d/third.jpg", **SIMILAR))
        assert similar.code == "stands-for-others"
        assert hand.executor.take(stage.command("b/large too.jpg", "d/same.jpg", decision_id="2")).item_id


def test_s1_what_the_item_stood_for_is_handed_on_with_it(stage: Stage) -> None:
    """tiny -> small -> large too: the last one answers for both from then on."""
    stage.write("c/tiny.jpg", b"tiny")
    stage.write("c/small.jpg", b"small")
    with stage.hand() as hand:
        tiny = stage.evidence("c/tiny.jpg").sha256
        assert hand.executor.take(stage.command("c/tiny.jpg", "c/small.jpg", **SIMILAR)).item_id
    (stage.root() / "c/small.jpg").unlink()
    assert carried_out(stage).code == "stands-for-others"
    assert carried_out(stage, covers=(Covered(sha256=tiny, distance=0.04),)).outcome == "removed"
    with stage.hand() as hand:
        sha256 = stage.evidence("b/large too.jpg").sha256
        assert tiny in hand.bench.items.stands_for(sha256)


GONE = {
    "gone": ("keeper-gone", lambda keeper: keeper.unlink()),
    "edited": ("keeper-changed", lambda keeper: keeper.write_bytes(b"something else")),
    "in-trash": ("keeper-gone", lambda keeper: keeper.rename(_folder(keeper.parent.parent / "#recycle") / "x.jpg")),
    "link": ("keeper-unreadable", lambda keeper: (keeper.unlink(), keeper.symlink_to("/etc/hostname"))),
    "in-a-target": ("not-live", lambda keeper: _marked(keeper.parent)),
}


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _marked(folder: Path) -> None:
    (folder / ".photosift").mkdir()
    (folder / ".photosift" / "target.json").write_text("{}")


@pytest.mark.parametrize("how", GONE)
def test_s8_s22_a_stand_in_that_is_not_there_as_it_was_releases_nothing(stage: Stage, how: str) -> None:
    code, change = GONE[how]
    done = carried_out(stage, before=lambda: change(stage.root() / "b/large too.jpg"))
    assert (done.outcome, done.code) == ("kept", code)
    assert lying(stage) == [b"small"]


def test_s2_a_stand_in_edited_behind_its_stat_releases_nothing(stage: Stage) -> None:
    keeper = stage.evidence("b/large too.jpg").model_copy(update={"sha256": "ab" * 32})
    with stage.hand() as hand:
        run_days(hand, stage, 3)
        command = removal(stage, hand).model_copy(update={"keeper": keeper})
        done = Releasing(hand.bench, hand.removal).carry_out(command)
    assert done is not None and done.code == "keeper-changed"


def test_s8_a_stand_in_that_another_program_writes_to_releases_nothing(stage: Stage) -> None:
    with (stage.root() / "b/large too.jpg").open("r+b"):
        assert carried_out(stage).code == "keeper-in-use"


def test_s8_a_stand_in_that_goes_while_the_item_is_read_releases_nothing(stage: Stage) -> None:
    keeper = stage.root() / "b/large too.jpg"
    with stage.hand(fault=at_step("remove:before-look-again", keeper.unlink)) as hand:
        run_days(hand, stage, 3)
        done = Releasing(hand.bench, hand.removal).carry_out(removal(stage, hand))
    assert done is not None and (done.outcome, done.code) == ("kept", "keeper-gone")
    assert lying(stage) == [b"small"]


def test_s4_a_link_to_the_item_is_no_stand_in(stage: Stage) -> None:
    (lies,) = photos_in(stage.root() / ".photosift")
    os.link(lies, stage.root() / "b/link.jpg")
    done = carried_out(stage, keeper="b/link.jpg", match_class="same-bytes", distance=0.0)
    assert done.code == "same-file"


def test_s11_what_was_changed_in_the_quarantine_is_kept(stage: Stage) -> None:
    (lies,) = photos_in(stage.root() / ".photosift")
    assert carried_out(stage, before=lambda: lies.write_bytes(b"another content")).code == "item-changed"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"days": 1}, "not-due"),
        ({"expires_at": NOW}, "expired"),
        ({"expires_at": NOW + 30 * DAY}, "expired"),
        ({"distance": 0.2}, "beyond-threshold"),
        ({"covers": (Covered(sha256="ab" * 32, distance=0.2),)}, "beyond-threshold"),
        ({"match_class": "same-bytes"}, "not-same-bytes"),
        ({"sha256": "ab" * 32}, "item-differs"),
        ({"file": FileRef(root="photos", path="a/other.jpg")}, "item-differs"),
        ({"item_id": "unknown"}, "not-my-item"),
        ({"action": "propose"}, "not-due"),
        ({"sight": Sight(doubt=lambda _: "unmounted")}, "root-unknown"),
        ({"sight": Sight(known_since=lambda _: NOW + 3 * DAY - 60, files_in=lambda _: 9_999)}, "keeper-too-young"),
    ],
)
def test_s11_every_rule_that_holds_for_a_keeper_holds_for_a_stand_in(stage: Stage, wrong: Any, code: str) -> None:
    """S1, S5, S6, S8, S13, S14, S15."""
    done = carried_out(stage, **wrong)
    assert (done.outcome, done.code) == ("kept", code), done.explanation
    assert lying(stage) == [b"small"]


def test_s13_an_open_breaker_releases_nothing(stage: Stage) -> None:
    stage.write("e/v.jpg", b"v")
    stage.write("e/k.jpg", b"v")
    with stage.hand(breaker={"at_least": 1, "at_most": 1}) as hand:
        run_days(hand, stage, 3)
        assert hand.executor.take(stage.command("e/v.jpg", "e/k.jpg")).item_id
        done = Releasing(hand.bench, hand.removal).carry_out(removal(stage, hand))
    assert done is not None and done.code == "breaker-open"


def test_s5_a_class_that_the_settings_do_not_allow_releases_nothing(stage: Stage) -> None:
    stage.settings["automatic_classes"] = ("same-bytes",)
    assert carried_out(stage).code == "class-not-allowed"


@pytest.mark.parametrize("role", ["backup", "incoming"])
def test_s22_a_file_of_a_root_that_keeps_nothing_releases_nothing(stage: Stage, role: str) -> None:
    stage.roles["other"] = role
    stage.write("x.jpg", b"x", root="other")
    assert carried_out(stage, keeper="x.jpg", root="other").code == "keeper-not-live"


def test_s12_what_a_person_kept_beside_it_is_no_stand_in(stage: Stage) -> None:
    """The pair was restored before: it counts as two photos."""
    with stage.hand() as hand:
        (item,) = hand.held()
        pair = sorted((stage.evidence("b/large too.jpg").sha256, item.record.sha256))
        hand.bench.file.write(lambda db: db.execute("INSERT INTO restored VALUES (?, ?, ?)", (*pair, 0.0)))
    assert carried_out(stage).code == "restored-by-a-person"


def test_s9_a_stand_in_that_leads_out_of_its_root_releases_nothing(stage: Stage) -> None:
    keeper = stage.evidence("b/large too.jpg")
    outside = keeper.model_copy(update={"file": FileRef(root="photos", path="../outside.jpg")})
    with stage.hand() as hand:
        run_days(hand, stage, 3)
        command = removal(stage, hand).model_copy(update={"keeper": outside})
        with pytest.raises(UnsafePath):  # given up by the consumer, as a dead letter (S19)
            Releasing(hand.bench, hand.removal).carry_out(command)
    assert lying(stage) == [b"small"]


@pytest.mark.parametrize("step", ["remove:before-mark", "remove:before-release", "remove:before-result"])
def test_s12_killed_during_a_removal_the_item_is_held_or_gone_and_said(stage: Stage, step: str) -> None:
    with stage.hand() as hand:
        run_days(hand, stage, 3)
        command = removal(stage, hand)
    child = os.fork()
    if child == 0:
        try:
            with stage.hand(fault=lambda now: os.kill(os.getpid(), signal.SIGKILL) if now == step else None) as hand:
                Releasing(hand.bench, hand.removal).carry_out(command)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    with stage.hand() as hand:
        hand.recovery.settle_all()
        said = [u.message for u in hand.bench.journal.unsaid()]
        gone = step == "remove:before-result"
        assert lying(stage) == ([] if gone else [b"small"])
        assert [m.outcome for m in said if isinstance(m, RemovalDone)] == (["removed"] if gone else [])
        assert [m.live_copy.path for m in said if isinstance(m, ItemRemoved)] == (["b/large too.jpg"] if gone else [])
        if not gone:
            again = Releasing(hand.bench, hand.removal).carry_out(command)
            assert again is not None and again.outcome == "removed"
        assert hand.bench.items.stands_for(command.keeper.sha256) == {command.sha256}


# ---- the rules about the item -------------------------------------------------------------------------------------

FACTS = ItemFacts(
    is_held=True, sha256="x", origin="photos:a.jpg", is_due=True, stands_for=frozenset({"y", "z"}), max_distance=0.1
)


def test_s1_all_that_the_item_stood_for_must_be_covered() -> None:
    evidence = {"size": 1, "mtime_ns": 1, "ctime_ns": 1, "dev": 1, "ino": 1, "version": 1}
    file = FileRef.of(PhotoPath("photos", b"a.jpg"))

    def code(keeper: str, *covered: str) -> str | None:
        command = RemoveItem(
            decision_id="d",
            item_id="i",
            file=file,
            sha256="x",
            keeper={"file": file, "sha256": keeper, **evidence},  # type: ignore[arg-type]
            match_class="similar",
            distance=0.1,
            covers=tuple(Covered(sha256=sha, distance=0.1) for sha in covered),
            expires_at=1.0,
        )
        refusal = judge_item(command, FACTS)
        return None if refusal is None else refusal.code

    assert code("k") == code("k", "y") == code("k", "z") == "stands-for-others"
    assert code("k", "y", "z") is None
    assert code("y", "z") is None
    assert code("x") is None

"""Letting go for good: never without a retention, never without a live copy read from disk at that moment. (S11)"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.watcher.hands.sight import Sight
from shared.messages.outcomes import ItemRemoved
from tests.support.executing import DAY, Hand, Stage, at_step, photos_in


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.settings["retention_days"] = 2
    stage.pair()
    with stage.hand() as hand:
        hand.removal.note_today()
        assert hand.executor.take(stage.command()).item_id
    return stage


def run_days(hand: Hand, stage: Stage, days: int) -> None:
    for _ in range(days):
        stage.clock.at += DAY
        hand.removal.note_today()


def lying(stage: Stage) -> list[Path]:
    return photos_in(stage.root() / ".photosift")


def test_s11_after_the_retention_and_with_a_live_copy_an_item_goes(stage: Stage) -> None:
    with stage.hand() as hand:
        run_days(hand, stage, 2)
        assert hand.removal.remove_due().removed == 0
        run_days(hand, stage, 1)
        assert hand.removal.remove_due().removed == 1
        message = hand.bench.journal.unsaid()[-1].message
        assert isinstance(message, ItemRemoved)
        assert message.live_copy.path == "b/keeper.jpg"
    assert lying(stage) == []
    assert (stage.root() / "b/keeper.jpg").exists()


def test_s11_without_a_retention_nothing_is_ever_removed(stage: Stage) -> None:
    with stage.hand(retention_days=None) as hand:
        run_days(hand, stage, 30)
        assert hand.removal.due() == []


def test_s11_days_on_which_the_service_did_not_run_and_steps_of_the_clock_do_not_count(stage: Stage) -> None:
    with stage.hand() as hand:
        stage.clock.at += 1000 * DAY
        hand.removal.note_today()
        assert hand.removal.due() == []
        stage.clock.at -= 2000 * DAY
        hand.removal.note_today()
        stage.clock.at += 2000 * DAY
        hand.removal.note_today()
        assert hand.removal.due() == []


@pytest.mark.parametrize("how", ["gone", "edited", "edited-behind-the-stat", "link", "in-trash", "in-use"])
def test_s11_the_last_copy_stays_however_long(stage: Stage, how: str) -> None:
    keeper = stage.root() / "b/keeper.jpg"
    before, open_fd = keeper.stat(), None
    if how == "gone":
        keeper.unlink()
    elif how == "edited":
        keeper.write_bytes(b"now another picture")
    elif how == "edited-behind-the-stat":
        keeper.write_bytes(b"THE SAME PICTURE")
        os.utime(keeper, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif how == "link":
        keeper.unlink()
        keeper.symlink_to(lying(stage)[0])
    elif how == "in-trash":
        (stage.root() / "#recycle").mkdir()
        keeper.rename(stage.root() / "#recycle" / "keeper.jpg")
    else:
        open_fd = os.open(keeper, os.O_WRONLY)
    with stage.hand() as hand:
        run_days(hand, stage, 10)
        done = hand.removal.remove_due()
        assert done.removed == 0
        assert len(done.last_copies) == 1
    if open_fd is not None:
        os.close(open_fd)
    assert len(lying(stage)) == 1


def test_s8_s11_a_copy_that_goes_while_the_item_is_read_releases_nothing(stage: Stage) -> None:
    keeper = stage.root() / "b/keeper.jpg"
    with stage.hand(fault=at_step("remove:before-look-again", keeper.unlink)) as hand:
        run_days(hand, stage, 10)
        done = hand.removal.remove_due()
        assert (done.removed, len(done.last_copies)) == (0, 1)
        assert not keeper.exists()
    assert len(lying(stage)) == 1


def test_s8_s11_a_copy_that_is_edited_while_the_item_is_read_releases_nothing(stage: Stage) -> None:
    keeper = stage.root() / "b/keeper.jpg"

    def edit() -> None:
        keeper.write_bytes(b"THE SAME PICTURE")

    with stage.hand(fault=at_step("remove:before-look-again", edit)) as hand:
        run_days(hand, stage, 10)
        assert hand.removal.remove_due().removed == 0
        assert keeper.read_bytes() == b"THE SAME PICTURE"
    assert len(lying(stage)) == 1


def test_s11_a_hard_link_to_the_item_is_no_second_copy(stage: Stage) -> None:
    keeper = stage.root() / "b/keeper.jpg"
    keeper.unlink()
    os.link(lying(stage)[0], keeper)
    with stage.hand() as hand:
        run_days(hand, stage, 10)
        assert hand.removal.remove_due().removed == 0


def test_s14_absence_of_knowledge_releases_nothing(stage: Stage) -> None:
    with stage.hand(sight=Sight(doubt=lambda _: "unmounted")) as hand:
        run_days(hand, stage, 10)
        assert hand.removal.remove_due().removed == 0
    assert len(lying(stage)) == 1


def test_s11_a_keeper_that_was_taken_later_hands_on_to_its_own_keeper(stage: Stage) -> None:
    stage.write("c/third.jpg", b"the same picture")
    with stage.hand() as hand:
        assert hand.executor.take(stage.command("b/keeper.jpg", "c/third.jpg")).item_id
        run_days(hand, stage, 3)
        assert hand.removal.remove_due().removed == 2
    assert (stage.root() / "c/third.jpg").read_bytes() == b"the same picture"


def test_s11_a_similar_keeper_is_no_copy(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.settings["retention_days"] = 2
    stage.write("v.jpg", b"small")
    stage.write("k.jpg", b"large")
    with stage.hand() as hand:
        hand.executor.take(stage.command("v.jpg", "k.jpg", match_class="similar", confirmed=True))
        run_days(hand, stage, 10)
        assert hand.removal.remove_due().removed == 0


def test_s13_an_open_breaker_stops_removals(stage: Stage) -> None:
    with stage.hand(breaker={"at_least": 1, "at_most": 1}) as hand:
        run_days(hand, stage, 3)
        stage.write("v.jpg", b"x")
        stage.write("k.jpg", b"x")
        assert hand.executor.take(stage.command("v.jpg", "k.jpg")).item_id
        done = hand.removal.remove_due()
        assert done.removed == 0
        assert done.stopped is not None


def test_s6_nothing_is_removed_where_deleting_is_not_allowed(stage: Stage) -> None:
    with stage.hand("propose") as hand:
        run_days(hand, stage, 10)
        assert hand.removal.due() == []

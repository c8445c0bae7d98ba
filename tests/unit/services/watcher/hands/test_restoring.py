"""Putting back: verified, never overwriting, with all it had, and never taken again. (S11, S12, S25)"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from services.watcher.hands.items import Item
from shared.messages.base import FileRef
from shared.messages.outcomes import ItemRestored
from shared.messages.requests import RestoreRequested
from shared.paths import PhotoPath
from tests.support.executing import NOW, Hand, Stage, contents_in, photos_in


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def taken(stage: Stage, action: str = "delete", **more: Any) -> str:
    with stage.hand(action) as hand:
        done = hand.executor.take(stage.command(action=action, **more))
    assert done.item_id is not None, done.explanation
    return done.item_id


def restore(stage: Stage, action: str = "delete", **selector: Any) -> Any:
    with stage.hand(action) as hand:
        return hand.restoring.restore(hand.restoring.select(RestoreRequested(request_id="r", **selector)))


@pytest.mark.parametrize("action", ["delete", "move"])
def test_a_file_comes_back_with_its_attributes(stage: Stage, action: str) -> None:
    victim, _ = stage.pair()
    victim.chmod(0o640)
    os.utime(victim, ns=(1_000_000_001, 1_500_000_000_123_456_789))
    os.setxattr(victim, "user.rating", b"5")
    before = victim.stat()
    item_id = taken(stage, action)
    assert not victim.exists()
    with stage.hand(action) as hand:
        (item,) = hand.held()
        assert hand.restoring.restore_one(item) is None
        message = hand.bench.journal.unsaid()[-1].message
        assert isinstance(message, ItemRestored)
        assert (message.item_id, message.file.path) == (item_id, "a/victim.jpg")
        assert hand.held() == []
    after = victim.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_ino) == (before.st_mode, before.st_mtime_ns, before.st_ino)
    assert os.getxattr(victim, "user.rating") == b"5"
    assert photos_in(stage.root() / ".photosift", stage.target) == []


def test_selectors_choose_by_path_decision_batch_and_time(stage: Stage) -> None:
    for n in range(4):
        stage.write(f"v{n}.jpg", b"%d" % n)
        stage.write(f"k{n}.jpg", b"%d" % n)
        stage.clock.at = NOW + n
        taken(stage, victim=f"v{n}.jpg", keeper=f"k{n}.jpg", decision_id=f"d{n}", batch_id=f"b{n}")
    names = lambda done: sorted(path.rel for path in done.back)  # noqa: E731
    assert names(restore(stage, file=FileRef.of(PhotoPath("photos", b"v0.jpg")))) == [b"v0.jpg"]
    assert names(restore(stage, decision_id="d1")) == [b"v1.jpg"]
    assert names(restore(stage, batch_id="b2")) == [b"v2.jpg"]
    assert names(restore(stage, since=NOW + 3)) == [b"v3.jpg"]
    assert names(restore(stage, since=0.0)) == []


@pytest.mark.parametrize("action", ["delete", "move"])
def test_s10_a_taken_name_is_never_overwritten_and_a_free_one_named(stage: Stage, action: str) -> None:
    victim, _ = stage.pair()
    taken(stage, action)
    victim.write_bytes(b"new")
    victim.with_name("victim (2).jpg").write_bytes(b"newer")
    done = restore(stage, action, since=0.0)
    ((item, why),) = done.stays
    assert isinstance(item, Item)
    assert (why.code, "a/victim (3).jpg" in why.explanation) == ("occupied", True)
    assert victim.read_bytes() == b"new"
    victim.unlink()
    assert len(restore(stage, action, since=0.0).back) == 1
    assert victim.read_bytes() == b"the same picture"


@pytest.mark.parametrize("action", ["delete", "move"])
def test_s11_what_is_not_what_was_taken_is_not_put_back(stage: Stage, action: str) -> None:
    victim, _ = stage.pair()
    taken(stage, action)
    (lying,) = photos_in(stage.root() / ".photosift", stage.target)
    lying.write_bytes(b"altered in its place")
    ((_, why),) = restore(stage, action, since=0.0).stays
    assert why.code == "item-changed"
    assert not victim.exists()


def test_s12_a_restored_file_is_never_taken_again_by_itself_but_a_person_may(stage: Stage) -> None:
    victim, _ = stage.pair()
    taken(stage)
    restore(stage, since=0.0)
    with stage.hand() as hand:
        assert hand.executor.take(stage.command(decision_id="2")).code == "restored-by-a-person"
        reverse = stage.command("b/keeper.jpg", "a/victim.jpg", decision_id="3")
        assert hand.executor.take(reverse).code == "restored-by-a-person"
        assert victim.exists()
        assert hand.executor.take(stage.command(decision_id="4", confirmed=True)).outcome == "quarantined"


def test_s11_a_lost_journal_is_rebuilt_from_the_records_when_a_person_adopts_the_root(stage: Stage) -> None:
    """Both kinds of item, and nothing is acted on before (S1: history unknown, S23)."""
    stage.write("v0.jpg", b"0")
    stage.write("k0.jpg", b"0")
    stage.pair()
    taken(stage, victim="v0.jpg", keeper="k0.jpg")
    taken(stage, "move")
    shutil.rmtree(stage.state)
    stage.state.mkdir()
    stage.write("v1.jpg", b"1")
    stage.write("k1.jpg", b"1")
    with stage.hand("move") as hand:
        assert hand.executor.take(stage.command("v1.jpg", "k1.jpg", action="move")).code == "not-adopted"
        assert hand.bench.ownership.adopt("photos") == 2
        assert sorted(item.record.origin.rel for item in hand.held()) == [b"a/victim.jpg", b"v0.jpg"]
        assert len(hand.restoring.restore(hand.held()).back) == 2
        again = stage.command("v1.jpg", "k1.jpg", action="move", decision_id="2")
        assert hand.executor.take(again).outcome == "moved"
    assert contents_in(stage.root() / "a", stage.root() / "b") == {b"the same picture": 2}
    assert (stage.root() / "v0.jpg").read_bytes() == b"0"


# ---- folders (S25) ----------------------------------------------------------------------------------------------


def emptied(stage: Stage, **settings: Any) -> Hand:
    stage.write("deep/down/here/v.jpg", b"x")
    stage.write("k.jpg", b"x")
    for name in ("deep", "deep/down", "deep/down/here"):
        (stage.root() / name).chmod(0o750)
    with stage.hand(remove_empty_folders=True, **settings) as hand:
        assert hand.executor.take(stage.command("deep/down/here/v.jpg", "k.jpg")).item_id
    return hand


def test_s25_folders_that_an_act_emptied_go_and_come_back_with_their_attributes(stage: Stage) -> None:
    emptied(stage)
    assert not (stage.root() / "deep").exists()
    with stage.hand() as hand:
        gone = [u.message.folder.path for u in hand.bench.journal.unsaid() if hasattr(u.message, "folder")]
    assert gone == ["deep/down/here", "deep/down", "deep"]
    assert len(restore(stage, since=0.0).back) == 1
    assert (stage.root() / "deep/down/here/v.jpg").read_bytes() == b"x"
    assert {(stage.root() / n).stat().st_mode & 0o777 for n in ("deep", "deep/down", "deep/down/here")} == {0o750}


def test_s25_without_the_setting_empty_folders_stay(stage: Stage) -> None:
    stage.pair()
    taken(stage)
    assert (stage.root() / "a").is_dir()


def test_s25_a_folder_with_anything_left_or_the_root_itself_stays(stage: Stage) -> None:
    stage.write("deep/other.txt")
    emptied(stage)
    assert (stage.root() / "deep").is_dir()
    assert not (stage.root() / "deep/down").exists()


def test_s25_folders_that_were_empty_before_stay(stage: Stage) -> None:
    (stage.root() / "deep" / "was empty").mkdir(parents=True)
    emptied(stage)
    assert (stage.root() / "deep" / "was empty").is_dir()

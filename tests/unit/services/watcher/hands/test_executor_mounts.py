"""Acts where mounts meet: nested ones, targets elsewhere, pools, and file systems without a safe rename. (S4, S10, S11)"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from tests.support.executing import Stage, at_step, contents_in, photos_in
from tests.support.filesystems import mount, mounted

SAME = b"the same picture"


def nested(stack: contextlib.ExitStack, stage: Stage) -> None:
    """``a`` of the root is a mount of its own."""
    folder = stage.folder / "fs"
    folder.mkdir()
    place = stack.enter_context(mounted("tmpfs", folder))
    (stage.root() / "a").mkdir()
    mount(stack, stage.root() / "a", "mount", "--bind", place.folder, stage.root() / "a")


def test_s10_a_victim_on_a_nested_mount_is_set_aside_on_that_mount_and_found_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with contextlib.ExitStack() as stack:
        nested(stack, stage)
        stage.write("a/deep/victim.jpg", SAME)
        stage.write("b/keeper.jpg", SAME)
        with stage.hand() as hand:
            done = hand.executor.take(stage.command("a/deep/victim.jpg"))
            assert done.outcome == "quarantined", done.explanation
            assert done.where is not None
            assert Path(done.where).is_relative_to(stage.root() / "a" / ".photosift" / "quarantine")
        for path in stage.state.iterdir():
            path.unlink() if path.is_file() else None
        with stage.hand() as hand:  # the journal is lost: the pointer in the root leads to the item
            assert hand.bench.ownership.adopt("photos") == 1
            assert len(hand.restoring.restore(hand.held()).back) == 1
        assert (stage.root() / "a/deep/victim.jpg").read_bytes() == SAME


def test_s10_a_move_from_a_nested_mount_is_copied_and_verified(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with contextlib.ExitStack() as stack:
        nested(stack, stage)
        stage.pair(SAME)
        (stage.root() / "a/victim.jpg").chmod(0o604)
        with stage.hand("move") as hand:
            done = hand.executor.take(stage.command(action="move"))
            assert done.outcome == "moved", done.explanation
        moved = stage.target / "photos/a/victim.jpg"
        assert (moved.read_bytes(), moved.stat().st_mode & 0o777) == (SAME, 0o604)
        assert photos_in(stage.root() / "a") == []
        with stage.hand("move") as hand:
            assert len(hand.restoring.restore(hand.held()).back) == 1
        assert contents_in(stage.root(), stage.target) == {SAME: 2}


def test_s8_a_keeper_lost_while_its_victim_was_copied_brings_it_back(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with contextlib.ExitStack() as stack:
        nested(stack, stage)
        victim, keeper = stage.pair(SAME)
        with stage.hand("move", fault=at_step("execute:before-second-look", keeper.unlink)) as hand:
            done = hand.executor.take(stage.command(action="move"))
        assert (done.outcome, done.code) == ("undone", "keeper-gone")
        assert victim.read_bytes() == SAME
        assert photos_in(stage.target, stage.root() / "a" / ".photosift") == []
        assert list((stage.target / ".photosift/records").iterdir()) == []


def test_s11_a_target_in_memory_is_refused_unless_the_root_lies_there_too(tmp_path: Path) -> None:
    folder = tmp_path / "fs"
    folder.mkdir()
    with mounted("tmpfs", folder) as place:
        (tmp_path / "1").mkdir()
        stage = Stage(tmp_path / "1", paths={"target": place.folder / "target"})
        stage.pair()
        with stage.hand("move") as hand:
            assert hand.executor.take(stage.command(action="move")).code == "target-volatile"
        assert not stage.target.exists(), "what was made for it is taken back"
        (tmp_path / "2").mkdir()
        paths = {"photos": place.folder / "photos", "target": place.folder / "target"}
        stage = Stage(tmp_path / "2", paths=paths)
        stage.pair()
        with stage.hand("move") as hand:
            assert hand.executor.take(stage.command(action="move")).outcome == "moved"


def test_s14_a_target_that_was_used_and_is_not_there_is_not_made_anew(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.pair()
    with stage.hand("move") as hand:
        assert hand.executor.take(stage.command(action="move")).outcome == "moved"
    stage.target.rename(tmp_path / "unmounted")
    stage.write("v.jpg", b"x")
    stage.write("k.jpg", b"x")
    with stage.hand("move") as hand:
        assert hand.executor.take(stage.command("v.jpg", "k.jpg", action="move")).code == "target-not-there"
        stage.target.mkdir()  # the empty mount point
        again = stage.command("v.jpg", "k.jpg", action="move", decision_id="2")
        assert hand.executor.take(again).code == "target-changed"
        person = stage.command("v.jpg", "k.jpg", action="move", decision_id="3", confirmed=True)
        assert hand.executor.take(person).outcome == "moved"


@pytest.mark.parametrize("kind", ["xfs", "btrfs", "overlay", "exfat", "ntfs", "mergerfs", "bindfs"])
@pytest.mark.parametrize("action", ["delete", "move"])
def test_s10_acts_undoings_and_restores_on_every_file_system(tmp_path: Path, kind: str, action: str) -> None:
    (tmp_path / "fs").mkdir()
    with mounted(kind, tmp_path / "fs") as place:
        stage = Stage(tmp_path, paths={"photos": place.folder / "photos"})
        victim, keeper = stage.pair(SAME)
        with stage.hand(action, fault=at_step("execute:before-look-again", keeper.unlink)) as hand:
            done = hand.executor.take(stage.command(action=action))
            assert (done.outcome, done.code) == ("undone", "keeper-gone"), done.explanation
        assert contents_in(stage.root(), stage.target) == {SAME: 1}
        stage.pair(SAME) if not victim.exists() else stage.write("b/keeper.jpg", SAME)
        with stage.hand(action) as hand:
            done = hand.executor.take(stage.command(action=action, decision_id="2"))
            assert done.outcome in ("moved", "quarantined"), done.explanation
            assert contents_in(stage.root(), stage.target) == {SAME: 2}
            assert len(hand.restoring.restore(hand.held()).back) == 1
        assert victim.read_bytes() == SAME
        assert contents_in(stage.root(), stage.target) == {SAME: 2}


def test_s4_equal_files_on_a_pool_and_its_branch_that_are_really_one_are_never_taken(tmp_path: Path) -> None:
    """One root, with a bind mount through FUSE inside it: names, devices and inodes differ, and it is one file."""
    stage = Stage(tmp_path)
    stage.write("source/v.jpg", SAME)
    with contextlib.ExitStack() as stack:
        (stage.root() / "view").mkdir()
        mount(stack, stage.root() / "view", "bindfs", stage.root() / "source", stage.root() / "view")
        with stage.hand() as hand:
            done = hand.executor.take(stage.command("view/v.jpg", "source/v.jpg"))
            assert (done.outcome, done.code) == ("refused", "maybe-one-file")
        assert os.listdir(stage.root() / "source") == ["v.jpg"]


def test_s4_equal_files_on_two_mounts_that_are_really_two_may_be_taken(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.write("source/v.jpg", SAME)
    keeper = stage.write("elsewhere/v.jpg", SAME)
    with contextlib.ExitStack() as stack:
        (stage.root() / "view").mkdir()
        mount(stack, stage.root() / "view", "bindfs", stage.root() / "source", stage.root() / "view")
        times = keeper.stat()
        os.utime(stage.root() / "source/v.jpg", ns=(times.st_atime_ns, times.st_mtime_ns))
        with stage.hand() as hand:
            done = hand.executor.take(stage.command("view/v.jpg", "elsewhere/v.jpg"))
            assert done.outcome == "quarantined", done.explanation
        assert contents_in(stage.root() / "source", stage.root() / "elsewhere") == {SAME: 2}

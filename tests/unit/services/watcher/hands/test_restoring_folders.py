"""Folders come back as they were, also without the journal that knew them. (S11, S25)"""

from __future__ import annotations

import os
import shutil
import signal
import struct
from pathlib import Path

import pytest

from tests.support.executing import DAY, Stage

#: owner, group and others as by 0o750, and one named user more
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 7, 0xFFFFFFFF), (2, 5, 1234), (4, 5, 0xFFFFFFFF), (16, 5, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF))
)
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
NAMES = ("deep", "deep/down")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    for n in range(3):
        stage.write(f"deep/down/v{n}.jpg", b"%d" % n)
        stage.write(f"k{n}.jpg", b"%d" % n)
    for n, name in enumerate(NAMES):
        folder = stage.root() / name
        if os.geteuid() == 0:
            os.chown(folder, 1000 + n, 2000 + n)
        folder.chmod(0o2750)
        os.setxattr(folder, "user.note", b"album %d" % n)
        os.setxattr(folder, "system.posix_acl_access", ACL)
        os.setxattr(folder, "system.posix_acl_default", ACL)
    for n, name in enumerate(NAMES):
        os.utime(stage.root() / name, ns=(10**18 + n, 10**18 + 2 * n))
    return stage


def looks(stage: Stage) -> list[tuple[object, ...]]:
    found = []
    for name in NAMES:
        folder = stage.root() / name
        s = folder.stat()
        xattrs = {key: os.getxattr(folder, key) for key in os.listxattr(folder)}
        found.append((name, s.st_uid, s.st_gid, s.st_mode, s.st_mtime_ns, xattrs))
    return found


def take_all(stage: Stage, action: str = "delete", numbers: tuple[int, ...] = (0, 1, 2)) -> None:
    with stage.hand(action, remove_empty_folders=True) as hand:
        for n in numbers:
            command = stage.command(f"deep/down/v{n}.jpg", f"k{n}.jpg", action=action)
            assert hand.executor.take(command).item_id is not None
            stage.clock.at += 1


def lose_the_journal(stage: Stage) -> None:
    shutil.rmtree(stage.state)
    stage.state.mkdir()


def restore_all(stage: Stage, action: str = "delete") -> int:
    with stage.hand(action) as hand:
        return len(hand.restoring.restore(hand.held()[::-1]).back)


@pytest.mark.parametrize("action", ["delete", "move"])
def test_s25_folders_come_back_with_all_they_had_before_the_first_act(stage: Stage, action: str) -> None:
    before = looks(stage)
    take_all(stage, action)
    assert not (stage.root() / "deep").exists()
    assert restore_all(stage, action) == 3
    assert looks(stage) == before


def test_s25_folders_come_back_with_all_they_had_before_the_first_act_also_after_a_restart_between_the_acts(
    stage: Stage,
) -> None:
    before = looks(stage)
    take_all(stage, numbers=(0,))
    take_all(stage, numbers=(1,))
    take_all(stage, numbers=(2,))
    assert restore_all(stage) == 3
    assert looks(stage) == before


@pytest.mark.parametrize("action", ["delete", "move"])
def test_s11_s25_folders_come_back_with_all_they_had_after_the_journal_was_lost(stage: Stage, action: str) -> None:
    before = looks(stage)
    take_all(stage, action)
    lose_the_journal(stage)
    with stage.hand(action) as hand:
        assert hand.bench.ownership.adopt("photos") == 3
    assert restore_all(stage, action) == 3
    assert looks(stage) == before


def test_s25_each_of_several_items_knows_the_folders_by_itself(stage: Stage) -> None:
    """The journal is lost, and only the first of three is wanted back."""
    before = looks(stage)
    take_all(stage)
    lose_the_journal(stage)
    with stage.hand() as hand:
        hand.bench.ownership.adopt("photos")
        (first,) = [item for item in hand.held() if item.record.origin.name == b"v0.jpg"]
        assert len(hand.restoring.restore([first]).back) == 1
    assert looks(stage) == before


def test_s25_a_folder_that_somebody_made_again_keeps_what_it_got(stage: Stage) -> None:
    take_all(stage)
    (stage.root() / "deep").mkdir(mode=0o700)
    restore_all(stage)
    assert (stage.root() / "deep").stat().st_mode & 0o7777 == 0o700
    assert (stage.root() / "deep/down").stat().st_mode & 0o7777 == 0o2750


def test_s25_what_another_program_did_to_a_folder_between_two_acts_is_kept(stage: Stage) -> None:
    with stage.hand(remove_empty_folders=True) as hand:
        hand.executor.take(stage.command("deep/down/v0.jpg", "k0.jpg"))
        os.utime(stage.root() / "deep/down", ns=(5, 7))
        (stage.root() / "deep/down").chmod(0o700)
        for n in (1, 2):
            hand.executor.take(stage.command(f"deep/down/v{n}.jpg", f"k{n}.jpg"))
    restore_all(stage)
    found = (stage.root() / "deep/down").stat()
    assert (found.st_mtime_ns, found.st_mode & 0o7777) == (7, 0o700)


@NEEDS_ROOT
@pytest.mark.parametrize("step", ["restore:before-result", "restore:before-folders", "attributes:before"])
def test_s12_s25_a_restore_that_was_killed_half_way_still_gives_folders_what_they_had(stage: Stage, step: str) -> None:
    before = looks(stage)
    take_all(stage)
    child = os.fork()
    if child == 0:
        try:
            with stage.hand(fault=lambda now: os.kill(os.getpid(), signal.SIGKILL) if now == step else None) as hand:
                hand.restoring.restore(hand.held())
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    with stage.hand() as hand:
        hand.recovery.settle_all()
        assert {item.state for item in hand.bench.items.in_state("held", "restoring", "restored")} <= {
            "held",
            "restored",
        }
        hand.restoring.restore(hand.held())
    assert looks(stage)[0] == before[0]
    assert looks(stage)[1][:4] == before[1][:4]


def test_records_of_an_earlier_version_go_home_into_plain_folders(stage: Stage) -> None:
    take_all(stage)
    lose_the_journal(stage)
    for record in (stage.root() / ".photosift/quarantine").glob("*/record.json"):
        text = record.read_text()
        at = text.index('"folders":')
        record.write_text(text[:at] + text[text.index('"taken_at":', at) :])
    with stage.hand() as hand:
        assert hand.bench.ownership.adopt("photos") == 3
    stage.clock.at += DAY
    assert restore_all(stage) == 3
    assert (stage.root() / "deep/down/v0.jpg").read_bytes() == b"0"

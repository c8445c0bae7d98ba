"""Attacks that once worked: ways to lose a photo, or to act where nobody allowed it. Each stays shut. (S6, S7, S11, S22-S24)"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from services import standalone
from services.terminal import ApplyChoice, ApplyCount, SilentProgress
from services.watcher.hands.executor import Executor
from services.watcher.hands.sight import Sight
from shared.config import Root, Settings, Watch
from tests.support.executing import DAY, NOW, Stage, contents_in
from tests.support.filesystems import mount
from tests.support.photos import jpeg, scene
from tests.support.program import end, running


@pytest.mark.parametrize("mark", [".stfolder", ".sync", "._sync_4f.db", "digikam4.db"])
def test_s24_a_root_inside_a_folder_that_another_program_manages_is_proposed_only(tmp_path: Path, mark: str) -> None:
    stage = Stage(tmp_path, paths={"photos": tmp_path / "Sync" / "Phone" / "photos"})
    stage.pair()
    (tmp_path / "Sync" / mark).mkdir()
    with stage.hand() as hand:
        result = hand.executor.take(stage.command())
    assert (result.outcome, result.code) == ("refused", "managed-folder"), result.explanation


def test_s24_a_root_inside_a_photo_library_is_proposed_only(tmp_path: Path) -> None:
    stage = Stage(tmp_path, paths={"photos": tmp_path / "Mine.photoslibrary" / "originals"})
    stage.pair()
    with stage.hand() as hand:
        result = hand.executor.take(stage.command())
    assert (result.outcome, result.code) == ("refused", "managed-folder"), result.explanation


def test_s24_a_link_to_a_root_hides_no_manager(tmp_path: Path) -> None:
    real = tmp_path / "Sync" / "photos"
    real.mkdir(parents=True)
    (tmp_path / "Sync" / ".stfolder").mkdir()
    (tmp_path / "link").symlink_to(real)
    stage = Stage(tmp_path, paths={"photos": tmp_path / "link"})
    stage.pair()
    with stage.hand() as hand:
        result = hand.executor.take(stage.command())
    assert (result.outcome, result.code) == ("refused", "managed-folder"), result.explanation


@pytest.mark.parametrize("inside", ["target/Pictures", "Pictures/.photosift/quarantine", "Pictures/#recycle/2024"])
def test_s22_a_root_that_lies_in_a_target_quarantine_or_trash_has_nothing_live(tmp_path: Path, inside: str) -> None:
    (tmp_path / "target" / ".photosift").mkdir(parents=True)
    (tmp_path / "target" / ".photosift" / "target.json").write_text('{"id": "x", "kind": "photosift target"}')
    stage = Stage(
        tmp_path,
        roles={"photos": "library", "other": "library"},
        paths={"other": tmp_path / inside, "target": tmp_path / "elsewhere"},
        settings={"deduplication": {"across_roots": True}},
    )
    stage.write("a/victim.jpg", b"picture")
    stage.write("copy.jpg", b"picture", root="other")
    stage.write("copy2.jpg", b"picture", root="other")
    with stage.hand() as hand:
        as_keeper = hand.executor.take(stage.command("a/victim.jpg", "copy.jpg", keeper_root="other"))
        as_victim = hand.executor.take(
            stage.command("copy2.jpg", "copy.jpg", victim_root="other", keeper_root="other", decision_id="2")
        )
    assert (as_keeper.outcome, as_keeper.code) == ("refused", "not-live"), as_keeper.explanation
    assert (as_victim.outcome, as_victim.code) == ("refused", "not-live"), as_victim.explanation


@pytest.mark.parametrize(
    ("picture", "raw"),
    [
        ("day/JPG/IMG_1.JPG", "day/RAW/IMG_1.CR2"),
        ("day/IMG_1.jpg", "day/raw/IMG_1.dng"),
        ("day/jpeg/IMG_1.jpg", "day/IMG_1.nef"),
        ("day/RAW/IMG_1.CR2", "day/JPG/IMG_1.JPG"),
        ("JPG/IMG_1.JPG", "RAW/IMG_1.CR2"),
    ],
)
def test_s7_raw_and_jpeg_in_folders_of_their_own_are_a_unit(tmp_path: Path, picture: str, raw: str) -> None:
    stage = Stage(tmp_path)
    stage.write(picture, b"picture")
    stage.write(raw, b"raw")
    stage.write("copies/other.jpg", b"picture")
    with stage.hand() as hand:
        result = hand.executor.take(stage.command(picture, "copies/other.jpg"))
    assert (result.outcome, result.code) == ("refused", "part-of-a-unit"), result.explanation


def test_s11_what_was_changed_in_quarantine_is_the_last_copy_and_stays(tmp_path: Path) -> None:
    stage = Stage(tmp_path, settings={"retention_days": 1})
    stage.pair()
    with stage.hand() as hand:
        assert hand.executor.take(stage.command()).outcome == "quarantined"
        [item] = hand.held()
        lies_at = stage.root() / os.fsdecode(item.record.place_rel)
        lies_at.write_bytes(b"edited there, and nowhere else")
        for day in range(4):
            stage.clock.at = NOW + day * DAY
            hand.removal.note_today()
        done = hand.removal.remove_due()
    assert contents_in(stage.root())[b"edited there, and nowhere else"] == 1
    assert (done.removed, len(done.last_copies)) == (0, 1)


@pytest.mark.parametrize("name", ["owner.json", "owner.lock"])
@pytest.mark.timeout(20)
def test_s23_a_fifo_in_place_of_the_owner_stops_no_executor(tmp_path: Path, name: str) -> None:
    stage = Stage(tmp_path)
    stage.pair()
    (stage.root() / ".photosift").mkdir()
    os.mkfifo(stage.root() / ".photosift" / name)
    with stage.hand() as hand:
        result = hand.executor.take(stage.command())
    assert (result.outcome, result.code) == ("refused", "not-the-owner"), result.explanation


def test_s24_a_folder_allowed_by_name_inside_a_managed_one_may_be_acted_in(tmp_path: Path) -> None:
    stage = Stage(tmp_path, paths={"photos": tmp_path / "Sync" / "photos"})
    stage.pair()
    stage.write("other/victim.jpg", b"the same picture")
    (tmp_path / "Sync" / ".stfolder").mkdir()
    with stage.hand() as hand:
        hand.bench.counters.allow("photos", b"a", NOW)
        allowed = hand.executor.take(stage.command())
        beside = hand.executor.take(stage.command("other/victim.jpg"))
    assert allowed.outcome == "quarantined", allowed.explanation
    assert beside.code == "managed-folder", beside.explanation


def test_s24_a_synchroniser_inside_an_allowed_folder_is_not_allowed_with_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.pair()
    stage.write("a/inner/victim.jpg", b"the same picture")
    (stage.root() / "a" / "inner" / ".stfolder").mkdir()
    with stage.hand() as hand:
        hand.bench.counters.allow("photos", b"a", NOW)
        result = hand.executor.take(stage.command("a/inner/victim.jpg"))
    assert result.code == "managed-folder", result.explanation


@pytest.mark.parametrize("mark", ["Sync/.stfolder", "Sync/photos/.stfolder"])
def test_s24_a_word_for_the_whole_root_opens_no_synchronised_folder_inside(tmp_path: Path, mark: str) -> None:
    stage = Stage(tmp_path, paths={"photos": tmp_path / "Sync" / "photos"})
    stage.pair()
    stage.write("a/inner/victim.jpg", b"the same picture")
    (tmp_path / mark).mkdir()
    (stage.root() / "a" / "inner" / ".stfolder").mkdir()
    with stage.hand() as hand:
        hand.bench.counters.allow("photos", b"", NOW)
        inner = hand.executor.take(stage.command("a/inner/victim.jpg"))
        outer = hand.executor.take(stage.command())
    assert inner.code == "managed-folder", inner.explanation
    assert outer.outcome == "quarantined", outer.explanation


def test_s6_a_batch_that_was_stopped_does_not_go_on_with_another_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    victim, _ = stage.pair()
    with stage.hand() as hand:
        executor = Executor(hand.bench, lambda command: command.batch_id == "asked for now")
        stopped = executor.take(stage.command(confirmed=True))
        assert (stopped.outcome, stopped.code) == ("refused", "batch-stopped")
        assert victim.exists() and not (stage.root() / ".photosift").exists(), "no root is even claimed"
        now = executor.take(stage.command(confirmed=True, batch_id="asked for now", decision_id="again"))
        assert now.outcome == "quarantined", now.explanation


@pytest.mark.timeout(120)
async def test_s6_after_a_stopped_scan_nothing_is_moved_before_the_person_is_asked_again(tmp_path: Path) -> None:
    photos, target, state = tmp_path / "Pictures", tmp_path / "Duplicates", tmp_path / "state"
    (photos / "copies").mkdir(parents=True)
    for n in range(120):
        for path in (photos / f"{n}.jpg", photos / "copies" / f"{n}.jpg"):
            path.write_bytes(jpeg(scene(n, (96, 72))))
    await asyncio.to_thread(stopped_at, 10, photos, target, state)
    moved = len(list(target.rglob("*.jpg")))
    assert moved < 120
    settings = Settings(
        roots=(Root(name="Pictures", path=photos),),
        action="move",
        target=target,
        state_dir=state,
        watch=Watch(settle_seconds=0),
    )
    asked: list[int] = []

    def no(count: ApplyCount) -> bool:
        asked.append(len(list(target.rglob("*.jpg"))))
        return False

    choice = ApplyChoice(action="move", classes=("same-bytes",), agreed=False)
    await standalone.scan(settings, apply=choice, progress=SilentProgress(), ask=no, stop=asyncio.Event())
    # an act that was under way at the moment of the signal may be finished; what was only asked for is not begun
    assert len(asked) == 1 and asked[0] <= moved + 1
    assert len(list(target.rglob("*.jpg"))) == asked[0]


def stopped_at(count: int, photos: Path, target: Path, state: Path) -> None:
    """``scan --apply`` of everything, ended like by Ctrl-C once so many files were moved."""
    with running(
        "scan", photos, "--apply", "move", "--target", target, "--yes", state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0"
    ) as process:
        while process.poll() is None and len(list(target.rglob("*.jpg"))) < count:
            time.sleep(0.005)
        end(process, signal.SIGKILL)


def test_s1_after_a_lost_journal_no_look_alike_is_taken_that_may_stand_for_others(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.write("a.jpg", b"first")
    stage.write("b.jpg", b"look-alike of the first")
    similar = {"match_class": "similar", "distance": 0.09, "confirmed": True, "action": "move"}
    with stage.hand("move") as hand:
        assert hand.executor.take(stage.command("a.jpg", "b.jpg", **similar)).outcome == "moved"
    # the state folder is lost, and so is the target: nobody remembers what b.jpg stands for
    stage.paths["target"] = tmp_path / "another target"
    stage.write("c.jpg", b"look-alike of b, not of a")
    stage.write("d.jpg", b"look-alike of b, not of a")
    stage.write("new/e.jpg", b"came later")
    known = Sight(known_since=lambda path: NOW + 9 if path.rel == b"new/e.jpg" else NOW - 9, files_in=lambda _: 9_999)
    with stage.hand("move", state=tmp_path / "new state", sight=known) as hand:
        result = hand.executor.take(stage.command("b.jpg", "c.jpg", **similar))
        assert (result.outcome, result.code) == ("refused", "history-unknown"), result.explanation
        exact = hand.executor.take(stage.command("d.jpg", "c.jpg", action="move", confirmed=True))
        assert exact.outcome == "moved", "the very same bytes stand for all that these stood for"
        late = stage.command("new/e.jpg", "c.jpg", **similar)
        late = late.model_copy(update={"victim": late.victim.model_copy(update={"ctime_ns": int((NOW + 9) * 1e9)})})
        assert hand.executor.take(late).code != "history-unknown", "a file that came later stands for nothing"
    with stage.hand("move", state=tmp_path / "new state", sight=known) as hand:
        again = hand.executor.take(stage.command("b.jpg", "c.jpg", **similar, decision_id="later"))
        assert again.code == "history-unknown", "a restart forgets nothing"


@pytest.mark.parametrize("role", ["reference", "backup"])
def test_s22_a_bind_mount_of_a_protected_root_lifts_no_protection(tmp_path: Path, role: str) -> None:
    stage = Stage(tmp_path, roles={"photos": "library", "master": role})
    for name in ("victim.jpg", "keeper.jpg"):
        stage.write(f"2020/{name}", b"picture", root="master")
    with contextlib.ExitStack() as stack:
        shown = stage.root() / "shown"
        shown.mkdir()
        mount(stack, shown, "mount", "--bind", stage.root("master") / "2020", shown)
        with stage.hand() as hand:
            result = hand.executor.take(stage.command("shown/victim.jpg", "shown/keeper.jpg"))
    assert (result.outcome, result.code) == ("refused", "not-live"), result.explanation

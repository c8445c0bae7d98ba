"""Attacks that once worked: ways to lose a photo, or to act where nobody allowed it. Each stays shut. (S7, S11, S22, S24)"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.watcher.counters import Counters
from shared.messages.base import FileRef
from tests.support.executing import DAY, NOW, Stage, contents_in


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

"""Every file is in the outcome, whatever was interrupted, lost or set otherwise in between (S16, S18)."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.support.photos import small_library, write_photo
from tests.support.program import PHOTOSIFT, environment, scan

AT_ONCE = {"PHOTOSIFT_WATCH__SETTLE_SECONDS": "0"}


def listed(report: dict) -> set[str]:
    """The names of all files in a report."""
    in_groups = [[g["keeper"]["path"], *(d["path"] for d in g["duplicates"])] for g in report["groups"]]
    others = [each["path"] for key in ("unreadable", "skipped") for each in report[key]]
    return {Path(path).name for path in [*report["unique"], *others, *(p for group in in_groups for p in group)]}


def rows(state: Path, question: str) -> list[tuple]:
    """Asked of the index, beside the program."""
    with contextlib.closing(sqlite3.connect(state / "analyser/index/index.sqlite")) as db, db:
        return db.execute(question).fetchall()


def interrupted(folder: Path, state: Path) -> None:
    """A scan that a person ends with Ctrl-C when a few files are analysed."""
    process = subprocess.Popen(
        [PHOTOSIFT, "scan", folder, "-t", "1"],
        env=environment(state, **AT_ONCE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(sqlite3.OperationalError):
                if rows(state, "SELECT count(*) FROM files")[0][0] >= 3:
                    break
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 3, "stopped before its end"
    finally:
        process.kill()
        process.wait()


def test_s16_a_scan_that_was_stopped_goes_on_also_after_another_folder_was_scanned_in_between(tmp_path: Path) -> None:
    first, second, state = tmp_path / "First", tmp_path / "Second", tmp_path / "state"
    for n in range(60):
        write_photo(first / f"{n:03}.jpg", n, size=(1200, 900))
    small_library(second)
    interrupted(first, state)
    assert len(listed(scan(second, state=state, **AT_ONCE))) > 5
    assert listed(scan(first, state=state, **AT_ONCE)) == {f"{n:03}.jpg" for n in range(60)}


def test_s16_what_the_index_has_lost_is_in_the_outcome_of_the_next_scan(tmp_path: Path) -> None:
    photos, state = tmp_path / "Pictures", tmp_path / "state"
    small_library(photos)
    before = listed(scan(photos, state=state, **AT_ONCE))
    rows(state, "DELETE FROM files WHERE rel IN (X'3030322e6a7067', X'3030332e6a7067')")  # 002.jpg, 003.jpg
    assert listed(scan(photos, state=state, **AT_ONCE)) == before >= {"002.jpg", "003.jpg"}


def test_s18_a_watcher_that_was_put_back_a_week_forgets_what_came_and_went_in_between(tmp_path: Path) -> None:
    photos, state = tmp_path / "Pictures", tmp_path / "state"
    small_library(photos)
    before = listed(scan(photos, state=state, **AT_ONCE))
    shutil.copytree(state / "watcher", tmp_path / "last week")
    write_photo(photos / "passing.jpg", 77)
    assert "passing.jpg" in listed(scan(photos, state=state, **AT_ONCE))
    (photos / "passing.jpg").unlink()
    shutil.rmtree(state / "watcher")
    shutil.copytree(tmp_path / "last week", state / "watcher")
    assert listed(scan(photos, state=state, **AT_ONCE)) == before


def test_s17_a_picture_that_was_too_large_is_looked_at_again_when_the_limit_is_raised(tmp_path: Path) -> None:
    photos, state = tmp_path / "Pictures", tmp_path / "state"
    photos.mkdir()
    Image.new("RGB", (5000, 5000), "teal").save(photos / "large.png")
    refused = scan(photos, state=state, **AT_ONCE, PHOTOSIFT_ANALYSIS__MEMORY_MB="64")
    assert [each["reason"] for each in refused["unreadable"]] == ["too-large"]
    again = scan(photos, state=state, **AT_ONCE, PHOTOSIFT_ANALYSIS__MEMORY_MB="64")
    assert [each["reason"] for each in again["unreadable"]] == ["too-large"]
    assert scan(photos, state=state, **AT_ONCE)["unreadable"] == []


@pytest.mark.parametrize("lost", ["watcher", "nats", "resolver", "analyser"])
def test_s16_s18_with_any_part_of_the_state_folder_lost_the_outcome_is_the_same(lost: str, tmp_path: Path) -> None:
    photos, state = tmp_path / "Pictures", tmp_path / "state"
    small_library(photos)
    before = scan(photos, state=state, **AT_ONCE)
    shutil.rmtree(state / lost)
    after = scan(photos, state=state, **AT_ONCE)
    assert listed(after) == listed(before)
    assert [g["keeper"] for g in after["groups"]] == [g["keeper"] for g in before["groups"]]

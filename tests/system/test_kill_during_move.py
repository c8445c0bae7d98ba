"""kill -9 of the all-in-one during a move of 500 files: afterwards every file is in exactly one place, and none is lost."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.support.photos import jpeg, scene
from tests.support.program import PHOTOSIFT, environment, scan

PAIRS = 500
KILLS = 3


def library(folder: Path) -> Counter[bytes]:
    """``PAIRS`` small photos, each with an exact copy; returns how often each content is there."""
    (folder / "copies").mkdir(parents=True)
    for n in range(PAIRS):
        content = jpeg(scene(n, (96, 72)))
        (folder / f"{n:04}.jpg").write_bytes(content)
        (folder / "copies" / f"{n:04}.jpg").write_bytes(content)
    return everything(folder)


def everything(*folders: Path) -> Counter[bytes]:
    """Every photo anywhere below, photosift's own folders included (its records are not photos)."""
    found: Counter[bytes] = Counter()
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix != ".json" and path.read_bytes()[:2] == b"\xff\xd8":
                found[path.read_bytes()] += 1
    return found


def killed_when(state: Path, photos: Path, target: Path, moved: int) -> bool:
    """Start the move and kill it once so many files lie in the target; False when it was over before."""
    process = subprocess.Popen(
        [PHOTOSIFT, "scan", photos, "--apply", "move", "--target", target, "--yes"],
        env=environment(state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    below = target / photos.name
    try:
        while process.poll() is None:
            if sum(1 for _ in below.rglob("*.jpg")) >= moved:
                process.send_signal(signal.SIGKILL)
                process.wait(30)
                return True
    finally:
        process.kill()
        process.wait()
    return False


@pytest.mark.timeout(300)
def test_s12_after_kill_9_during_a_move_of_500_files_each_is_in_exactly_one_place(tmp_path: Path) -> None:
    photos, target, state = tmp_path / "Pictures", tmp_path / "Duplicates", tmp_path / "state"
    before = library(photos)
    for n in range(1, KILLS + 1):
        assert killed_when(state, photos, target, n * PAIRS // (KILLS + 1))
        after = everything(photos, target)
        assert not before - after, "nothing is lost"
    options = ("--apply", "move", "--target", str(target), "--yes")
    report = scan(photos, state=state, options=options, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    assert everything(photos, target) == before, "every file is in exactly one place"
    assert everything(target / photos.name).total() == PAIRS, report["counts"]
    assert set(everything(target / photos.name)) == set(before), "of every pair one went and one stayed"

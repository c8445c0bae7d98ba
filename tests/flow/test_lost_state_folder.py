"""A state folder that was lost: what is said, and how everything comes back from the records beside it. (S11, S12)"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.program import files_below, photosift, running, scan, until


def moved(photos: Path, state: Path) -> Path:
    """Move the exact copies, and lose the state folder. Returns the target."""
    target = state.parent / "Duplicates"
    options = ("--apply", "move", "--target", str(target), "--yes")
    scan(photos, state=state, options=options, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    shutil.rmtree(state)
    return target


def test_s11_what_was_moved_comes_back_after_the_state_folder_was_lost(photos: Path, state: Path) -> None:
    before = files_below(photos)
    target = moved(photos, state)
    assert len(files_below(target)) == 2

    said = photosift("restore", "--since", "1h", state=state).stdout
    assert "this state folder remembers nothing that was taken" in said
    assert "photosift adopt ROOT --target DIR" in said
    assert "adopt brings back" in photosift("restore", photos / "copies" / "001.jpg", state=state, expect=2).stderr

    adopted = photosift("adopt", photos, "--target", target, state=state).stdout
    assert "2 items were read back from their records" in adopted
    assert "2 files are back" in photosift("restore", "--since", "1h", state=state).stdout
    assert files_below(photos) == before
    assert files_below(target) == {}


def test_s11_what_went_into_quarantine_comes_back_too(photos: Path, state: Path) -> None:
    before = files_below(photos)
    options = ("--apply", "delete", "--allow-delete", "--yes")
    scan(photos, state=state, options=options, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    shutil.rmtree(state)
    photosift("adopt", photos, state=state)
    photosift("restore", "--since", "1h", state=state)
    assert files_below(photos) == before


def test_a_root_that_had_another_name_is_told_which_one(photos: Path, state: Path) -> None:
    target = moved(photos, state)
    other = photos.rename(photos.with_name("Renamed"))
    said = photosift("adopt", other, "--target", target, state=state).stdout
    assert "0 items were read back" in said
    assert "the target holds records of Pictures" in said
    (state.parent / "photosift.yaml").write_text(f"roots: [{{name: Pictures, path: {other}}}]\n")
    assert "2 items" in photosift("adopt", "Pictures", "--target", target, state=state).stdout


def test_s20_a_running_photosift_is_not_told_of_another_target(photos: Path, state: Path) -> None:
    target = moved(photos, state)
    with running("run", photos, state=state) as process:
        until(lambda: "watching" in (state.parent / "run.log").read_text(), process)
        said = photosift("adopt", photos, "--target", target, state=state, expect=2).stderr
    assert "stop it, or set target there" in said


@pytest.mark.parametrize("target", ["", "nowhere"])
def test_a_target_that_is_none_is_refused(photos: Path, state: Path, target: str) -> None:
    assert photosift("adopt", photos, "--target", target, state=state, expect=2).stderr.startswith(
        "photosift: --target"
    )

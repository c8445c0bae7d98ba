"""``photosift explain``: the whole story of a file, for people and as JSON, whoever took it and whatever came after."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.support.program import photosift, running, scan


def explained(path: Path, state: Path) -> str:
    return photosift("explain", path, state=state).stdout


def story(path: Path, state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(photosift("explain", path, "--format", "json", state=state).stdout)
    return found


def test_the_story_of_a_file_that_a_scan_took_and_a_person_put_back(photos: Path, state: Path) -> None:
    target, copy, keeper = state.parent / "Duplicates", photos / "copies" / "001.jpg", photos / "001.jpg"
    options = ("--apply", "move", "--target", str(target), "--yes")
    found = scan(photos, state=state, options=options, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    (batch,) = found["batches"]

    said = explained(copy, state)
    assert "Not there now: photosift took it." in said
    assert f"a copy of {keeper} (the same bytes, distance 0.000)" in said
    assert "shorter-folder-path" in said
    assert "moved aside" in said
    assert f"batch {batch}" in said
    assert f"It lies at {target}/Pictures/copies/001.jpg" in said
    assert f"photosift restore {copy}" in said
    assert not any(raw in said for raw in ("version", "False", "None", "-:")), "for people, no dump"
    (act,) = story(copy, state)["acts"]
    assert (act["batch"], act["state"], act["keeper"]) == (batch, "held", str(keeper))

    assert f"{copy} (the same bytes, distance 0.000): moved aside" in explained(keeper, state)
    (kept_for,) = story(keeper, state)["kept_for"]
    assert (kept_for["path"], kept_for["where"]) == (str(copy), f"{target}/Pictures/copies/001.jpg")

    photosift("restore", "--batch", batch, state=state)
    after = explained(copy, state)
    assert f"a copy of {keeper}" in after
    assert after.index("moved aside") < after.index("put back")
    assert "It lies at" not in after
    (act,) = story(copy, state)["acts"]
    assert act["state"] == "restored"
    assert act["at"] <= act["restored_at"] <= time.time()


def test_the_story_of_a_file_that_run_took(photos: Path, state: Path) -> None:
    target, copy = state.parent / "Duplicates", photos / "copies" / "001.jpg"
    settings = {
        "PHOTOSIFT_ACTION": "move",
        "PHOTOSIFT_TARGET": str(target),
        "PHOTOSIFT_KEEPER_AGE_SECONDS": "0",
        "PHOTOSIFT_WATCH__SETTLE_SECONDS": "0.2",
        "PHOTOSIFT_DEDUPLICATION__RULES": "shorter-folder-path",
    }
    moved = target / "Pictures" / "copies" / "001.jpg"
    with running("run", photos, state=state, **settings):
        deadline = time.monotonic() + 60
        while not moved.exists() or copy.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        while "It lies at" not in (said := explained(copy, state)):
            assert time.monotonic() < deadline
    assert f"It lies at {moved}" in said
    assert f"a copy of {photos / '001.jpg'}" in said
    assert f"photosift restore {copy}" in said


def test_what_the_records_tell_is_told_where_the_resolver_lost_its_memory(photos: Path, state: Path) -> None:
    target, copy = state.parent / "Duplicates", photos / "copies" / "001.jpg"
    options = ("--apply", "move", "--target", str(target), "--yes")
    scan(photos, state=state, options=options, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    for file in (state / "resolver").iterdir():
        file.unlink()
    said = explained(copy, state)
    assert "moved aside" in said
    assert f"It lies at {target}/Pictures/copies/001.jpg" in said


def test_a_file_that_nobody_has_seen_is_said_to_be_unknown(photos: Path, state: Path) -> None:
    scan(photos, state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    assert "Not known: no scan has seen it" in explained(photos / "nowhere.jpg", state)
    assert "No copy of it is known." in explained(photos / "005.jpg", state)

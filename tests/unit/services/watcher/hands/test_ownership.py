"""Whose root it is: one acts, the others propose, and a person can change that. (S4, S12, S23)"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.hands.ownership import NotAdopted
from services.watcher.hands.tokens import told_apart
from tests.support.executing import Stage
from tests.support.filesystems import mount, mounted, run


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.pair()
    return stage


def owner(stage: Stage) -> dict[str, object]:
    found = json.loads((stage.root() / ".photosift" / "owner.json").read_bytes())
    assert isinstance(found, dict)
    return found


def test_s23_the_first_executor_claims_and_a_second_one_only_proposes_and_says_so(stage: Stage) -> None:
    with stage.hand() as first, stage.hand(state=stage.folder / "other") as second:
        assert first.bench.ownership.why_not("photos") is None
        done = second.executor.take(stage.command())
        assert (done.outcome, done.code) == ("refused", "not-the-owner")
        assert f"process {os.getpid()}" in done.explanation
        assert owner(stage)["journal"] == first.bench.file.id


def test_s23_when_the_first_has_ended_the_root_is_still_its_own_until_a_person_adopts_it(stage: Stage) -> None:
    with stage.hand() as first:
        first.executor.take(stage.command())
    with stage.hand(state=stage.folder / "other") as second:
        stage.pair()
        assert second.executor.take(stage.command(decision_id="1")).code == "not-adopted"
        assert second.bench.ownership.adopt("photos") == 1
        assert owner(stage)["generation"] == 2
        assert second.executor.take(stage.command(decision_id="2")).outcome == "quarantined"
    with stage.hand() as first:
        stage.pair()
        assert first.executor.take(stage.command(decision_id="3")).code == "not-adopted"


def test_s23_a_root_is_adopted_only_while_its_lock_is_free(stage: Stage) -> None:
    with stage.hand() as first, stage.hand(state=stage.folder / "other") as second:
        assert first.bench.ownership.why_not("photos") is None
        with pytest.raises(NotAdopted):
            second.bench.ownership.adopt("photos")
        assert owner(stage)["journal"] == first.bench.file.id


def test_s23_a_confirmed_batch_adopts_its_roots(stage: Stage) -> None:
    with stage.hand() as first:
        first.bench.ownership.why_not("photos")
    with stage.hand(state=stage.folder / "other") as second:
        assert second.executor.take(stage.command(confirmed=True)).outcome == "quarantined"


def test_s23_a_confirmed_batch_takes_no_root_from_one_who_acts_there(stage: Stage) -> None:
    with stage.hand() as first, stage.hand(state=stage.folder / "other") as second:
        assert first.bench.ownership.why_not("photos") is None
        assert second.executor.take(stage.command(confirmed=True)).code == "not-the-owner"


def test_s12_a_journal_from_a_backup_is_older_than_the_root_and_only_proposes(stage: Stage) -> None:
    with stage.hand() as hand:
        hand.bench.ownership.why_not("photos")
    backup = stage.folder / "backup"
    shutil.copytree(stage.state, backup)
    with stage.hand() as hand:
        hand.bench.ownership.why_not("photos")
    with stage.hand(state=backup) as old:
        assert old.executor.take(stage.command()).code == "older-journal"


def test_s12_a_journal_that_does_not_know_an_item_of_its_own_root_is_older(stage: Stage) -> None:
    with stage.hand() as hand:
        hand.bench.ownership.why_not("photos")
        assert hand.executor.take(stage.command()).outcome == "quarantined"
        hand.bench.file.write(lambda db: (db.execute("DELETE FROM items"), db.execute("DELETE FROM commands")))
    stage.pair()
    with stage.hand() as hand:
        assert hand.executor.take(stage.command(decision_id="2")).code == "older-journal"
        assert hand.bench.ownership.adopt("photos") == 1
        assert hand.executor.take(stage.command(decision_id="3")).outcome == "quarantined"


def test_s23_a_claim_is_looked_at_again_before_every_act(stage: Stage) -> None:
    """Through a pool and its branch two locks are granted: what is written decides."""
    with stage.hand() as hand:
        assert hand.bench.ownership.why_not("photos") is None
        path = stage.root() / ".photosift" / "owner.json"
        path.write_text(json.dumps({"journal": "another", "generation": 7, "epoch": 1}))
        assert hand.executor.take(stage.command()).code in ("not-adopted", "not-the-owner")


def test_s23_an_owner_that_cannot_be_read_is_no_invitation(stage: Stage) -> None:
    (stage.root() / ".photosift").mkdir()
    (stage.root() / ".photosift" / "owner.json").write_text("torn {")
    with stage.hand() as hand:
        assert hand.executor.take(stage.command()).code == "not-the-owner"
        hand.bench.ownership.adopt("photos")
        assert hand.executor.take(stage.command(decision_id="2")).outcome == "quarantined"


def test_s9_a_link_in_place_of_the_private_folder_is_not_followed(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (stage.root() / ".photosift").symlink_to(tmp_path / "outside")
    with stage.hand() as hand:
        assert hand.executor.take(stage.command()).outcome == "refused"
    assert list((tmp_path / "outside").iterdir()) == []


def test_s6_a_read_only_root_is_claimed_in_the_state_folder(tmp_path: Path) -> None:
    stage = Stage(tmp_path, roles={"photos": "library", "archive": "reference"})
    stage.write("v.jpg", b"x")
    stage.write("k.jpg", b"x", root="archive")
    with contextlib.ExitStack() as stack:
        mount(stack, stage.root("archive"), "mount", "--bind", stage.root("archive"), stage.root("archive"))
        run("mount", "-o", "remount,ro,bind", stage.root("archive"))
        with stage.hand() as hand:
            done = hand.executor.take(stage.command("v.jpg", "k.jpg", keeper_root="archive"))
            assert done.outcome == "quarantined", done.explanation
        assert not (stage.root("archive") / ".photosift").exists()
        assert len(list((stage.state / "owners").iterdir())) == 1


# ---- overlaps (S4) ----------------------------------------------------------------------------------------------


def test_s4_a_folder_configured_twice_or_inside_another_is_proposed_only(tmp_path: Path) -> None:
    stage = Stage(
        tmp_path, roles={"photos": "library", "inner": "library"}, paths={"inner": tmp_path / "photos" / "in"}
    )
    stage.write("v.jpg", b"x")
    stage.write("k.jpg", b"x", root="inner")
    with stage.hand() as hand:
        done = hand.executor.take(stage.command("v.jpg", "k.jpg", keeper_root="inner"))
        assert done.code == "roots-overlap"


@pytest.mark.parametrize("kind", ["mergerfs", "bindfs"])
def test_s4_two_roots_that_are_a_pool_and_its_branch_are_found_by_a_token(tmp_path: Path, kind: str) -> None:
    with mounted(kind, tmp_path / "fs" if (tmp_path / "fs").mkdir() is None else tmp_path) as place:
        below = place.folder.parent / ("branch-1" if kind == "mergerfs" else "source")
        stage = Stage(
            tmp_path, roles={"pool": "library", "branch": "library"}, paths={"pool": place.folder, "branch": below}
        )
        stage.write("v.jpg", b"x", root="branch")
        with stage.hand() as hand:
            for root in ("pool", "branch"):
                hand.bench.ownership.why_not(root)
            assert {hand.bench.ownership.overlap(r) for r in ("pool", "branch")} & {"pool", "branch"} or (
                hand.bench.ownership.why_not("branch") is not None
            )
            done = hand.executor.take(stage.command("v.jpg", "v.jpg", victim_root="pool", keeper_root="branch"))
            assert done.outcome == "refused"
        assert (below / "v.jpg").read_bytes() == b"x"


def test_s4_a_token_tells_two_folders_apart_and_one_folder_seen_twice_not(tmp_path: Path) -> None:
    (tmp_path / "fs").mkdir()
    with mounted("bindfs", tmp_path / "fs") as place:
        source = place.folder.parent / "source"
        for folder in (source / "a", source / "b"):
            folder.mkdir()
        with LocalDisk().open_root(place.folder) as pool, LocalDisk().open_root(source) as branch:
            assert not told_apart(LocalDisk(), (pool, b"a"), (branch, b"a"))
            assert told_apart(LocalDisk(), (pool, b"a"), (branch, b"b"))
        assert sorted(p.name for p in (source / "a").iterdir()) == []  # nothing is left behind

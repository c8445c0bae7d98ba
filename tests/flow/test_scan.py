"""``photosift scan`` as its user runs it: files in, groups out, and nothing touched until it is allowed."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.index import ElasticPlace, elastic_settings
from tests.support.photos import write_photo
from tests.support.program import PHOTOSIFT, environment, files_below, photosift, scan


def names(paths: list[str], folder: Path) -> set[str]:
    return {str(Path(path).relative_to(folder)) for path in paths}


def test_a_scan_groups_exact_and_resized_copies_and_leaves_everything_where_it_is(photos: Path, state: Path) -> None:
    before = files_below(photos)
    found = scan(photos, state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    groups = {
        str(Path(g["keeper"]["path"]).relative_to(photos)): {
            str(Path(d["path"]).relative_to(photos)): (d["class"], d["action"]) for d in g["duplicates"]
        }
        for g in found["groups"]
    }
    assert groups == {
        "000.jpg": {
            "copies/000 - Copy.jpg": ("same-bytes", "propose"),
            "small/000.jpg": ("similar", "propose"),
        },
        "001.jpg": {"copies/001.jpg": ("same-bytes", "propose")},
    }
    assert names(found["unique"], photos) == {"002.jpg", "003.jpg", "004.jpg", "005.jpg"}
    assert found["unreadable"] == found["skipped"] == []
    assert files_below(photos) == before
    assert not (photos / ".photosift").exists(), "S6: nothing is written below a root"


def groups_of(report: dict[str, Any]) -> dict[str, set[tuple[str, str]]]:
    return {g["keeper"]["path"]: {(d["path"], d["class"]) for d in g["duplicates"]} for g in report["groups"]}


def test_a_scan_on_elasticsearch_gives_the_same_groups_and_the_next_one_reads_nothing(
    photos: Path, state: Path
) -> None:
    embedded = scan(photos, state=state.with_name("embedded"), PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    with elastic_settings() as index:
        known = {f"PHOTOSIFT_{name.upper()}": value for name, value in index.items()}
        found = scan(photos, state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0", **known)
        assert groups_of(found) == groups_of(embedded) != {}
        again = scan(photos, state=state, **known)
    assert groups_of(again) == groups_of(found)
    assert not (state / "analyser").exists(), "nothing of the index lies in the state folder"


def test_a_second_scan_reads_no_file_again(photos: Path, state: Path) -> None:
    scan(photos, state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    first = scan(photos, state=state)
    assert first["counts"]["analysed"] == 9
    trace = state.parent / "trace"
    subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=openat", "-o", trace, PHOTOSIFT, "scan", photos, "--format", "json"],
        env=environment(state),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=100,
    ) if shutil.which("strace") else pytest.skip("no strace")
    opened = [line for line in trace.read_text().splitlines() if ".jpg" in line]
    assert opened == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
def test_s6_a_scan_without_apply_makes_no_writing_system_call_below_the_root(photos: Path, state: Path) -> None:
    trace = state.parent / "trace"
    calls = "trace=openat,open,creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,"
    calls += "symlinkat,truncate,utimensat,chmod,fchmodat,chown,fchownat,setxattr,mknod,mknodat"
    subprocess.run(
        ["strace", "-f", "-qq", "-y", "-e", calls, "-o", trace, PHOTOSIFT, "scan", photos],
        env=environment(state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0"),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=100,
    )
    below = [line for line in trace.read_text().splitlines() if str(photos) in line]
    assert below, "the trace saw the scan look at the root"
    opens = [line for line in below if "open" in line.split("(")[0]]
    assert [line for line in below if line not in opens] == []
    assert [line for line in opens if any(flag in line for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"))] == []


def test_s6_no_access_time_changes(photos: Path, state: Path) -> None:
    before = {path: path.stat().st_atime_ns for path in photos.rglob("*.jpg")}
    scan(photos, state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    assert {path: path.stat().st_atime_ns for path in photos.rglob("*.jpg")} == before


def test_apply_move_takes_exact_copies_to_the_target_and_restore_brings_them_back(photos: Path, state: Path) -> None:
    before, target = files_below(photos), state.parent / "Duplicates"
    options = ("--apply", "move", "--target", str(target), "--yes")
    found = scan(photos, state=state, options=options, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    moved = {d["path"]: d for g in found["groups"] for d in g["duplicates"] if d["action"] == "moved"}
    assert {d["class"] for d in moved.values()} == {"same-bytes"}
    assert len(moved) == 2
    left, taken = files_below(photos), files_below(target / "Pictures")
    assert set(left) | set(taken) == set(before)
    assert not set(left) & set(taken)
    assert names(list(moved), photos) == set(taken)
    for name, content in taken.items():
        assert content == before[name]
        assert content in left.values(), "a live copy of the same bytes stays"
    photosift("restore", photos / sorted(taken)[0], state=state)
    photosift("restore", "--since", "1h", state=state)
    assert files_below(photos) == before


def test_apply_delete_goes_to_the_quarantine_of_the_root(photos: Path, state: Path) -> None:
    before = files_below(photos)
    options = ("--apply", "delete", "--allow-delete", "--yes")
    found = scan(photos, state=state, options=options, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    actions = [d["action"] for g in found["groups"] for d in g["duplicates"]]
    assert actions.count("quarantined") == 2
    assert len(files_below(photos)) == len(before) - 2
    photosift("restore", "--since", "1h", state=state)
    assert files_below(photos) == before


def test_apply_without_a_terminal_and_without_yes_moves_nothing_and_says_what_to_do(photos: Path, state: Path) -> None:
    before = files_below(photos)
    done = photosift(
        "scan", photos, "--apply", "move", "--target", state.parent / "Duplicates",
        state=state, expect=2, PHOTOSIFT_WATCH__SETTLE_SECONDS="0",
    )  # fmt: skip
    assert "--yes" in done.stderr
    assert files_below(photos) == before


def test_dry_run_wins_over_apply(photos: Path, state: Path) -> None:
    before = files_below(photos)
    options = ("--apply", "move", "--target", str(state.parent / "Duplicates"), "--yes", "--dry-run")
    scan(photos, state=state, options=options, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    assert files_below(photos) == before


def test_what_was_restored_is_not_taken_again_by_the_next_scan(photos: Path, state: Path) -> None:
    before = files_below(photos)
    options = ("--apply", "move", "--target", str(state.parent / "Duplicates"), "--yes")
    scan(photos, state=state, options=options, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    photosift("restore", "--since", "1h", state=state)
    assert files_below(photos) == before


def test_a_young_file_is_waited_for_and_the_wait_is_said_and_reported_apart(photos: Path, state: Path) -> None:
    done = photosift("scan", photos, "--format", "json", state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="12")
    assert "9 young files are being waited for, until unchanged for 12 s" in done.stderr
    found = json.loads(done.stdout)
    assert found["counts"]["analysed"] == 9
    assert found["seconds"]["settle"] > found["seconds"]["count"], "waiting is no work"
    assert found["seconds"]["settle"] > found["seconds"]["clean"]


def test_a_bad_file_is_listed_with_its_reason_and_costs_no_other_file_anything(photos: Path, state: Path) -> None:
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "text.jpg").write_text("this is not a picture\n" * 50)
    (photos / "cut.jpg").write_bytes((photos / "003.jpg").read_bytes()[:5000])
    (photos / "notes.txt").write_text("hello")
    found = scan(photos, state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    reasons = {Path(u["path"]).name: u["reason"] for u in found["unreadable"]}
    assert set(reasons) == {"empty.jpg", "text.jpg", "cut.jpg"}
    assert [Path(s["path"]).name for s in found["skipped"]] == ["notes.txt"]
    assert found["counts"]["analysed"] == 9


def test_names_that_are_not_utf8_or_hold_a_newline_are_listed_with_their_bytes(photos: Path, state: Path) -> None:
    odd = bytes(photos) + b"/odd-\xff\nname.jpg"
    shutil.copy(bytes(photos / "005.jpg"), odd)
    found = scan(photos, state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    listed = [d for g in found["groups"] for d in (g["keeper"], *g["duplicates"]) if "path_b64" in d]
    assert len(listed) == 1


def test_a_missing_folder_is_one_line_and_exit_code_2(state: Path) -> None:
    done = photosift("scan", state.parent / "nowhere", state=state, expect=2)
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_hard_link_is_the_same_file_and_never_a_duplicate(photos: Path, state: Path) -> None:
    (photos / "zz-link.jpg").hardlink_to(photos / "002.jpg")
    found = scan(photos, state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    assert [s["rule"] for s in found["skipped"]] == ["same-file-as"]
    assert names(found["unique"], photos) == {"002.jpg", "003.jpg", "004.jpg", "005.jpg"}


def test_a_larger_max_distance_on_the_next_scan_finds_what_lies_further_apart(photos: Path, state: Path) -> None:
    write_photo(photos / "bright.jpg", 2, quality=8)
    tight = scan(photos, state=state, options=("--max-distance", "0.001"), PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    loose = scan(photos, state=state, options=("--max-distance", "0.35"))
    grouped = lambda report: {d["path"] for g in report["groups"] for d in (g["keeper"], *g["duplicates"])}  # noqa: E731
    assert str(photos / "bright.jpg") not in grouped(tight)
    assert str(photos / "bright.jpg") in grouped(loose)


@pytest.mark.parametrize("part", ["resolver", "analyser", "watcher", "nats"])
def test_a_scan_after_one_part_of_the_state_folder_was_lost_finds_the_same_groups(
    part: str, photos: Path, state: Path
) -> None:
    def groups(report: dict[str, Any]) -> list[tuple[str, list[str]]]:
        return [(g["keeper"]["path"], [d["path"] for d in g["duplicates"]]) for g in report["groups"]]

    before = scan(photos, state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    shutil.rmtree(state / part)
    assert groups(scan(photos, state=state)) == groups(before)


def test_s18_with_the_state_folder_lost_and_the_index_still_there_a_scan_swallows_nothing(
    photos: Path, state: Path
) -> None:
    with elastic_settings() as index:
        known = {"PHOTOSIFT_WATCH__SETTLE_SECONDS": "0"} | {f"PHOTOSIFT_{k.upper()}": v for k, v in index.items()}
        scan(photos, state=state, **known)
        shutil.rmtree(state)
        change(photos)
        found = scan(photos, state=state, **known)
        assert_as_if_seen_for_the_first_time(found, photos, state)
        assert in_the_index(index) == files_below(photos).keys() | {"003.jpg"}


def test_s12_s18_a_state_folder_of_last_week_beside_a_newer_index_is_caught_up_and_acts_on_nothing_old(
    photos: Path, state: Path
) -> None:
    with elastic_settings() as index:
        known = {"PHOTOSIFT_WATCH__SETTLE_SECONDS": "0"} | {f"PHOTOSIFT_{k.upper()}": v for k, v in index.items()}
        scan(photos, state=state, **known)
        shutil.copytree(state, state.with_name("last-week"))
        change(photos)
        for n in range(3):  # the index goes far ahead of what last week's snapshot counted
            write_photo(photos / "busy.jpg", 60 + n)
            scan(photos, state=state, **known)
        shutil.rmtree(state)
        state.with_name("last-week").rename(state)
        write_photo(photos / "late.jpg", 70)
        before = files_below(photos)
        target = state.parent / "Duplicates"
        options = ("--apply", "move", "--target", str(target), "--yes")
        found = scan(photos, state=state, options=options, **known)
        moved = {d["path"] for g in found["groups"] for d in g["duplicates"] if d["action"] == "moved"}
        assert {Path(path).name for path in moved} == {"000 - Copy.jpg"}, "of two exact copies one stays"
        assert files_below(photos).keys() == before.keys() - {"copies/000 - Copy.jpg"}
        assert {"late.jpg", "busy.jpg", "new.jpg"} <= names(found["unique"], photos)
        assert in_the_index(index) == before.keys() | {"003.jpg"}


def change(photos: Path) -> None:
    """One photo goes, one comes, one becomes another, and an exact copy with it."""
    (photos / "003.jpg").unlink()
    write_photo(photos / "new.jpg", 50)
    write_photo(photos / "001.jpg", 51)


def assert_as_if_seen_for_the_first_time(found: dict[str, Any], photos: Path, state: Path) -> None:
    fresh = scan(photos, state=state.with_name("fresh"), PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    assert groups_of(found) == groups_of(fresh)
    assert sorted(found["unique"]) == sorted(fresh["unique"])


def in_the_index(index: dict[str, str]) -> set[str]:
    """Every file that it knows, those that are gone included."""

    async def walked() -> set[str]:
        place = ElasticPlace(index["index_url"], index["index_name"])
        async with place.opened(writable=False) as opened:
            return {doc.path.rel.decode() async for doc in opened.walk("Pictures")}

    return asyncio.run(walked())


def test_s14_with_the_state_folder_lost_an_empty_mount_point_forgets_nothing_of_the_index(
    photos: Path, state: Path
) -> None:
    with elastic_settings() as index:
        known = {"PHOTOSIFT_WATCH__SETTLE_SECONDS": "0"} | {f"PHOTOSIFT_{k.upper()}": v for k, v in index.items()}
        before = scan(photos, state=state, **known)
        shutil.rmtree(state)
        photos.rename(photos.with_name("elsewhere"))
        photos.mkdir()
        found = scan(photos, state=state, **known)
        assert groups_of(found) == groups_of(before), "nothing is known of the root, so nothing is told"
        photos.rmdir()
        photos.with_name("elsewhere").rename(photos)
        again = scan(photos, state=state, **known)
        assert groups_of(again) == groups_of(before)
        assert sorted(again["unique"]) == sorted(before["unique"])


def test_a_root_that_is_not_there_stands_in_the_report_and_costs_the_others_nothing(photos: Path, state: Path) -> None:
    missing = state.parent / "not-mounted"
    (state.parent / "photosift.yaml").write_text(f"roots: [{photos}, {missing}]\nwatch: {{settle_seconds: 0}}\n")
    found = scan(state=state)
    (entry,) = found["skipped"]
    assert (entry["path"], entry["rule"]) == (str(missing), "root-unknown")
    assert entry["reason"]
    assert found["counts"]["analysed"] == 9
    assert f"Skipped, root-unknown: 1 ({entry['reason']})\n    {missing}" in photosift("scan", state=state).stdout


def test_the_batch_that_an_apply_made_is_named_and_puts_all_of_it_back(photos: Path, state: Path) -> None:
    before, target = files_below(photos), state.parent / "Duplicates"
    done = photosift(
        "scan", photos, "--apply", "move", "--target", target, "--yes",
        state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0",
    )  # fmt: skip
    assert f"    {photos}/copies/: 2 same-bytes\n" in done.stderr
    (command,) = re.findall(r"photosift (restore --batch \w+)", done.stdout)
    assert files_below(photos) != before
    photosift(*command.split(), state=state)
    assert files_below(photos) == before


def test_files_that_went_are_counted_as_forgotten(photos: Path, state: Path) -> None:
    scan(photos, state=state, PHOTOSIFT_WATCH__SETTLE_SECONDS="0")
    (photos / "004.jpg").unlink()
    (photos / "005.jpg").unlink()
    done = photosift("scan", photos, state=state)
    assert "Forget files that are gone: 2 done" in done.stderr

"""py-image-dedup's settings are carried over; acting is never turned on; what has no place here is said."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from shared.ancestor_import import DROPPED, SAME, Imported, import_file, import_variables
from shared.config import Settings
from shared.errors import UsageError
from shared.settings_rules import DEFAULT_RULES
from shared.settings_sources import load

EVERYTHING = """\
py_image_dedup:
  dry_run: false
  analysis:
    source_directories: [/nowhere/b/photos/, /nowhere/c/photos]
    recursive: false
    across_dirs: true
    file_extensions: [.PNG, jpg]
    exclusions: ['.*/@eaDir/.*', '(']
    threads: 3
    use_exif_data: false
  deduplication:
    duplicates_target_directory: /nowhere/b/photos/duplicates
    max_file_modification_time_diff: 0:05:00
    prioritization_rules:
      - name: more-exif-data
      - name: longer-path
      - name: prettier
  remove_empty_folders: true
  daemon: {processing_timeout: 1m, file_observer: inotify}
  elasticsearch: {host: 10.0.0.2, port: 9200, index: images, max_distance: 0.15, auto_create_index: true}
  stats: {enabled: false, port: 9000}
"""


def imported(tmp_path: Path, text: str) -> tuple[Imported, Settings]:
    """What was imported, and what photosift then loads."""
    old = tmp_path / "py_image_dedup.yaml"
    old.write_text(text)
    found = import_file(old)
    return found, reloaded(tmp_path, found)


def reloaded(tmp_path: Path, found: Imported) -> Settings:
    new = tmp_path / "photosift.yaml"
    new.write_text(found.text)
    return load(config=new, environ={})


def test_every_setting_is_carried_over_and_the_result_loads(tmp_path: Path) -> None:
    _, ours = imported(tmp_path, EVERYTHING)
    assert [(root.name, str(root.path)) for root in ours.roots] == [
        ("photos", "/nowhere/b/photos"),
        ("photos-2", "/nowhere/c/photos"),
    ]
    assert (ours.watch.recursive, ours.deduplication.across_roots) == (False, True)
    assert ours.watch.extensions == (".png", ".jpg")
    assert (ours.analysis.threads, ours.analysis.use_exif) == (3, False)
    assert ours.target == Path("/nowhere/b/photos/duplicates")
    assert ours.deduplication.max_modification_time_difference == timedelta(minutes=5)
    assert ours.deduplication.rules == ("more-exif-data", "longer-path")
    assert ours.remove_empty_folders is True
    assert (ours.watch.settle_seconds, ours.watch.observer) == (60, "inotify")
    assert ours.deduplication.max_distance == 0.15
    assert (ours.stats_enabled, ours.stats_port) == (False, 9000)


def test_what_could_not_be_carried_over_is_listed_and_stands_in_the_file(tmp_path: Path) -> None:
    found, ours = imported(tmp_path, EVERYTHING.replace("threads: 3", "threads: lots\n    magic: 1"))
    left = "\n".join(found.left)
    for said in (
        "analysis.exclusions: (: not a regular",
        "prettier: no such rule",
        "elasticsearch.host",
        "analysis.magic",
    ):
        assert said in left
    assert "analysis.threads: lots" in left
    assert all(f"#   {line}" in found.text for line in found.left)
    assert ours.watch.exclusions == (".*/@eaDir/.*",)
    assert ours.analysis.threads == 0


@pytest.mark.parametrize(
    ("dry_run", "target", "did"),
    [
        ("true", "/t", "only listed duplicates"),
        ("false", "/t", "moved duplicates to its target"),
        ("false", "", "deleted duplicates"),
    ],
)
def test_s6_import_never_turns_acting_on_and_says_what_the_old_file_did(
    tmp_path: Path, dry_run: str, target: str, did: str
) -> None:
    text = f"py_image_dedup:\n  dry_run: {dry_run}\n  deduplication: {{duplicates_target_directory: {target}}}\n"
    found, ours = imported(tmp_path, text)
    assert ours.acting == "propose"
    assert "action: propose" in found.text
    assert did in found.acting
    assert found.acting in found.text


def test_an_old_file_without_dry_run_only_listed(tmp_path: Path) -> None:
    found, _ = imported(tmp_path, "py_image_dedup: {remove_empty_folders: false}")
    assert "only listed" in found.acting


def test_both_names_of_the_time_out_are_taken(tmp_path: Path) -> None:
    _, ours = imported(tmp_path, "py_image_dedup: {daemon: {timeout: 90s}}")
    assert ours.watch.settle_seconds == 90


def test_s22_a_target_around_a_root_is_left_out(tmp_path: Path) -> None:
    text = "py_image_dedup: {analysis: {source_directories: [/a/b]}, deduplication: {duplicates_target_directory: /a}}"
    found, ours = imported(tmp_path, text)
    assert ours.target is None
    assert any("target is, or contains, the root b" in line for line in found.left)


def test_variables_are_carried_over_with_lists_separated_by_commas(tmp_path: Path) -> None:
    environ = {
        "PY_IMAGE_DEDUP_ANALYSIS_SOURCE_DIRECTORIES": "/nowhere/a, /nowhere/b",
        "PY_IMAGE_DEDUP_ANALYSIS_FILE_EXTENSIONS": ".png,.JPG",
        "PY_IMAGE_DEDUP_DAEMON_PROCESSING_TIMEOUT": "30",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_MAX_DISTANCE": "0.2",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_HOST": "db",
        "PY_IMAGE_DEDUP_DRY_RUN": "False",
        "PY_IMAGE_DEDUP_MAGIC": "1",
        "HOME": "/root",
    }
    found = import_variables(environ, tmp_path)
    ours = reloaded(tmp_path, found)
    assert [root.name for root in ours.roots] == ["a", "b"]
    assert ours.watch.extensions == (".png", ".jpg")
    assert (ours.watch.settle_seconds, ours.deduplication.max_distance) == (30, 0.2)
    assert ours.deduplication.rules == DEFAULT_RULES
    assert "deleted duplicates" in found.acting
    assert [line.partition(":")[0] for line in found.left] == ["elasticsearch.host", "PY_IMAGE_DEDUP_MAGIC"]


@pytest.mark.parametrize("order", ["timeout: 45, processing_timeout: 1m", "processing_timeout: 1m, timeout: 45"])
def test_of_two_names_for_one_setting_one_counts_and_the_other_is_said_as_it_was(tmp_path: Path, order: str) -> None:
    found, ours = imported(tmp_path, f"py_image_dedup: {{daemon: {{{order}}}}}")
    assert found.carried == ("daemon.processing_timeout -> watch.settle_seconds: 60",)
    assert found.left == ('daemon.timeout: "45": daemon.processing_timeout says the same and counts',)
    assert ours.watch.settle_seconds == 60
    found, ours = imported(tmp_path, "py_image_dedup: {daemon: {timeout: 45}}")
    assert found.carried == ("daemon.timeout -> watch.settle_seconds: 45",)
    assert ours.watch.settle_seconds == 45


def test_a_dry_run_that_is_neither_true_nor_false_is_said(tmp_path: Path) -> None:
    found, _ = imported(tmp_path, "py_image_dedup: {dry_run: maybe}")
    assert found.left == ("dry_run: maybe: neither true nor false; taken for true",)
    assert "only listed" in found.acting


def test_every_old_setting_but_dry_run_has_an_answer() -> None:
    old = [
        "dry_run",
        "analysis.source_directories",
        "analysis.recursive",
        "analysis.across_dirs",
        "analysis.file_extensions",
        "analysis.exclusions",
        "analysis.threads",
        "analysis.use_exif_data",
        "deduplication.duplicates_target_directory",
        "deduplication.max_file_modification_time_diff",
        "deduplication.prioritization_rules",
        "remove_empty_folders",
        "daemon.processing_timeout",
        "daemon.timeout",
        "daemon.file_observer",
        "elasticsearch.host",
        "elasticsearch.port",
        "elasticsearch.index",
        "elasticsearch.max_distance",
        "elasticsearch.auto_create_index",
        "stats.enabled",
        "stats.port",
    ]
    assert {*SAME, *DROPPED, "dry_run"} == set(old)


@pytest.mark.parametrize("text", ["action: move", "", "py_image_dedup: 3"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"no py-image-dedup file|not a list of settings"):
        imported(tmp_path, text)
    with pytest.raises(UsageError, match="no variable starts with PY_IMAGE_DEDUP_"):
        import_variables({"PHOTOSIFT_ACTION": "move"}, tmp_path)

"""The command line: what it hands on, what it prints, and how it exits. The services behind it are stand-ins."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import services
from services.cli import app
from services.terminal import ApplyChoice, ApplyCount, TableRow
from shared.config import Settings
from shared.errors import StateInUse, TransientError, UsageError
from shared.messages.outcomes import RequestAnswered
from shared.messages.requests import (
    AdoptRequested,
    AllowRequested,
    ConfirmRequested,
    Request,
    RestoreRequested,
)
from shared.paths import PhotoPath
from shared.statefolder import StatePart
from tests.support.data import REPOSITORY
from tests.support.photos import write_photo

REPORT = {
    "version": "1",
    "unique": ["/p/u.jpg"],
    "groups": [],
    "unreadable": [{"path": f"/p/{n}.jpg", "reason": "truncated"} for n in range(5)],
    "skipped": [{"path": "/p/.DS_Store", "rule": "litter", "reason": "a folder's view"}],
    "counts": {"folders_removed": 2},
    "seconds": {"count": 0.5},
}


def row(action: str, path: bytes, **more: Any) -> TableRow:
    values: dict[str, Any] = {"group": 1, "distance": 0.02, "size": 1_500_000, "width": 4000, "height": 3000}
    return TableRow(action=action, path=path, **{**values, **more})


ROWS = [
    row("keep", b"/p/a.jpg", distance=None),
    row("propose", b"/p/b\x1b[2J\xff.jpg", decided_by="higher-pixel-count", match_class="similar"),
    row("refused", b"/p/c.jpg", decided_by="more-exif-data", reason="part-of-a-unit", match_class="same-bytes"),
]


@dataclass(kw_only=True)
class Behind:
    """What stands behind the command line, and what it was asked."""

    calls: list[tuple[str, Settings, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    rows: list[TableRow] = field(default_factory=lambda: list(ROWS))
    count: ApplyCount | None = None
    went_on: bool | None = None
    finished: bool = True
    fails: Exception | None = None
    answers: int = 1
    answer: dict[str, Any] = field(
        default_factory=lambda: {"by": "executor@nas", "done": True, "explanation": "2 files", "count": 2}
    )

    async def scan(self, settings: Settings, *, apply: ApplyChoice | None, progress: Any, ask: Any, stop: Any) -> Any:
        self.calls.append(("scan", settings, apply))
        progress.phase("count")
        progress.advance("count", 3)
        progress.done("count")
        if self.fails:
            raise ExceptionGroup("services", [self.fails])
        if apply and self.count:
            self.went_on = await asyncio.to_thread(ask, self.count)
        return Result_(report=REPORT, rows=self.rows, finished=self.finished)

    async def analyse_only(self, settings: Settings, *, progress: Any, stop: Any) -> bool:
        self.calls.append(("analyse", settings, None))
        return self.finished

    async def run_all(self, settings: Settings, *, stop: Any, ready: Callable[[], None]) -> None:
        self.calls.append(("run", settings, None))
        ready()

    async def run_service(self, name: str, settings: Settings, *, stop: Any) -> None:
        self.calls.append((name, settings, None))

    async def ask_service(
        self, settings: Settings, request: Request, *, timeout: float, **_: object
    ) -> list[RequestAnswered]:
        self.calls.append(("ask", settings, timeout))
        self.requests.append(request)
        return [RequestAnswered(request_id=request.request_id, **self.answer)] * self.answers

    async def explain(self, settings: Settings, path: PhotoPath) -> dict[str, Any]:
        return {"path": f"/p/{path.rel.decode()}", "known": {"state": "analysed", "version": 18}, "facts": None}


@dataclass(frozen=True, kw_only=True)
class Result_:
    report: dict[str, Any]
    rows: list[TableRow]
    finished: bool


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Behind:
    found = Behind()
    functions: dict[str, dict[str, Callable[..., Any]]] = {
        "standalone": {"scan": found.scan, "analyse_only": found.analyse_only, "run_all": found.run_all},
        "bootstrap": {"run_service": found.run_service},
        "asking": {
            "ask_service": found.ask_service,
            "explain": found.explain,
            "audit_access": lambda s: "nats://a:b@h",
        },
    }
    for name, members in functions.items():
        module = ModuleType(f"services.{name}")
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, f"services.{name}", module)
        monkeypatch.setattr(services, name, module, raising=False)
    return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a folder of photos, and nothing of the user's."""
    for variable in [v for v in os.environ if v.startswith(("PHOTOSIFT_", "PY_IMAGE_DEDUP_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("PHOTOSIFT_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "photos").mkdir()
    return tmp_path


def photosift(*arguments: str, expect: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == expect, f"{result.exit_code}: {result.stdout}\n{result.stderr}\n{result.exception!r}"
    assert "Traceback" not in result.stderr
    return result


# ------------------------------------------------------------------------------------------------- scan


def test_scan_prints_groups_counts_and_what_to_do_now(place: Path, behind: Behind) -> None:
    out = photosift("scan", "photos").stdout
    assert "propose\t/p/b\\x1b[2J\\xff.jpg\tsimilar\t0.020\t1.5 MB\t4000 x 3000\thigher-pixel-count" in out
    assert "keep\t/p/a.jpg\t\t\t" in out
    assert "refused\t/p/c.jpg\tsame-bytes\t0.020\t1.5 MB\t4000 x 3000\tpart-of-a-unit" in out
    assert "Unreadable, truncated: 5\n    /p/0.jpg\n    /p/1.jpg\n    /p/2.jpg\n    and 2 more" in out
    assert "Skipped, litter: 1" in out
    assert "1 group with 2 copies (1 same-bytes, 1.5 MB; 1 similar, 1.5 MB), 1 file without a copy" in out
    assert "5 unreadable, 1 skipped" in out
    assert f"photosift scan {place}/photos --apply move --target FOLDER" in out
    assert "\x1b" not in out


def test_s6_scan_proposes_whatever_the_settings_say(place: Path, behind: Behind) -> None:
    (place / "photosift.yaml").write_text("action: move\ntarget: away\n")
    photosift("scan", "photos")
    ((_, settings, choice),) = behind.calls
    assert (settings.action, choice) == ("propose", None)
    assert settings.target == place / "away"  # still never looked into (S22)


def test_json_stands_alone_on_standard_output(place: Path, behind: Behind) -> None:
    result = photosift("scan", "photos", "--format", "json")
    assert json.loads(result.stdout) == REPORT
    assert result.stdout.count("\n") == 1
    assert "Count files: 3 done" in result.stderr


def test_options_reach_the_settings_over_file_and_environment(
    place: Path, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTOSIFT_ANALYSIS__THREADS", "7")
    (place / "nas.yaml").write_text("deduplication: {max_distance: 0.3, across_roots: true}")
    photosift("scan", "photos", "--config", "nas.yaml", "--max-distance", "0.2", "-t", "2", "--dry-run", "-vv")
    settings = behind.calls[0][1]
    assert (settings.deduplication.max_distance, settings.deduplication.across_roots) == (0.2, True)
    assert (settings.analysis.threads, settings.dry_run) == (2, True)


def test_folders_become_library_roots_named_after_them(place: Path, behind: Behind) -> None:
    (place / "more" / "photos").mkdir(parents=True)
    (place / "link").symlink_to("photos")
    result = photosift("scan", "link", "more/photos", "photos", "photos/../more")
    roots = behind.calls[0][1].roots
    assert [(r.name, r.path, r.role) for r in roots] == [
        ("photos", place / "photos", "library"),
        ("photos-2", place / "more" / "photos", "library"),
        ("more", place / "more", "library"),
    ]
    assert "named more than once" in result.stderr
    assert "copies between the two are only proposed" in result.stderr


def test_folders_of_the_command_line_replace_those_of_the_settings(place: Path, behind: Behind) -> None:
    (place / "photosift.yaml").write_text("roots: [{name: mine, path: photos, role: reference}, /elsewhere]")
    photosift("scan", "photos")
    assert [(r.name, r.role) for r in behind.calls[0][1].roots] == [("mine", "reference")]
    photosift("scan")
    assert [r.name for r in behind.calls[1][1].roots] == ["mine", "elsewhere"]


# -------------------------------------------------------------------------------------------- scan --apply


def counted(**more: Any) -> ApplyCount:
    values: dict[str, Any] = {
        "action": "move",
        "classes": ("same-bytes",),
        "target": "/t",
        "by_class": {"same-bytes": 3},
        "files": 3,
        "bytes": 4_200_000,
        "limit": 20,
    }
    return ApplyCount(**{**values, **more})


def test_apply_with_yes_says_the_count_and_goes_on(place: Path, behind: Behind) -> None:
    behind.count = counted()
    behind.rows = [row("keep", b"/p/a.jpg"), row("moved", b"/p/b.jpg")]
    result = photosift("scan", "photos", "--apply", "move", "--target", "away", "--yes")
    assert behind.went_on is True
    _, settings, choice = behind.calls[0]
    assert choice == ApplyChoice(action="move", classes=("same-bytes",), agreed=True)
    assert (settings.action, settings.automatic_classes, settings.target) == ("move", ("same-bytes",), place / "away")
    assert "About to move 3 files (3 same-bytes; 4.2 MB) to /t." in result.stderr
    assert "photosift restore --since 20" in result.stdout


def test_s13_without_a_terminal_apply_wants_yes_before_anything_is_looked_at(place: Path, behind: Behind) -> None:
    result = photosift("scan", "photos", "--apply", "move", "--target", "away", expect=2)
    assert "no terminal to ask on; add --yes" in result.stderr
    assert behind.calls == []


def test_s5_similar_takes_in_the_exact_copies_and_says_that_bursts_may_be_among_them(
    place: Path, behind: Behind
) -> None:
    behind.count = counted(classes=("same-bytes", "similar"))
    result = photosift("scan", "photos", "--apply", "move", "--target", "a", "--apply-class", "similar", "--yes")
    assert behind.calls[0][1].automatic_classes == ("same-bytes", "similar")
    assert behind.calls[0][2].classes == ("same-bytes", "similar")
    assert "burst may be among them" in result.stderr


def test_s5_apply_takes_exact_copies_alone_whatever_the_settings_say(place: Path, behind: Behind) -> None:
    (place / "photosift.yaml").write_text("automatic_classes: [same-bytes, similar]")
    photosift("scan", "photos", "--apply", "move", "--target", "a", "--yes")
    assert behind.calls[0][1].automatic_classes == ("same-bytes",)
    assert behind.calls[0][2].classes == ("same-bytes",)


def test_s6_delete_needs_its_second_permission(place: Path, behind: Behind) -> None:
    result = photosift("scan", "photos", "--apply", "delete", "--yes", expect=2)
    assert "also needs allow_delete: true (--allow-delete)" in result.stderr
    assert behind.calls == []
    photosift("scan", "photos", "--apply", "delete", "--allow-delete", "--yes")
    (place / "photosift.yaml").write_text("allow_delete: true")
    photosift("scan", "photos", "--apply", "delete", "--yes")
    assert [call[1].action for call in behind.calls] == ["delete", "delete"]


@pytest.mark.parametrize("by", ["option", "setting"])
def test_s6_a_dry_run_always_wins(place: Path, behind: Behind, by: str) -> None:
    behind.count = counted()
    (place / "photosift.yaml").write_text(f"dry_run: {by == 'setting'}")
    options = ["--dry-run"] if by == "option" else []
    result = photosift("scan", "photos", "--apply", "move", "--target", "a", "--yes", *options)
    assert behind.calls[0][2] is None
    assert behind.calls[0][1].acting == "propose"
    assert "nothing will be moved" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--apply", "move", "--yes"], "move needs a target (--target)"),
        (["--apply-class", "similar"], "add --apply move or --apply delete"),
        (["--target", "away"], "--target says where --apply move puts files"),
        (["--apply", "move", "--yes", "--target", ""], "--target: no folder is named"),
        (["--nope"], "no such option: --nope; see photosift scan --help"),
        (["-t", "x"], "invalid value for '--threads'"),
        ([""], "DIR: no folder is named"),
        (["--apply", "move", "--yes", "--target", "file"], "file: not a folder"),
        (["--apply", "move", "--yes", "--target", "."], "target is, or contains, the root photos"),
        (["--max-distance", "1.5"], "--max-distance: '1.5'"),
        (["--max-distance", "nan"], "--max-distance: 'nan'"),
        (["--threads", "-1"], "--threads: '-1'"),
    ],
)
def test_wrong_options_are_one_line_and_exit_with_2(place: Path, behind: Behind, options: list[str], said: str) -> None:
    (place / "file").touch()
    result = photosift("scan", "photos", *options, expect=2)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert behind.calls == []


@pytest.mark.parametrize(
    "arguments", [["scan", "--nope"], ["scann"], ["scan", "-t", "x"], ["scan", "--apply", "eat"], []]
)
def test_what_the_parser_refuses_exits_with_2(place: Path, behind: Behind, arguments: list[str]) -> None:
    photosift(*arguments, expect=2)


@pytest.mark.parametrize(("folder", "said"), [("nope", "nope: no such folder"), ("file", "file: not a folder")])
@pytest.mark.parametrize("command", ["scan", "run", "analyse"])
def test_a_folder_that_is_none_is_one_line(place: Path, behind: Behind, command: str, folder: str, said: str) -> None:
    (place / "file").touch()
    assert photosift(command, folder, expect=2).stderr == f"photosift: {said}\n"


@pytest.mark.parametrize("command", ["scan", "run", "analyse", "watcher"])
def test_no_folder_at_all_is_one_line(place: Path, behind: Behind, command: str) -> None:
    assert photosift(command, expect=2).stderr.startswith("photosift: no folder of photos: name one (DIR)")


def test_every_mistake_in_the_settings_is_a_line_of_its_own(place: Path, behind: Behind) -> None:
    (place / "photosift.yaml").write_text("acton: move\nstats_port: x")
    lines = photosift("scan", "photos", expect=2).stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("photosift: photosift.yaml, line ") for line in lines)


@pytest.mark.parametrize("command", ["scan", "run", "analyse"])
def test_an_empty_name_is_not_the_current_folder_and_a_tilde_is_home(place: Path, behind: Behind, command: str) -> None:
    assert "no folder is named" in photosift(command, "", expect=2).stderr
    assert behind.calls == []
    (place / "home" / "mine").mkdir(parents=True)
    photosift(command, "~/mine")
    assert behind.calls[0][1].roots[0].path == place / "home" / "mine"


def test_a_target_may_begin_with_a_tilde(place: Path, behind: Behind) -> None:
    photosift("scan", "photos", "--apply", "move", "--yes", "--target", "~/away")
    assert behind.calls[0][1].target == place / "home" / "away"


@pytest.mark.parametrize("command", ["scan", "run", "analyse"])
def test_a_command_that_needs_the_state_folder_for_itself_is_refused_before_it_writes_or_says_anything(
    place: Path, behind: Behind, command: str
) -> None:
    part = StatePart(place / "state", "watcher")
    try:
        refused = photosift(command, "photos", expect=2)
        held = f"{place}/state/watcher is held by process {os.getpid()}; stop it, or name another state folder\n"
        assert refused.stderr.endswith(held)
        assert refused.stderr.count("\n") == 1
        assert behind.calls == []
        assert [path.name for path in (place / "state").iterdir()] == ["watcher"], "no name was remembered"
    finally:
        part.release()


def test_run_says_goodbye(place: Path, behind: Behind) -> None:
    said = photosift("run", "photos").stderr.splitlines()
    assert said[0].startswith("photosift: watching ")
    assert said[-1] == "photosift: stopped; the next start goes on where this one stopped"


# --------------------------------------------------------------------------------------------- exit codes


def test_stopped_before_its_end_exits_with_3(place: Path, behind: Behind) -> None:
    behind.finished = False
    assert "stopped before its end" in photosift("scan", "photos", expect=3).stderr
    assert "stopped before its end" in photosift("analyse", "photos", expect=3).stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("say it so"), 2, "photosift: say it so\n"),
        (StateInUse("held by process 7"), 2, "held by process 7"),
        (TransientError("the bus is gone"), 3, "the bus is gone"),
        (PermissionError(13, "Permission denied", "/state/x"), 3, "photosift: /state/x: Permission denied\n"),
        (KeyboardInterrupt(), 3, ""),
        (BrokenPipeError(), 3, ""),
    ],
)
def test_what_goes_wrong_is_a_line_and_a_code(
    place: Path, behind: Behind, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, said: str
) -> None:
    async def fails(settings: Settings, *, stop: Any, ready: Any) -> None:
        raise error

    monkeypatch.setattr(services.standalone, "run_all", fails, raising=False)  # type: ignore[attr-defined]
    refused = photosift("run", "photos", expect=code).stderr
    assert said in refused
    assert "watching" not in refused, "nobody watches"


def test_errors_in_a_group_of_tasks_are_said_one_by_one(place: Path, behind: Behind) -> None:
    behind.fails = StateInUse("held by process 7")
    assert photosift("scan", "photos", expect=2).stderr.endswith("held by process 7\n")


def test_a_defect_keeps_its_traceback(place: Path, behind: Behind) -> None:
    behind.fails = RuntimeError("a defect")
    result = CliRunner().invoke(app, ["scan", "photos"])
    assert isinstance(result.exception, ExceptionGroup)


# ------------------------------------------------------------------------------------------ other commands


def test_run_and_analyse_and_the_services_hand_the_settings_on(
    place: Path, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = photosift("run", "photos")
    assert f"watching {place}/photos; proposing only" in result.stderr
    photosift("analyse", "photos", "-t", "1")
    monkeypatch.setenv("PHOTOSIFT_ROOTS", str(place / "photos"))
    assert "set nats_url" in photosift("watcher", expect=2).stderr
    monkeypatch.setenv("PHOTOSIFT_NATS_URL", "nats://nas:4222")
    for name in ("watcher", "analyser", "resolver"):
        photosift(name)
    assert [call[0] for call in behind.calls] == ["run", "analyse", "watcher", "analyser", "resolver"]


def test_s6_analyse_only_proposes_whatever_the_settings_say(place: Path, behind: Behind) -> None:
    (place / "photosift.yaml").write_text("action: delete\nallow_delete: true")
    photosift("analyse", "photos")
    assert behind.calls[0][1].acting == "propose"


def test_run_obeys_the_one_setting_about_acting(place: Path, behind: Behind) -> None:
    (place / "photosift.yaml").write_text("action: move\ntarget: away")
    photosift("run", "photos")
    photosift("run", "photos", "--dry-run")
    assert [call[1].acting for call in behind.calls] == ["move", "propose"]


def test_demo_draws_a_library_and_runs_on_it(place: Path, behind: Behind) -> None:
    result = photosift("demo", "--folder", "shown")
    assert "24 pictures drawn" in result.stderr
    assert behind.calls[0][1].roots[0].path == place / "shown" / "library"


def test_restore_asks_by_exactly_one_of_its_ways(place: Path, behind: Behind) -> None:
    photosift("scan", "photos")
    photosift("restore", "photos/a.jpg")
    photosift("restore", "--decision", "d1")
    photosift("restore", "--batch", "b1")
    assert photosift("restore", "--since", "2024-05-01T00:00:00+00:00").stdout == "2 files\n"
    by_path, by_decision, by_batch, by_time = behind.requests
    assert isinstance(by_path, RestoreRequested)
    assert by_path.file is not None
    assert by_path.file.photo == PhotoPath("photos", b"a.jpg")
    assert by_decision.decision_id == "d1"  # type: ignore[attr-defined]
    assert by_batch.batch_id == "b1"  # type: ignore[attr-defined]
    assert by_time.since == 1714521600.0  # type: ignore[attr-defined]
    assert len({request.request_id for request in behind.requests}) == 4


@pytest.mark.parametrize(
    "arguments", [[], ["photos/a.jpg", "--since", "1h"], ["--since", "soon"], ["/elsewhere/a.jpg"]]
)
def test_restore_refuses_anything_else(place: Path, behind: Behind, arguments: list[str]) -> None:
    assert photosift("restore", *arguments, expect=2).stderr.count("\n") == 1
    assert behind.requests == []


def test_adopt_and_allow_and_confirm_ask_the_service(place: Path, behind: Behind) -> None:
    photosift("scan", "photos")
    photosift("adopt", "photos")
    photosift("adopt", str(place / "photos"))
    photosift("allow", "photos/Phone/")
    photosift("allow", "photos:Phone")
    photosift("confirm", "breaker", "--root", "photos")
    photosift("confirm")
    one, two, first, second, breaker, *both = behind.requests
    assert isinstance(one, AdoptRequested)
    assert one.root == two.root == "photos"  # type: ignore[attr-defined]
    assert isinstance(first, AllowRequested)
    assert first.folder == second.folder  # type: ignore[attr-defined]
    assert (first.folder.root, first.folder.rel) == ("photos", b"Phone")
    assert isinstance(breaker, ConfirmRequested)
    assert (breaker.what, breaker.root) == ("breaker", "photos")
    assert [each.what for each in both] == ["breaker", "disappearances"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("done", "count", "said"),
    [
        (True, 3, "3 of 4 files are back\n"),
        (False, 3, "Not all of it: 3 of 4 files are back\n"),
        (False, 0, "Not done: 3 of 4 files are back\n"),
    ],
)
def test_an_answer_is_told_in_the_words_of_a_person(
    place: Path, behind: Behind, done: bool, count: int, said: str
) -> None:
    behind.answer = {"done": done, "count": count, "explanation": "3 of 4 files are back", "by": "executor@nas"}
    assert photosift("restore", "--since", "1h").stdout == said


def test_s24_a_whole_root_is_allowed_by_its_own_path(place: Path, behind: Behind) -> None:
    photosift("scan", "photos")
    (place / "link").symlink_to(place / "photos")
    for own in ("photos", "photos/", str(place / "photos"), "link"):
        photosift("allow", own)
    asked = [each.folder for each in behind.requests if isinstance(each, AllowRequested)]
    assert [(folder.root, folder.rel) for folder in asked] == [("photos", b"")] * 4


@pytest.mark.parametrize("given", ["photos:", "", ".", ".."])
def test_s24_nothing_else_allows_a_whole_root(place: Path, behind: Behind, given: str) -> None:
    """A variable that was empty in a script, or the folder above."""
    photosift("scan", "photos")
    assert photosift("allow", given, expect=2).stderr.count("\n") == 1
    assert behind.requests == []


def test_nobody_answering_is_said_and_exits_with_3(place: Path, behind: Behind) -> None:
    behind.answers = 0
    assert "nobody answered" in photosift("confirm", "breaker", expect=3).stderr


@pytest.mark.parametrize("arguments", [["adopt", "nope"], ["confirm", "everything"], ["confirm", "--root", "nope"]])
def test_what_does_not_exist_cannot_be_adopted_or_confirmed(place: Path, behind: Behind, arguments: list[str]) -> None:
    assert photosift(*arguments, expect=2).stderr.count("\n") == 1
    assert behind.requests == []


def test_explain_prints_sentences_or_json(place: Path, behind: Behind) -> None:
    photosift("scan", "photos")
    assert photosift("explain", "photos/a.jpg").stdout == "/p/a.jpg\nNo copy of it is known.\n"
    assert json.loads(photosift("explain", "photos/a.jpg", "--format", "json").stdout)["known"]["version"] == 18


def test_audit_prints_an_address(place: Path, behind: Behind) -> None:
    assert photosift("audit").stdout == "nats://a:b@h\n"


@pytest.mark.parametrize("options", [[], ["--exact"]])
def test_signature_prints_a_json_object_a_line_and_goes_on_after_a_bad_file(place: Path, options: list[str]) -> None:
    odd = os.fsdecode(b"photos/\xff.jpg")
    for name in ("photos/a.jpg", odd):
        write_photo(Path(name), 1)
    Path("photos/bad.jpg").write_text("no picture")
    Path("photos/none.jpg").touch()
    result = photosift("signature", *options, "photos/bad.jpg", "photos/a.jpg", odd, "photos/none.jpg")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["path"], first["mode"]) == ("photos/a.jpg", "exact" if options else "canonical")
    assert len(first["values"]) == 648
    assert set(first["values"]) <= {-2, -1, 0, 1, 2}
    assert second["values"] == first["values"]
    assert second["path_b64"] == "cGhvdG9zL/8uanBn"
    assert result.stderr == (
        "photosift: photos/bad.jpg: The content is no picture of a known kind. It is text.\n"
        "photosift: photos/none.jpg: It has no bytes.\n"
    )


def test_signature_of_a_file_that_is_not_there_exits_with_2(place: Path) -> None:
    write_photo(place / "a.jpg", 1)
    result = photosift("signature", "nope.jpg", "a.jpg", expect=2)
    assert result.stderr == "photosift: nope.jpg: there is no such file\n"
    assert json.loads(result.stdout)["path"] == "a.jpg"


# ------------------------------------------------------------------------------------------------- config


def test_config_reference_check_and_import(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "photosift.yaml").write_text(photosift("config", "reference").stdout)
    checked = photosift("config", "check").stdout
    assert f"# settings file: {place}/photosift.yaml" in checked
    assert f'state_dir: "{place}/state"  # PHOTOSIFT_STATE_DIR' in checked
    (place / "old.yaml").write_text(
        "py_image_dedup: {dry_run: false, analysis: {threads: 3}, elasticsearch: {host: x}}"
    )
    result = photosift("config", "import", "old.yaml", "--output", "new.yaml")
    assert "threads: 3" in (place / "new.yaml").read_text()
    assert "not carried over: elasticsearch.host" in result.stderr
    assert "deleted duplicates" in result.stderr
    monkeypatch.setenv("PY_IMAGE_DEDUP_ANALYSIS_THREADS", "4")
    assert "threads: 4" in photosift("config", "import", "env").stdout


def test_config_that_cannot_be_written_is_wrong_usage(place: Path) -> None:
    (place / "old.yaml").write_text("py_image_dedup: {analysis: {threads: 3}}")
    refused = photosift("config", "import", "old.yaml", "-o", "nodir/new.yaml", expect=2)
    assert refused.stderr == "photosift: nodir/new.yaml: cannot be written: No such file or directory\n"


def test_config_never_writes_over_a_file(place: Path) -> None:
    (place / "mine.yaml").write_text("action: propose")
    result = photosift("config", "reference", "-o", "mine.yaml", expect=2)
    assert "is there already" in result.stderr
    assert (place / "mine.yaml").read_text() == "action: propose"


def commands() -> list[list[str]]:
    from typer.main import get_command

    top: Any = get_command(app)
    return [
        [name, *sub]
        for name, found in top.commands.items()
        for sub in ([[c] for c in getattr(found, "commands", [])] or [[]])
    ]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_helps_with_examples(command: list[str]) -> None:
    out = photosift(*command, "--help").stdout
    assert f"Usage: photosift {' '.join(command)}" in out.replace("root ", "photosift ")
    assert "Examples:" in out
    assert not re.search(r"<\w|\{|\[\[|\.\.\.$", out, re.MULTILINE), "names as the documentation writes them"
    assert f"photosift {' '.join(command)}" in out.partition("Examples:")[2]


def test_the_page_of_the_documentation_is_the_one_that_the_code_writes() -> None:
    from services.cli.page import page

    written = (REPOSITORY / "docs" / "commands.md").read_text()
    assert written == page(), "run: python -m services.cli.page > docs/commands.md"
    assert "None" not in written


def test_a_request_is_given_up_when_told_to_stop(place: Path, behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(settings: Settings, request: Request, *, timeout: float, **_: object) -> list[RequestAnswered]:
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(services.asking, "ask_service", never)
    photosift("restore", "--since", "1h", expect=3)

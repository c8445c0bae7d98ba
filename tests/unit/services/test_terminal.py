"""What a person sees: bars or lines for the phases, a table for a group, and no name that moves the cursor."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from services.cli.moments import moment, moment_text
from services.question import Asker, question
from services.terminal import PHASES, ApplyCount, BarProgress, Phase, PlainProgress, shown_progress, size_text
from services.terminal_report import Invocation, cells, common_folder, left_out, what_now, write_outcome
from shared.messages.resolution import MatchClass
from tests.unit.services.test_cli import REPORT, ROWS


class Screen(io.StringIO):
    """A terminal as far as programs ask."""

    def isatty(self) -> bool:
        return True


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def test_lines_are_one_at_the_start_and_one_at_the_end_of_a_phase() -> None:
    out = io.StringIO()
    with shown_progress(out) as progress:
        assert isinstance(progress, PlainProgress)
        for phase in PHASES:
            progress.phase(phase)
            progress.total(phase, 5000)
            for _ in range(5000):
                progress.advance(phase)
            progress.done(phase)
            progress.done(phase)
    assert len(out.getvalue().splitlines()) == 2 * len(PHASES)
    assert "Analyse new and changed files: 5000 done" in out.getvalue()


def test_bars_show_all_six_phases_and_notes_without_markup() -> None:
    out = Screen()
    with shown_progress(out) as progress:
        assert isinstance(progress, BarProgress)
        for phase in PHASES:
            progress.phase(phase)
            progress.total(phase, 3)
            progress.advance(phase, 2)
            progress.done(phase)
        progress.note("[bold]a\x1b[2Jb")
        with progress.paused():
            out.write("asked here")
    shown = ESCAPES.sub("", out.getvalue())
    assert all(heading in shown for heading in PHASES.values())
    assert r"[bold]a\x1b[2Jb" in shown
    assert "asked here" in shown


def drawn(text: str) -> list[str]:
    """The lines that stand on a terminal in the end: line feeds, returns, cursor up and erased lines obeyed."""
    lines, at = [""], 0
    for part in re.split(r"(\r?\n|\r|\x1b\[\d*A|\x1b\[2K|\x1b\[[0-9;?]*[a-zA-Z])", text):
        if part.endswith("\n"):
            at += 1
            lines += [""] * (at + 1 - len(lines))
        elif part.endswith("A") and part.startswith("\x1b"):
            at -= int(part[2:-1] or 1)
        elif part == "\x1b[2K":
            lines[at] = ""
        elif part and part != "\r" and not part.startswith("\x1b"):
            lines[at] += part
    return lines


def test_no_bar_is_left_on_the_screen_twice_when_a_person_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    out = Screen()
    with shown_progress(out) as progress:
        assert isinstance(progress, BarProgress)
        for phase in PHASES:
            progress.phase(phase)
            if phase == "act":
                with progress.paused():
                    out.write("asked here\n")
            progress.advance(phase)
            progress.done(phase)
    seen = drawn(out.getvalue())
    assert [sum(line.startswith(heading[:20]) for line in seen) for heading in PHASES.values()] == [1] * len(PHASES)
    assert "asked here" in seen


def test_a_bar_is_never_more_than_full_and_counts_nothing_after_its_end() -> None:
    out = Screen()
    with shown_progress(out) as progress:
        progress.phase("analyse")
        progress.total("analyse", 1)
        progress.advance("analyse", 5)
        progress.done("analyse")
        progress.phase("clean")
        progress.done("clean")
        progress.advance("clean", 3)
        progress.advance("analyse", 2)
    shown = ESCAPES.sub("", out.getvalue())
    assert "5/5" in shown
    assert "0/0" in shown
    assert not re.search(r"5/1|7/|3/", shown)


def test_bars_stand_in_the_order_of_the_phases_whatever_is_counted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    out = Screen()
    with shown_progress(out) as progress:
        progress.advance("rank", 2)
        progress.phase("analyse")
        progress.done("analyse")
        progress.phase("rank")
        progress.done("rank")
    first, second, *_ = drawn(out.getvalue())
    assert first.startswith(PHASES["analyse"])
    assert second.startswith(PHASES["rank"])
    assert "2/2" in second


def test_where_only_similar_copies_are_proposed_the_next_step_says_so() -> None:
    call = Invocation(folders=(Path("/p"),), proposing=True, started="now")
    assert "no copy has the same bytes" in next(iter(what_now([ROWS[1]], call)))
    assert "move exact copies" in next(iter(what_now([replace(ROWS[1], match_class="same-bytes")], call)))


def test_lines_count_nothing_after_the_end_of_a_phase_either() -> None:
    out = io.StringIO()
    progress = PlainProgress(out)
    progress.advance("analyse", 2)
    progress.phase("analyse")
    progress.done("analyse")
    progress.advance("analyse", 3)
    assert progress.advanced["analyse"] == 2
    assert out.getvalue().splitlines() == [
        "Analyse new and changed files …",
        "Analyse new and changed files: 2 done",
    ]


def test_before_it_acts_a_person_reads_which_class_would_leave_which_folder() -> None:
    folders: dict[str, dict[MatchClass, int]] = {f"/p/{n}/": {"same-bytes": 1} for n in range(25)}
    folders["/p/full/"] = {"same-bytes": 3, "similar": 2}
    count = ApplyCount(
        action="move",
        classes=("same-bytes", "similar"),
        target="/t",
        by_class={"same-bytes": 28, "similar": 2},
        files=30,
        bytes=30,
        limit=200,
        folders=folders,
    )
    asked = question(count).splitlines()
    assert asked[:2] == ["Copies that would go, by folder:", "    /p/full/: 3 same-bytes, 2 similar"]
    assert asked[21] == "    and 6 files in 6 more folders"
    assert asked[22] == "About to move 30 files (28 same-bytes, 2 similar; 30 B) to /t."


def test_after_an_act_the_batch_is_named_that_puts_it_back() -> None:
    call = Invocation(folders=(), proposing=False, started="2024-05-01T00:00:00")
    rows = [replace(ROWS[1], action="moved")]
    assert next(iter(what_now(rows, call, ["b1"]))).endswith("photosift restore --batch b1")
    assert next(iter(what_now(rows, call))).endswith("photosift restore --since 2024-05-01T00:00:00")


def test_what_was_left_out_says_why_in_a_sentence() -> None:
    unreadable = [
        {"path": "/p/a", "reason": "truncated", "explanation": "cut"},
        {"path": "/p/b", "reason": "truncated", "explanation": "torn"},
    ]
    skipped = [{"path": "/p/gone", "rule": "root-unknown", "reason": "its folder is not there"}]
    assert list(left_out({"unreadable": unreadable, "skipped": skipped})) == [
        "Unreadable, truncated: 2",
        "    /p/a: cut",
        "    /p/b: torn",
        "Skipped, root-unknown: 1 (its folder is not there)",
        "    /p/gone",
    ]


def test_a_phase_that_was_never_begun_may_be_counted_and_ended() -> None:
    names: list[Phase] = ["clean", "act"]
    for out in (io.StringIO(), Screen()):
        with shown_progress(out) as progress:
            for phase in names:
                progress.advance(phase)
                progress.done(phase)


def test_a_table_on_a_terminal_escapes_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out = Screen()
    call = Invocation(folders=(), proposing=False, started="now")
    write_outcome(out, ROWS, REPORT, call)
    shown = ESCAPES.sub("", out.getvalue())
    assert "\x1b[2J" not in out.getvalue()
    assert "Group 1" in shown
    assert "higher-pixel-count" in shown


def test_a_table_names_the_folder_of_a_group_once_and_the_files_below_it() -> None:
    assert common_folder([b"/photos/2024/a.jpg", b"/photos/2024/b.jpg"]) == b"/photos/2024"
    assert common_folder([b"/photos/a.jpg", b"/photos/2024/b.jpg"]) == b"/photos"
    assert common_folder([b"/photos/a.jpg", b"/phone/a.jpg"]) == b""
    [row] = [replace(ROWS[0], path=b"/photos/2024/a.jpg")]
    assert cells(row, below=b"/photos")[1] == "2024/a.jpg"
    assert cells(row)[1] == "/photos/2024/a.jpg", "in a pipe, and where nothing is shared, the whole path"


def test_nothing_to_do_is_not_asked_about() -> None:
    count = ApplyCount(action="move", classes=(), target=None, by_class={}, files=0, bytes=0, limit=20)
    asker = Asker(agreed=False, terminal=False)
    assert asker(count) is False
    assert asker.refused is None


def test_s13_an_agreement_beforehand_goes_beyond_the_limit_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    count = ApplyCount(
        action="delete",
        classes=("same-bytes", "similar"),
        target=None,
        by_class={"similar": 99},
        files=99,
        bytes=1,
        limit=2,
    )
    assert Asker(agreed=True, terminal=False)(count) is True
    said = capsys.readouterr().err
    assert "About to move 99 files (99 similar; 1 B) into the quarantine" in said
    assert "burst may be among them" in said


def test_sizes_are_short() -> None:
    assert [size_text(n) for n in (0, 999, 1000, 1_500_000, 2 * 10**12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.5 MB",
        "2.0 TB",
    ]


def test_moments_are_ago_or_dates_and_are_read_back() -> None:
    assert [moment(text, now=100_000) for text in ("30s", "2h", "1d", "0:30:00")] == [99_970, 92_800, 13_600, 98_200]
    assert moment(moment_text(1_714_521_600.9)) == 1_714_521_600

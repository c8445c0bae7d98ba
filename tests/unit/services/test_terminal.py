"""What a person sees: bars or lines for the phases, a table for a group, and no name that moves the cursor."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from services.cli.moments import moment, moment_text
from services.terminal import PHASES, ApplyCount, Asker, BarProgress, Phase, PlainProgress, shown_progress, size_text
from services.terminal_report import Invocation, cells, common_folder, write_outcome
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

from __future__ import annotations

import pytest
import structlog

from shared.telemetry import logs


def test_a_file_name_cannot_move_the_cursor_of_the_terminal_that_shows_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(verbose=1)
    structlog.get_logger().info("analyser.file_analysed", path="\x1b[2Jevil\nname")
    printed = capsys.readouterr().err
    assert "\x1b[2J" not in printed
    assert printed.count("\n") == 1


def test_without_verbose_only_warnings_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.get_logger().info("watcher.file_settled")
    structlog.get_logger().warning("watcher.root_unknown")
    assert "watcher.root_unknown" in (printed := capsys.readouterr().err)
    assert "watcher.file_settled" not in printed

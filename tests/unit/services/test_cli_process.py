"""The command in a process of its own: quick to start, light, quiet when its reader leaves, no traceback."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.data import REPOSITORY
from tests.support.program import PHOTOSIFT, environment, photosift


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_version_and_help(state: Path) -> None:
    from importlib.metadata import version

    assert photosift("--version", state=state).stdout == f"photosift {version('photosift')}\n"
    assert "Exit codes:" in photosift("--help", state=state).stdout
    photosift(state=state, expect=2)


def test_help_and_settings_load_nothing_heavy(state: Path) -> None:
    program = """
        import sys
        from typer.testing import CliRunner
        from services.cli import app
        CliRunner().invoke(app, ["--help"])
        heavy = {"numpy", "nats", "PIL", "rich", "rawpy", "pydantic", "yaml", "sqlite3", "structlog"} & set(sys.modules)
        assert not heavy, heavy
        CliRunner().invoke(app, ["config", "check"])
        heavy = {"numpy", "nats", "PIL", "rich", "rawpy"} & set(sys.modules)
        assert not heavy, heavy
    """
    run = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(run, cwd=REPOSITORY, env=environment(state), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_mistake_is_one_line_on_standard_error(state: Path) -> None:
    done = photosift("scan", "nope", state=state, expect=2)
    assert (done.stdout, done.stderr) == ("", "photosift: nope: no such folder\n")
    done = photosift("config", "check", state=state, expect=2, PHOTOSIFT_TYPO="1")
    assert done.stderr.startswith("photosift: PHOTOSIFT_TYPO: unknown setting")
    assert done.stderr.count("\n") == 1


def test_the_reference_is_a_settings_file(state: Path) -> None:
    reference = photosift("config", "reference", state=state).stdout
    (state.parent / "photosift.yaml").write_text(reference)
    assert "photosift.yaml, line" in photosift("config", "check", state=state).stdout


def test_a_terminal_without_letters_for_a_name_gets_it_escaped(state: Path) -> None:
    (state.parent / "photosift.yaml").write_text("target: /日本\n", encoding="utf-8")
    out = photosift("config", "check", state=state, PYTHONIOENCODING="latin-1", PYTHONUTF8="0").stdout
    assert r"/\u65e5\u672c" in out


@pytest.mark.parametrize("command", ["--version", "--help", "config reference"])
@pytest.mark.parametrize(("reader", "said"), [(">/dev/full", "No space left on device"), ("| true", "")])
def test_output_that_nobody_takes_is_no_traceback(state: Path, command: str, reader: str, said: str) -> None:
    shell = f"set -o pipefail; exec 3>&1; (sleep 0.3; {PHOTOSIFT} {command}) {reader}"
    done = subprocess.run(["bash", "-c", shell], env=environment(state), capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert said in done.stderr
    assert done.stderr.count("\n") == (1 if said else 0)


ASK = """
    import asyncio, sys
    from services.question import Asker
    from services.terminal import ApplyCount
    stop = asyncio.Event()
    asker = Asker(agreed=False, terminal=sys.stdin.isatty() and sys.stderr.isatty(), stop=stop)
    count = ApplyCount(action="move", classes=("same-bytes",), target="/t", by_class={"same-bytes": FILES},
                       files=FILES, bytes=3, limit=20)
    async def work():
        asking = asyncio.create_task(asyncio.to_thread(asker, count))
        if STOPPED:
            asyncio.get_running_loop().call_later(0.1, stop.set)
        return await asking
    print(asyncio.run(work()), asker.declined, asker.refused)
"""


def on_a_terminal(state: Path, typed: bytes, *, files: int = 3, stopped: bool = False) -> str:
    """What the question printed, asked on a terminal of its own."""
    program = textwrap.dedent(ASK).replace("FILES", str(files)).replace("STOPPED", str(stopped))
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env=environment(state),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while select.select([mine], [], [], 30)[0]:
            try:
                seen += os.read(mine, 4096)
            except OSError:  # the other side is closed
                break
            if typed and b"[y/N]" in seen:
                os.write(mine, typed)
                typed = b""
    finally:
        process.kill()
        process.wait()
        os.close(mine)
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(("typed", "agreed"), [(b"y\n", True), (b"YES\n", True), (b"n\n", False), (b"\n", False)])
def test_on_a_terminal_the_count_is_printed_and_asked_about(state: Path, typed: bytes, agreed: bool) -> None:
    seen = on_a_terminal(state, typed)
    assert "About to move 3 files (3 same-bytes; 3 B) to /t." in seen
    assert seen.endswith(f"{agreed} {not agreed} None\n")


def test_s13_beyond_the_breakers_limit_a_question_is_not_enough(state: Path) -> None:
    seen = on_a_terminal(state, b"", files=21)
    assert "[y/N]" not in seen
    assert "False False 21 files are more than the breaker's limit of 20: nothing was moved" in seen


def test_a_signal_does_not_wait_for_the_enter_key(state: Path) -> None:
    assert on_a_terminal(state, b"", stopped=True).endswith("False True None\n")


@pytest.mark.parametrize("service", ["watcher", "analyser", "resolver"])
def test_s21_a_bus_that_does_not_answer_is_named_without_its_password_and_waiting_for_it_ends_at_once(
    service: str, state: Path
) -> None:
    process = subprocess.Popen(
        [PHOTOSIFT, service],
        env=environment(
            state, PHOTOSIFT_NATS_URL="nats://somebody:s3cret@127.0.0.1:1", PHOTOSIFT_ROOTS=str(state.parent)
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        assert "bus.server_awaited" in first
        assert "127.0.0.1:1" in first
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert "s3cret" not in first + rest
    assert "Traceback" not in rest
    assert process.returncode == 3

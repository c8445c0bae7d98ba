"""photosift as a user starts it: the installed command, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: the command beside the interpreter that runs the tests
PHOTOSIFT = Path(sys.executable).with_name("photosift")


def environment(state: Path, **settings: str) -> dict[str, str]:
    """A clean environment: nothing of the user's settings, a state folder of the test's own, no fixed port."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PHOTOSIFT_")}
    home = state.parent / "home"
    home.mkdir(exist_ok=True)
    ours = {"PHOTOSIFT_STATE_DIR": str(state), "PHOTOSIFT_STATS_PORT": "0", "HOME": str(home), "COLUMNS": "200"}
    return {**kept, **ours, "XDG_CONFIG_HOME": str(home), "XDG_STATE_HOME": str(home), **settings}


def photosift(
    *arguments: str | Path, state: Path, expect: int | None = 0, timeout: float = 100, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its exit code is checked unless ``expect`` is None."""
    done = subprocess.run(
        [PHOTOSIFT, *map(str, arguments)],
        env=environment(state, **settings),
        cwd=state.parent,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
    )
    assert expect is None or done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def scan(*folders: Path, state: Path, options: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """``photosift scan … --format json``, parsed: standard output holds the object alone."""
    done = photosift("scan", *folders, "--format", "json", *options, state=state, **more)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def running(*arguments: str | Path, state: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A command that stays, ended with SIGTERM (SIGKILL after 20 s) when the test is done with it."""
    log = state.parent / f"{arguments[0]}.log"
    with log.open("a") as out:
        process = subprocess.Popen(
            [PHOTOSIFT, *map(str, arguments)],
            env=environment(state, **settings),
            cwd=state.parent,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield process
        finally:
            end(process)


def until(holds: Callable[[], bool], process: subprocess.Popen[str], *, seconds: float = 60) -> None:
    """Wait for something that a process does; it must go on running meanwhile."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    """Send a signal, wait, and say how it ended."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def files_below(folder: Path) -> Mapping[str, bytes]:
    """Every regular file by its relative path, with its bytes; photosift's own folders left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and ".photosift" not in path.parts
    }

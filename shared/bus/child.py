"""A child process that ends with its parent, reports its lines and its end, and is never left unreaped."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial

#: asks the kernel for SIGTERM when the parent is gone, checks that it is not gone already, becomes the real program
_LAUNCH = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None)
if hasattr(libc, "prctl"):
    libc.prctl(1, signal.SIGTERM, 0, 0, 0)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class Child:
    """Started on creation, in a session of its own: Ctrl-C on the terminal is for photosift to pass on, in order.

    PR_SET_PDEATHSIG watches the *thread* that started the process. So that no short-lived thread does, each child has
    one of its own, which reads the child's standard error and lives exactly as long as the child.
    """

    def __init__(self, command: Sequence[str], on_line: Callable[[str], None]) -> None:
        self._command, self._on_line = command, on_line
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[int] = self._loop.create_future()
        #: set when the process is gone and reaped
        self.gone = asyncio.Event()
        self.returncode: int | None = None
        self._thread = threading.Thread(
            target=self._live, name=f"parent of {os.path.basename(command[0])}", daemon=True
        )
        self._thread.start()

    async def pid(self) -> int:
        """Raises ``OSError`` where it could not be started."""
        return await asyncio.shield(self._started)

    def _live(self) -> None:
        launch = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *self._command]
        try:
            process = subprocess.Popen(
                launch,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="backslashreplace",
                start_new_session=True,
            )
        except OSError as error:
            return self._tell(partial(self._failed, error))
        with process:
            self._tell(partial(self._started.set_result, process.pid))
            assert process.stderr is not None
            for line in process.stderr:
                self._tell(partial(self._on_line, line.rstrip()))
        self._tell(partial(self._ended, process.returncode))

    def _tell(self, what: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:
            return  # the loop is closed: nobody listens any more, but the child's lines must still be read

    def _failed(self, error: OSError) -> None:
        self._started.set_exception(error)
        self.gone.set()

    def _ended(self, returncode: int) -> None:
        self.returncode = returncode
        self.gone.set()

    async def end(self, within: float) -> None:
        """SIGTERM; SIGKILL when that is not enough. Returns when it is gone."""
        for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGKILL):
            if self.gone.is_set():
                break
            _signal(await self.pid(), number)
            if number == signal.SIGTERM:  # one that was stopped (SIGSTOP) hears nothing until it is continued
                continue
            try:
                await asyncio.wait_for(self.gone.wait(), within)
            except TimeoutError:
                continue
        self.join(within)

    def join(self, within: float) -> None:
        """Wait for the thread, which ends right after the process."""
        self._thread.join(within)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it went by itself; its end is on its way

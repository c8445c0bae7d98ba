"""Worker processes: a bad file costs one of them, and no other file anything. (S17)

Each process is this Python with ``services.analyser.worker``, started afresh (no fork of a program with threads), fed
by pipes. A file that takes too long ends its process; a process that ends by itself is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from types import TracebackType

import structlog

from services.analyser.examining import Options
from services.analyser.results import Refused, Result, decode_result, encode_task, task_for
from services.analyser.worker import READY
from shared.config import Analysis
from shared.errors import TransientError
from shared.messages.base import FileStat
from shared.paths import PhotoPath
from shared.signature import Signature

log = structlog.get_logger()

#: seconds in which a new process must be ready
_START = 30.0
#: a process is replaced after so many files, whatever its libraries have kept
_FILES_EACH = 5_000
_LONGEST_LINE = 1 << 20
#: one thread each: the processes are the parallelism
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}


class NoWorker(TransientError):
    """No worker process could be started."""

    code = "no-worker"


class WorkerPool:
    """So many worker processes, one file at a time each. An asynchronous context manager."""

    def __init__(self, analysis: Analysis) -> None:
        self.size: int = analysis.threads or len(os.sched_getaffinity(0))
        self._seconds = analysis.seconds_per_file
        self._options = Options.of(analysis)
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._workers: list[_Worker] = []

    async def __aenter__(self) -> WorkerPool:
        self._workers = [_Worker(self._options) for _ in range(self.size)]
        try:
            await asyncio.gather(*(worker.start() for worker in self._workers))
        except BaseException:
            await self.close()
            raise
        for worker in self._workers:
            self._idle.put_nowait(worker)
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """End the processes; what they were at is lost."""
        await asyncio.gather(*(worker.end() for worker in self._workers))

    @property
    def idle(self) -> int:
        """How many wait for a file."""
        return self._idle.qsize()

    @property
    def pids(self) -> list[int]:
        """The processes alive now."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def analyse(
        self, path: PhotoPath, folder: Path, expected: FileStat | None, signature: Signature | None = None
    ) -> Result:
        """Examine the file ``path`` in its root ``folder``; waits for a free worker.

        ``expected``: what it was when it settled. ``signature``: where it is known; then the file is read, hashed and
        described, and not decoded. Never raises for what a file may be: ``timeout`` and
        ``worker-died`` are reasons too. Raises ``NoWorker`` where none can be started.
        """
        worker = await self._idle.get()
        try:
            return await self._ask(worker, encode_task(task_for(path, folder, expected, signature)))
        finally:
            self._idle.put_nowait(worker)

    async def _ask(self, worker: _Worker, task: bytes) -> Result:
        await worker.start()
        try:
            async with asyncio.timeout(self._seconds):
                return decode_result(await worker.answer_to(task))
        except TimeoutError:
            await worker.end()
            return Refused(reason="timeout", explanation=f"it took longer than {self._seconds:g} seconds to decode")
        except (OSError, EOFError, ValueError):
            return Refused(reason="worker-died", explanation=f"decoding it ended the worker ({await worker.end()})")
        except asyncio.CancelledError:
            await worker.end()
            raise


class _Worker:
    """One process at a time."""

    def __init__(self, options: Options) -> None:
        self._arguments = json.dumps(dataclasses.asdict(options))
        self._process: asyncio.subprocess.Process | None = None
        self._files = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Have a process that is ready. Raises ``NoWorker``."""
        if self.pid is not None and self._files < _FILES_EACH:
            return
        await self.end()
        self._files = 0
        self._process = await self._spawned()
        try:
            async with asyncio.timeout(_START):
                ready = await self._line()
        except (TimeoutError, OSError, EOFError) as error:
            raise NoWorker(f"({await self.end()})") from error
        if ready != READY:
            raise NoWorker(f"({ready[:100]!r})")

    async def _spawned(self) -> asyncio.subprocess.Process:
        command = (sys.executable, "-P", "-m", "services.analyser.worker", str(os.getpid()), self._arguments)
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, **_ONE_THREAD},
                limit=_LONGEST_LINE,
                process_group=0,  # Ctrl-C at the terminal does not reach it
            )
        except OSError as error:
            raise NoWorker(f"({error.strerror})") from error

    async def answer_to(self, task: bytes) -> bytes:
        """Raises ``EOFError`` or ``OSError`` where the process ends instead."""
        process = self._running()
        assert process.stdin is not None
        self._files += 1
        process.stdin.write(task)
        return await self._line()

    async def end(self) -> str:
        """Kill the process if it is there; says how it ended."""
        process, self._process = self._process, None
        if process is None:
            return "not running"
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None and not _ending_by_itself(process):
                process.kill()
        code = await process.wait()
        _close(process)
        return _how(code)

    async def _line(self) -> bytes:
        process = self._running()
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return line

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise EOFError
        return self._process


def _ending_by_itself(process: asyncio.subprocess.Process) -> bool:
    """Its output is closed: it died, and its own exit code is wanted, not that of our kill."""
    return process.stdout is not None and process.stdout.at_eof()


def _close(process: asyncio.subprocess.Process) -> None:
    """Let go of the pipes at once, not when the garbage is collected."""
    process._transport.close()  # type: ignore[attr-defined]


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"

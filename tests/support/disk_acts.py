"""What other processes do to a disk in tests: act and be killed, race for a name, hold a file open, swap a folder.

Every function here is the body of a process; ``PROCESSES`` starts them from one clean server process, in milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.port import PRIVATE

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.support.disk_acts"])

VICTIM = b"2019/victim.jpg"
ITEM = PRIVATE + b"/quarantine/item-1/photo"
TARGET = b"sorted/victim.jpg"


def act(name: str, source: Path, target: Path, sha256: str, fault: Any) -> None:
    """One act of the disk, as the executor would do it."""
    disk = LocalDisk(fault)
    with ExitStack() as stack:
        root, other = (stack.enter_context(disk.open_root(path)) for path in (source, target))
        if name == "take":
            disk.rename(stack.enter_context(root.spot(VICTIM)), stack.enter_context(root.spot(ITEM, make_folders=True)))
        elif name == "give-back":
            disk.rename(stack.enter_context(root.spot(ITEM)), stack.enter_context(root.spot(VICTIM, make_folders=True)))
        elif name == "copy":
            file = stack.enter_context(stack.enter_context(root.spot(VICTIM)).open())
            disk.copy(file, stack.enter_context(other.spot(TARGET, make_folders=True)), sha256=sha256)
        elif name == "write":
            disk.write_private(stack.enter_context(root.spot(ITEM, make_folders=True)), b"{}" * 5000)
        else:
            raise AssertionError(name)


def act_until(step: str, name: str, source: Path, target: Path, sha256: str) -> None:
    """Act, and die as by ``kill -9`` where the step announces itself."""

    def fault(now: str) -> None:
        if now == step:
            os.kill(os.getpid(), signal.SIGKILL)

    act(name, source, target, sha256, fault)


def steps_of(name: str, source: Path, target: Path, sha256: str) -> list[str]:
    """The steps that the act announces here."""
    steps: list[str] = []
    act(name, source, target, sha256, steps.append)
    return steps


def create_each_round(folder: Path, rounds: int, barrier: Barrier, line: Connection) -> None:
    """A stranger who makes a new file of the wanted name, exclusively, in every round: each time a little later.

    Sends the rounds in which the name was free, and so the file theirs.
    """
    made: list[int] = []
    for number in range(rounds):
        barrier.wait(30)
        begin, later = (
            time.perf_counter_ns(),
            number % 50 * 10_000,
        )  # across half a millisecond, as long as a rename takes
        while time.perf_counter_ns() < begin + later:
            pass
        try:
            fd = os.open(folder / f"{number}.jpg", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            continue
        os.write(fd, b"theirs")
        os.close(fd)
        made.append(number)
    line.send(made)


def hold_open(path: Path, flags: int, line: Connection) -> None:
    """Hold a file open until told to let go."""
    fd = os.open(path, flags)
    line.send("open")
    line.recv()
    os.close(fd)


def open_for_writing_again_and_again(path: Path, line: Connection) -> None:
    line.send("begun")
    while not line.poll():
        os.close(os.open(path, os.O_WRONLY))


def ask_until_interrupted(folder: Path, name: bytes) -> None:
    """Ask for writers until one came just while we asked: the signal that the adapter chose tells."""
    interrupted: list[int] = []
    signal.signal(signal.SIGURG, lambda number, _frame: interrupted.append(number))
    with LocalDisk().open_root(folder) as root, root.spot(name) as spot, spot.open() as file:
        while not interrupted:
            file.is_open_elsewhere()


def swap_again_and_again(folder: Path, other: Path, line: Connection) -> None:
    """Replace a folder by a symbolic link to another, and back, until told to stop; the folder stands at the end."""
    aside = folder.with_name("aside")
    line.send("begun")
    while not line.poll():
        folder.rename(aside)
        folder.symlink_to(other)
        folder.unlink()
        aside.rename(folder)


def write_to_fifo(path: Path, line: Connection) -> None:
    """Wait for a reader of a FIFO, and say when one came."""
    line.send("begun")
    os.close(os.open(path, os.O_WRONLY))
    line.send("through")
    line.recv()


def become_a_fifo_again_and_again(path: Path, line: Connection) -> None:
    """Replace a file by a FIFO and back, in one step each, until told to stop."""
    fifo, file = path.with_name("fifo"), path.with_name("file")
    line.send("begun")
    while not line.poll():
        os.mkfifo(fifo)
        os.link(path, file)
        fifo.rename(path)
        file.rename(path)


class Helper:
    """A process and a line to it; told to stop, and waited for, when the ``with`` ends."""

    def __init__(self, target: Any, *arguments: object) -> None:
        self.line, theirs = PROCESSES.Pipe()
        self.process: BaseProcess = PROCESSES.Process(target=target, args=(*arguments, theirs))
        self.process.start()
        theirs.close()

    def __enter__(self) -> Helper:
        assert self.line.recv() in ("open", "begun")
        return self

    def wait_until_asleep(self) -> None:
        """Until the process sleeps in a system call: it has done all it does by itself."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "S":
            os.sched_yield()

    def __exit__(self, *_: object) -> None:
        self.line.send("stop")
        end(self.process)
        self.line.close()


def end(process: BaseProcess) -> int:
    """Its exit code, the number of the signal negated; the process is let go of."""
    process.join(240)
    code = process.exitcode
    process.close()
    assert code is not None
    return code

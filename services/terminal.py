"""What a person sees while photosift works: progress of the six phases, and the question before it acts.

Progress and questions go to standard error, so that standard output holds the result alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Literal, Protocol

from shared.messages.resolution import MatchClass
from shared.paths import printable

Phase = Literal["clean", "count", "analyse", "rank", "act", "folders"]

#: the phases in their order, and what a person reads
PHASES: Mapping[Phase, str] = {
    "clean": "Forget files that are gone",
    "count": "Count files",
    "analyse": "Analyse new and changed files",
    "rank": "Find copies and rank them",
    "act": "Move copies aside",
    "folders": "Remove emptied folders",
}
BURSTS = "'similar' is among the classes: pictures of one burst may be among them, look at them first"


@dataclass(frozen=True, kw_only=True)
class ApplyChoice:
    """What ``scan --apply`` was told to do."""

    action: Literal["move", "delete"]
    classes: tuple[MatchClass, ...]
    #: ``--yes``: a person has agreed beforehand
    agreed: bool = False


@dataclass(frozen=True, kw_only=True)
class ApplyCount:
    """What is about to happen, for the person who is asked."""

    action: Literal["move", "delete"]
    classes: tuple[MatchClass, ...]
    #: where the files go; None for quarantine
    target: str | None
    #: files by class
    by_class: Mapping[MatchClass, int]
    files: int
    bytes: int
    #: more files than this need ``--yes`` (S13)
    limit: int

    @property
    def beyond_limit(self) -> bool:
        return self.files > self.limit

    @property
    def includes_similar(self) -> bool:
        return "similar" in self.classes


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One file of a group in the table of ``scan``."""

    #: groups are numbered from 1
    group: int
    #: ``keep`` | ``propose`` | ``moved`` | ``quarantined`` | ``refused``
    action: str
    path: bytes
    #: signature distance to the keeper; None for the keeper itself
    distance: float | None
    #: bytes
    size: int
    width: int
    height: int
    #: name of the rule that prefers the keeper; empty for the keeper itself
    decided_by: str = ""
    #: why it was refused or is only proposed, for a person
    reason: str = ""


class Progress(Protocol):
    """Told by the work how far it is. May be called from any thread; never raises, never waits for a person."""

    def phase(self, name: Phase) -> None:
        """A phase begins."""
        ...

    def total(self, phase: Phase, n: int) -> None:
        """How much there is to do; may be corrected at any time."""
        ...

    def advance(self, phase: Phase, n: int = 1) -> None:
        """So much more of it is done."""
        ...

    def note(self, text: str) -> None:
        """A sentence for a person."""
        ...

    def done(self, phase: Phase) -> None:
        """A phase is over."""
        ...


@dataclass(kw_only=True)
class SilentProgress:
    """Nothing is said; what was told is kept, for tests and for services that nobody watches."""

    totals: dict[Phase, int] = field(default_factory=dict)
    advanced: dict[Phase, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    finished: list[Phase] = field(default_factory=list)

    def phase(self, name: Phase) -> None:
        self.advanced.setdefault(name, 0)

    def total(self, phase: Phase, n: int) -> None:
        self.totals[phase] = n

    def advance(self, phase: Phase, n: int = 1) -> None:
        self.advanced[phase] = self.advanced.get(phase, 0) + n

    def note(self, text: str) -> None:
        self.notes.append(text)

    def done(self, phase: Phase) -> None:
        self.finished.append(phase)


class PlainProgress(SilentProgress):
    """A line when a phase begins and one when it ends: for logs and pipes, where bars would be a flood."""

    def __init__(self, out: IO[str]) -> None:
        super().__init__()
        self._out = out

    def phase(self, name: Phase) -> None:
        if name not in self.advanced:
            self._say(f"{PHASES[name]} …")
        super().phase(name)

    def note(self, text: str) -> None:
        self._say(printable(text))

    def done(self, phase: Phase) -> None:
        if phase in self.finished:
            return
        super().done(phase)
        self._say(f"{PHASES[phase]}: {self.advanced.get(phase, 0)} done")

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)


class BarProgress:
    """Bars on a terminal, one a phase."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._tasks: dict[Phase, Any] = {}

    def _task(self, phase: Phase) -> Any:
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(PHASES[phase], total=None)
        return self._tasks[phase]

    def phase(self, name: Phase) -> None:
        self._task(name)

    def total(self, phase: Phase, n: int) -> None:
        self._bars.update(self._task(phase), total=n)

    def advance(self, phase: Phase, n: int = 1) -> None:
        self._bars.advance(self._task(phase), n)

    def note(self, text: str) -> None:
        self._bars.console.print(printable(text), markup=False, highlight=False)

    def done(self, phase: Phase) -> None:
        task = self._task(phase)
        completed = next(t.completed for t in self._bars.tasks if t.id == task)
        self._bars.update(task, total=completed or 1, completed=completed or 1)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The bars stand still while a person is asked."""
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()


@contextlib.contextmanager
def shown_progress(out: IO[str]) -> Iterator[PlainProgress | BarProgress]:
    """Bars where ``out`` is a terminal, plain lines elsewhere."""
    if not out.isatty():
        yield PlainProgress(out)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(file=out), redirect_stdout=False) as bars:
        yield BarProgress(bars)


def question(count: ApplyCount) -> str:
    """What a person is asked, with everything needed to answer."""
    kinds = ", ".join(f"{n} {name}" for name, n in sorted(count.by_class.items()))
    where = f"to {printable(count.target)}" if count.target else "into the quarantine of their own folder"
    lines = [f"About to move {count.files} files ({kinds}; {size_text(count.bytes)}) {where}."]
    if count.action == "delete":
        lines.append("From the quarantine they can be restored; nothing is removed there unless retention_days is set.")
    if count.includes_similar:
        lines.append(f"Note: {BURSTS}.")
    return "\n".join(lines)


@dataclass(kw_only=True)
class Asker:
    """Asks before ``scan --apply`` acts (S13). Called in a thread: it waits for a person, or for ``stop``."""

    agreed: bool
    terminal: bool
    stop: asyncio.Event | None = None
    pause: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    #: why nothing was done although it was asked for; the command then exits with 2
    refused: str | None = None
    declined: bool = False

    def __call__(self, count: ApplyCount) -> bool:
        if count.files == 0:
            return False
        with self.pause():
            _tell(question(count))
            self.refused = None if self.agreed else why_not_asked(count, terminal=self.terminal)
            if self.agreed or self.refused:
                return self.agreed
            answer = self._answer()
        self.declined = answer.strip().lower() not in ("y", "yes")
        return not self.declined

    def _answer(self) -> str:
        """A line from the person; empty when told to stop: the signal must not wait for the Enter key."""
        sys.stderr.write("Go on? [y/N] ")
        sys.stderr.flush()
        while not (self.stop and self.stop.is_set()):
            if select.select([sys.stdin], [], [], 0.2)[0]:
                return sys.stdin.readline()
        return ""


def why_not_asked(count: ApplyCount, *, terminal: bool) -> str | None:
    """[pure] Why a question is not enough and ``--yes`` is wanted, or None (S13)."""
    if count.beyond_limit:
        return (
            f"{count.files} files are more than the breaker's limit of {count.limit}: nothing was moved; "
            "look at the list, then repeat with --yes"
        )
    if not terminal:
        return f"{count.files} files to move, and no terminal to ask on: nothing was moved; repeat with --yes"
    return None


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def size_text(size: int) -> str:
    """``1.5 MB``; decimal, as shops and file managers count."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"

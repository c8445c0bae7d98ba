"""What a person sees while photosift works: progress of the six phases, on standard error; and the rows of a table."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Literal, Protocol

from shared.messages.resolution import MatchClass
from shared.paths import printable

Phase = Literal["inherit", "clean", "count", "analyse", "rank", "act", "folders"]

#: the phases in their order, and what a person reads
PHASES: Mapping[Phase, str] = {
    "inherit": "Read the old index",  # only where one is taken over
    "clean": "Forget files that are gone",
    "count": "Count files",
    "analyse": "Analyse new and changed files",
    "rank": "Find copies and rank them",
    "act": "Move copies aside",
    "folders": "Remove emptied folders",
}


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
    #: files by class for each folder that they would leave (absolute, printable)
    folders: Mapping[str, Mapping[MatchClass, int]] = field(default_factory=dict)

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
    #: ``same-bytes`` | ``similar``; empty for the keeper itself
    match_class: str = ""


class Progress(Protocol):
    """Told by the work how far it is. May be called from any thread; never raises, never waits for a person."""

    def phase(self, name: Phase) -> None:
        """A phase begins."""
        ...

    def total(self, phase: Phase, n: int) -> None:
        """How much there is to do; may be corrected at any time."""
        ...

    def advance(self, phase: Phase, n: int = 1) -> None:
        """So much more of it is done; what comes after the phase is over counts no more."""
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
        if phase not in self.finished:
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
        self._begun: set[Phase] = set()

    def phase(self, name: Phase) -> None:
        if name not in self._begun:
            self._say(f"{PHASES[name]} …")
        self._begun.add(name)
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
    """Bars on a terminal, one a phase. A bar is never more than full: what is more than was expected was expected."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """``make`` gives rich's ``Progress``, not yet started."""
        self._make, self._bars = make, make()
        self._tasks: dict[Phase, Any] = {}
        self._over: set[Phase] = set()
        #: counted before the phase began: its bar stands below those of the phases before it all the same
        self._early: dict[Phase, int] = {}
        self._bars.start()

    def close(self) -> None:
        """The bars stay as they are."""
        self._bars.stop()

    def _task(self, phase: Phase) -> Any:
        if phase not in self._tasks:
            early = self._early.pop(phase, 0)
            self._tasks[phase] = self._bars.add_task(PHASES[phase], total=None, completed=early)
        return self._tasks[phase]

    def _state(self, phase: Phase) -> Any:
        return next(task for task in self._bars.tasks if task.id == self._task(phase))

    def phase(self, name: Phase) -> None:
        if name not in self._over:
            self._task(name)

    def total(self, phase: Phase, n: int) -> None:
        if phase not in self._over:
            self._bars.update(self._task(phase), total=max(n, self._state(phase).completed))

    def advance(self, phase: Phase, n: int = 1) -> None:
        if phase in self._over:
            return
        if phase not in self._tasks:
            self._early[phase] = self._early.get(phase, 0) + n
            return
        self._bars.advance(self._task(phase), n)
        if self._state(phase).total is not None:
            self.total(phase, self._state(phase).total)

    def note(self, text: str) -> None:
        self._bars.console.print(printable(text), markup=False, highlight=False)

    def done(self, phase: Phase) -> None:
        if phase not in self._over:
            self._bars.update(self._task(phase), total=self._state(phase).completed)
            self._over.add(phase)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """No bars while a person is asked. What is over was drawn for good; only the others go on below the answer.

        rich draws bars that are started again over as many lines as they had, and so over the question.
        """
        under_way = {phase: self._state(phase) for phase in self._tasks if phase not in self._over}
        for task in under_way.values():
            self._bars.update(task.id, visible=False)
        self._bars.stop()
        try:
            yield
        finally:
            self._bars, self._tasks = self._make(), {}
            for phase, task in under_way.items():
                self._tasks[phase] = self._bars.add_task(PHASES[phase], total=task.total, completed=task.completed)
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

    def made() -> Bars:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Bars(*columns, console=Console(file=out), redirect_stdout=False)

    shown = BarProgress(made)
    try:
        yield shown
    finally:
        shown.close()


def size_text(size: int) -> str:
    """``1.5 MB``; decimal, as shops and file managers count."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"

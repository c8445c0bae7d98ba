"""The question before ``scan --apply`` acts (S13): on standard error; standard output holds the result alone."""

from __future__ import annotations

import asyncio
import contextlib
import select
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from services.terminal import ApplyCount, size_text
from shared.messages.resolution import MatchClass
from shared.paths import printable
from shared.words import are, counted

BURSTS = "'similar' is among the classes: pictures of one burst may be among them, look at them first"
#: so many folders are named; the fullest first
FOLDERS = 20


def question(count: ApplyCount) -> str:
    """What a person is asked, with everything needed to answer."""
    where = f"to {printable(count.target)}" if count.target else "into the quarantine of the folder they are in"
    about = f"{counted(count.files, 'file')} ({_kinds(count.by_class)}; {size_text(count.bytes)})"
    lines = [*_folders(count), f"About to move {about} {where}."]
    if count.action == "delete":
        lines.append("From the quarantine they can be restored; nothing is removed there unless retention_days is set.")
    if count.includes_similar:
        lines.append(f"Note: {BURSTS}.")
    return "\n".join(lines)


def _kinds(by_class: Mapping[MatchClass, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(by_class.items()))


def _folders(count: ApplyCount) -> Iterator[str]:
    """What would leave which folder, the fullest first."""
    fullest = sorted(count.folders.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    if fullest:
        yield "Copies that would go, by folder:"
    for folder, by_class in fullest[:FOLDERS]:
        yield f"    {folder}: {_kinds(by_class)}"
    if len(fullest) > FOLDERS:
        left = sum(sum(by_class.values()) for _, by_class in fullest[FOLDERS:])
        yield f"    and {counted(left, 'file')} in {counted(len(fullest) - FOLDERS, 'more folder')}"


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
            f"{are(count.files, 'file')} more than the breaker's limit of "
            f"{count.limit}: nothing was moved; "
            "look at the list, then repeat with --yes"
        )
    if not terminal:
        return (
            f"{counted(count.files, 'file')} to move, and no terminal to ask on: nothing was moved; repeat with --yes"
        )
    return None


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()

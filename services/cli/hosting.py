"""What ``run`` shows a person at a terminal: bars for the first pass, its outcome, then a line for whatever happens."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING

from services.cli.moments import moment_text
from services.terminal import Progress, shown_progress
from services.terminal_report import Invocation, write_outcome
from shared.messages.base import FileRef, Message
from shared.messages.files import FileGone, FileMoved, FileSettled, PassFinished
from shared.messages.outcomes import CommandDone, FolderRemoved, ItemRemoved, ItemRestored, RemovalDone
from shared.messages.resolution import GroupDecided
from shared.paths import printable, to_text

if TYPE_CHECKING:
    from services.standalone import ScanResult
    from shared.config import Settings


class TerminalHost:
    """A ``standalone.Host`` on a terminal. A context manager: the bars are taken down with it."""

    def __init__(self, settings: Settings, out: IO[str] = sys.stdout, bars: IO[str] = sys.stderr) -> None:
        self._settings, self._out = settings, out
        self._started = time.time()
        self._unknown: set[str] = set()
        self._stack = ExitStack()
        self.progress: Progress = self._stack.enter_context(shown_progress(bars))

    def __enter__(self) -> TerminalHost:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def look_finished(self, result: ScanResult) -> None:
        self._stack.close()
        folders = tuple(root.path for root in self._settings.roots)
        proposing = self._settings.acting == "propose"
        call = Invocation(folders=folders, proposing=proposing, started=moment_text(self._started))
        write_outcome(self._out, result.rows, result.report, call)
        lost = {entry["path"] for entry in result.report["skipped"] if entry["rule"] == "root-unknown"}
        self._unknown = {r.name for r in self._settings.roots if to_text(os.fsencode(r.path))[0] in lost}
        self._say("watching; Ctrl-C ends it")

    def heard(self, message: Message) -> None:
        news = self._news_of_a_root(message) if isinstance(message, PassFinished) else news_of(message)
        for line in news:
            self._say(line)

    def _news_of_a_root(self, finished: PassFinished) -> list[str]:
        """Only when it goes away or comes back: every rescan finishes a pass."""
        name, was_unknown = finished.root, finished.root in self._unknown
        if finished.unknown and not was_unknown:
            self._unknown.add(name)
            return [
                f"{printable(name)}: nothing can be said of this root now: {printable(finished.unknown)}; "
                "nothing of it is forgotten"
            ]
        if was_unknown and not finished.unknown:
            self._unknown.discard(name)
            return [f"{printable(name)}: this root is back"]
        return []

    def _say(self, line: str) -> None:
        self._out.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        self._out.flush()


def news_of(message: Message) -> list[str]:
    """[pure] What a person wants to know of it; most messages are nobody's news."""
    tell = _TELLERS.get(type(message))
    return [] if tell is None else tell(message)


def _decided(message: Message) -> list[str]:
    assert isinstance(message, GroupDecided)
    keeper = _name(message.keeper.file)
    told = []
    for one in message.duplicates:
        how = f"{one.match_class}, {one.distance:.3f}"
        told.append(f"{_name(one.member.file)}: a copy of {keeper} ({how}): {one.action}; {printable(one.reason)}")
    return told


def _done(message: Message) -> list[str]:
    assert isinstance(message, CommandDone)
    where = f" to {printable(message.where)}" if message.where else ""
    back = f"; put back with: photosift restore --decision {message.decision_id}"
    more = f": {printable(message.explanation)}" if message.code else back
    return [f"{_name(message.victim)}: {message.outcome}{where}{more}"]


def _restored(message: Message) -> list[str]:
    assert isinstance(message, ItemRestored)
    return [f"{_name(message.file)}: restored"]


def _removed(message: Message) -> list[str]:
    assert isinstance(message, ItemRemoved)
    return [f"{_name(message.file)}: removed from quarantine after its retention; {_name(message.live_copy)} is there"]


def _last_copy(message: Message) -> list[str]:
    assert isinstance(message, RemovalDone)
    told = f"{_name(message.file)}: stays in quarantine: {printable(message.explanation)}"
    return [told] if message.outcome == "kept" else []


def _folder(message: Message) -> list[str]:
    assert isinstance(message, FolderRemoved)
    return [f"{_name(message.folder)}: empty folder removed"]


def _settled(message: Message) -> list[str]:
    assert isinstance(message, FileSettled)
    return [f"{_name(message.file)}: new or changed"]


def _gone(message: Message) -> list[str]:
    assert isinstance(message, FileGone)
    how = {"deleted": "gone", "ignored": "left out from now on"}.get(message.reason)
    return [f"{_name(message.file)}: {how}"] if how else []  # a rename and an act have lines of their own


def _moved(message: Message) -> list[str]:
    assert isinstance(message, FileMoved)
    return [f"{_name(message.file)}: moved here from {_name(message.moved_from)}"]


def _name(file: FileRef) -> str:
    return printable(file.photo.text)


_TELLERS: Mapping[type[Message], Callable[[Message], list[str]]] = {
    FileSettled: _settled,
    FileMoved: _moved,
    FileGone: _gone,
    GroupDecided: _decided,
    CommandDone: _done,
    ItemRestored: _restored,
    ItemRemoved: _removed,
    RemovalDone: _last_copy,
    FolderRemoved: _folder,
}

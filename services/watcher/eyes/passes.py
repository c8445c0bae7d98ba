"""One look at a root: compare every folder with the snapshot, and write down what is to be told. (S14, S16, S22)

Runs in a worker thread, step by step, so that its events can be published (and held back) between the steps. What is
missing is only noted; whether it is believed is decided at the end, when everything has been seen.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from services.watcher.eyes.judging import Judge, LookAnywhere
from services.watcher.eyes.known import Facts, joined
from services.watcher.eyes.looking import FolderSeen, Tree, same_file
from services.watcher.eyes.observing import Place
from services.watcher.eyes.remembering import Note
from services.watcher.eyes.rescan import compare, is_renamed, lies_in_any
from services.watcher.eyes.settling import Look, Moment, is_old_enough
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.eyes.stepping import Unreadable
from services.watcher.eyes.telling import Change
from services.watcher.ignoring import UNKNOWN_MOUNT, UNREADABLE_FOLDER, Skip
from shared.paths import PhotoPath, printable

#: shelves of the snapshot
SKIPPED, MANAGED = "skipped", "managed"
#: so many files are looked at before a step ends, and so many changes are written at once
STEP_FILES, STEP_CHANGES = 5_000, 1_000


@dataclass(kw_only=True)
class Tally:
    """What a pass has counted."""

    files: int = 0
    skipped: int = 0
    published: int = 0
    gone: int = 0
    waited: float = 0.0

    def add(self, more: Tally) -> None:
        """What a look on behalf of this pass has counted; waiting is counted by the pass alone."""
        self.files += more.files
        self.skipped += more.skipped
        self.published += more.published
        self.gone += more.gone


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a pass must know beyond its root."""

    #: top folders of the other roots, by device and inode (S4)
    other_tops: dict[tuple[int, int], str]
    look: LookAnywhere
    #: held while something new is judged and written: two roots may see one file at the same moment
    judging: threading.Lock


@dataclass(kw_only=True)
class _Step:
    """What was found since the last transaction."""

    seen: int = 0
    settled: list[tuple[bytes, Facts]] = field(default_factory=list)
    refreshed: list[tuple[bytes, Facts]] = field(default_factory=list)
    missing: list[tuple[bytes, bytes, str]] = field(default_factory=list)
    skipped: list[Note] = field(default_factory=list)
    managed: list[Note] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return self.seen >= STEP_FILES or len(self.settled) >= STEP_CHANGES


class Pass:
    """A look at ``starts`` (folders below the root; ``b""`` is all of it)."""

    def __init__(
        self,
        place: Place,
        snapshot: Snapshot,
        around: Surroundings,
        *,
        now: Moment,
        settle: float,
        unknown_folders: dict[bytes, str],
        stable_inodes: bool,
        starts: Sequence[bytes] = (b"",),
    ) -> None:
        self.place, self._snapshot, self._around, self._starts = place, snapshot, around, starts
        self._now, self._settle, self._stable_inodes = now, settle, stable_inodes
        self.unknown_folders = unknown_folders
        self.tally = Tally()
        #: files too young to be told of: they wait to settle
        self.young: dict[bytes, Facts] = {}
        #: folders left out by a rule
        self.closed: dict[bytes, Skip] = {}
        self._visited: set[bytes] = set()
        self._unreadable: set[bytes] = set()

    @property
    def is_full(self) -> bool:
        return b"" in self._starts

    def steps(self) -> Generator[None, None, None]:
        """Look and write, a transaction a step. Raises ``Unreadable`` when the root cannot be opened (any more)."""
        if self.is_full:
            self._snapshot.missing.forget(self.place.name)
            self._snapshot.notes.remember(SKIPPED, self.place.name, ())
            self._snapshot.notes.remember(MANAGED, self.place.name, ())
        with self.place.open(self._ask) as tree:
            step = _Step()
            for seen in self._folders(tree):
                self._take(seen, step)
                if step.is_full:
                    self._write(step)
                    step = _Step()
                    yield
            self._write(step)
            self._note_vanished(tree)
        yield

    def _folders(self, tree: Tree) -> Iterator[FolderSeen]:
        for start in self._starts:
            if not lies_in_any(start, self.unknown_folders.keys()):
                yield from tree.scan(start)

    def _ask(self, rel: bytes, facts: Facts) -> Skip | None:
        if rel in self.unknown_folders:  # S14
            return Skip(UNKNOWN_MOUNT, self.unknown_folders[rel])
        other = self._around.other_tops.get((facts.dev, facts.ino))
        return same_file(f"the root {other}") if other else None

    def _take(self, seen: FolderSeen, step: _Step) -> None:
        self._visited.add(seen.rel)
        if seen.unreadable is not None:
            self._unreadable.add(seen.rel)
            step.skipped.append(Note(seen.rel, UNREADABLE_FOLDER, f"it cannot be read: {seen.unreadable}"))
            return
        known = self._snapshot.known_in(self.place.name, seen.rel)
        difference = compare(
            seen.files,
            known,
            listed=seen.listed,
            skipped=seen.skipped,
            folders=seen.folders,
            stable_inodes=self._stable_inodes,
        )
        step.seen += len(seen.listed)
        self.tally.files += len(seen.files)
        for name, facts in (*difference.new, *difference.modified):
            self._sort(joined(seen.rel, name), facts, step)
        step.refreshed += ((joined(seen.rel, name), facts) for name, facts in difference.refreshed)
        step.missing += ((seen.rel, name, reason) for name, reason in difference.missing)
        step.skipped += (Note(joined(seen.rel, name), s.rule, s.reason) for name, s in seen.skipped.items())
        step.managed += (Note(seen.rel, manager) for manager in seen.managers)
        self.closed |= {joined(seen.rel, name): skip for name, skip in seen.closed.items()}

    def _sort(self, rel: bytes, facts: Facts, step: _Step) -> None:
        if is_old_enough(look_of(facts), self._now, self._settle) or self._is_just_renamed(facts):
            step.settled.append((rel, facts))
        else:
            self.young[rel] = facts

    def _is_just_renamed(self, facts: Facts) -> bool:
        """Only its name is young: what it holds had settled before (S16)."""
        return any(is_renamed(known, facts) for _, known in self._snapshot.of_inode(facts.ino))

    def _write(self, step: _Step) -> None:
        root = self.place.name
        refreshed = [Change("refreshed", PhotoPath(root, rel), facts) for rel, facts in step.refreshed]
        self._snapshot.missing.note(root, step.missing)
        self._snapshot.notes.add(MANAGED, root, step.managed)
        self.write_settled(step.settled, refreshed)
        self._snapshot.notes.add(SKIPPED, root, step.skipped)
        self.tally.skipped += len(step.skipped)

    def write_settled(self, settled: Sequence[tuple[bytes, Facts]], also: Sequence[Change] = ()) -> None:
        """Judge settled files and write what they are."""
        written = write_settled(self.place.name, settled, also, self._snapshot, self._around)
        self.tally.published += written.messages
        self.tally.gone += written.gone
        self.tally.skipped += written.left_out
        self.tally.files -= written.left_out

    def _note_vanished(self, tree: Tree) -> None:
        """Folders with known files that were not met: gone, left out by a rule now, or out of sight (S14)."""
        folders = {f for start in self._starts for f in self._snapshot.folders(self.place.name, start)}
        out_of_sight = self._unreadable | self.unknown_folders.keys()
        noted = []
        for folder in folders - self._visited:
            if lies_in_any(folder, out_of_sight):
                continue
            if lies_in_any(folder, self.closed.keys()):
                noted.append((folder, "ignored"))
            elif _is_gone(tree, folder):
                noted.append((folder, "deleted"))
        self._snapshot.missing.note_folders(self.place.name, noted)


def _is_gone(tree: Tree, folder: bytes) -> bool:
    try:
        with tree.folder(folder) as descriptor:
            return descriptor is None
    except Unreadable:
        return False


@dataclass(frozen=True, kw_only=True)
class Written:
    """What came of settled files."""

    messages: int = 0
    gone: int = 0
    #: further names of other files
    left_out: int = 0


def write_settled(
    root: str,
    settled: Sequence[tuple[bytes, Facts]],
    also: Sequence[Change],
    snapshot: Snapshot,
    around: Surroundings,
) -> Written:
    """Judge settled files of a root (S4, S16) and write the changes, with ``also``, in one transaction."""
    changes, left_out = list(also), []
    with around.judging:
        judge = Judge(snapshot, around.look)
        for rel, facts in settled:
            path = PhotoPath(root, rel)
            verdict = judge.judge(path, facts)
            if isinstance(verdict, Change):
                changes.append(verdict)
                continue
            left_out.append(Note(rel, verdict.rule, verdict.reason))
            if snapshot.known(path) is not None:
                changes.append(Change("gone", path, reason="ignored"))
        messages = snapshot.write(changes) if changes else 0
    if left_out:
        snapshot.notes.add(SKIPPED, root, left_out)
    gone = sum(change.kind in ("gone", "moved") for change in changes)
    return Written(messages=messages, gone=gone, left_out=len(left_out))


def look_of(facts: Facts) -> Look:
    return Look(facts.size, facts.mtime_ns, facts.ctime_ns, facts.ino)


def root_sentence(name: str, reason: str) -> str:
    """How a person is told that nothing is known of a root."""
    return f"{printable(name)}: {reason}; nothing of it is forgotten"

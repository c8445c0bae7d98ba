"""A look at single files of a root, after a hint or after they had time to settle. Runs in a worker thread. (S14)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.watcher.eyes.known import Facts
from services.watcher.eyes.looking import Tree
from services.watcher.eyes.observing import Place
from services.watcher.eyes.passes import SKIPPED, Surroundings, Written, look_of, write_settled
from services.watcher.eyes.remembering import Note
from services.watcher.eyes.rescan import changed, lies_in_any
from services.watcher.eyes.settling import Gone, Moment, Settled, Wait, Waiting, settle
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.eyes.stepping import Unreadable
from services.watcher.eyes.telling import Change
from services.watcher.eyes.writers import is_open_for_writing
from shared.paths import PhotoPath


@dataclass(kw_only=True)
class Looked:
    """What came of the looks."""

    #: to be looked at again: (steady time, state)
    waiting: dict[bytes, tuple[float, Waiting]] = field(default_factory=dict)
    #: known files that are not there; whether they are told to be gone is decided by ``believing``
    missing: int = 0
    #: names that are folders, or known folders that are not there: to be looked through
    folders: list[bytes] = field(default_factory=list)
    written: Written = field(default_factory=Written)
    #: a file with more names went: another one may be its name now
    other_names: bool = False


class Looks:
    """Looks at due files of one root."""

    def __init__(
        self,
        place: Place,
        snapshot: Snapshot,
        around: Surroundings,
        *,
        now: Moment,
        seconds: float,
        grace: float,
        out_of_sight: Mapping[bytes, object],
        stable_inodes: bool,
    ) -> None:
        self._place, self._snapshot, self._around = place, snapshot, around
        self._now, self._seconds, self._grace = now, seconds, grace
        self._out_of_sight, self._stable_inodes = out_of_sight, stable_inodes
        self._looked = Looked()
        self._settled: list[tuple[bytes, Facts]] = []
        self._also: list[Change] = []
        self._missing: list[tuple[bytes, bytes, str]] = []
        self._left_out: list[Note] = []

    def look(self, due: Mapping[bytes, Waiting]) -> Looked:
        """Look at each, and write what is to be told. Raises ``Unreadable`` when the root cannot be opened."""
        with self._place.open() as tree:
            for rel, state in due.items():
                if not lies_in_any(rel, self._out_of_sight.keys()):
                    self._look(tree, rel, state)
        self._write()
        return self._looked

    def _look(self, tree: Tree, rel: bytes, state: Waiting) -> None:
        folder, _, name = rel.rpartition(b"/")
        try:
            facts = tree.look(rel)
            if facts is not None and facts.is_folder:
                self._looked.folders.append(rel)
                return
            skip = tree.skip(rel, facts) if facts else None
            if facts is None or skip is not None:
                self._not_there(rel, state, Note(rel, skip.rule, skip.reason) if skip else None)
                return
            with tree.folder(folder) as descriptor:
                writing = descriptor is not None and is_open_for_writing(descriptor, name)
        except Unreadable:  # S14: nothing is known; the rescan looks again
            return
        self._there(rel, facts, settle(state, look_of(facts), self._now, self._seconds, being_written=writing))

    def _there(self, rel: bytes, facts: Facts, verdict: Settled | Wait | Gone) -> None:
        if isinstance(verdict, Wait):
            self._looked.waiting[rel] = (verdict.until, verdict.state)
            return
        known = self._snapshot.known(PhotoPath(self._place.name, rel))
        how = "new" if known is None else changed(known, facts, stable_inodes=self._stable_inodes)
        if how == "refreshed":
            self._also.append(Change("refreshed", PhotoPath(self._place.name, rel), facts))
        elif how is not None:
            self._settled.append((rel, facts))

    def _not_there(self, rel: bytes, state: Waiting, left_out: Note | None) -> None:
        path = PhotoPath(self._place.name, rel)
        known = self._snapshot.known(path)
        if known is None:
            if left_out is not None:
                self._left_out.append(left_out)
            elif self._snapshot.count(self._place.name, rel):
                self._looked.folders.append(rel)
            return
        if state.gone_since is None:  # its new name may be due in a moment: a rename is told as one (S16)
            self._looked.waiting[rel] = (self._now.steady + self._grace, state.missed(self._now))
            return
        ignored = left_out is not None and left_out.name not in ("symbolic-link", "not-a-regular-file")
        self._missing.append((path.folder, path.name, "ignored" if ignored else "deleted"))
        self._looked.other_names |= known.nlink > 1

    def _write(self) -> None:
        name = self._place.name
        self._looked.written = write_settled(name, self._settled, self._also, self._snapshot, self._around)
        if self._missing:
            self._snapshot.missing.note(name, self._missing)
        if self._left_out:
            self._snapshot.notes.add(SKIPPED, name, self._left_out)
        self._looked.missing = len(self._missing)

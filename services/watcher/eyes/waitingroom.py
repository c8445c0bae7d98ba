"""[pure] Who waits for what: files to settle, folders to be looked through again. (S15, S16)"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

from services.watcher.eyes.rescan import lies_in, lies_in_any
from services.watcher.eyes.settling import Look, Moment, Waiting, heard


class WaitingRoom:
    """Steady times only. Nothing in here is lost by a crash: a rescan finds it again."""

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._files: dict[bytes, tuple[float, Waiting]] = {}
        self._folders: dict[bytes, float] = {}
        #: nothing is due before; a lower bound, so that a flood of events does not look through everything each time
        self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._files) + len(self._folders)

    @property
    def files(self) -> frozenset[bytes]:
        return frozenset(self._files)

    def hear_file(self, rel: bytes, now: Moment) -> None:
        """An event about a file: its quiet time begins anew."""
        _, state = self._files.get(rel, (0.0, None))
        self._wait(rel, now.steady + self._settle, heard(state, now))

    def hear_folder(self, rel: bytes, now: Moment) -> None:
        """A folder came, went or was exchanged. A later event does not put it off: a big copy makes many."""
        if not lies_in_any(rel, self._folders.keys()):
            for inside in [other for other in self._folders if lies_in(other, rel)]:
                del self._folders[inside]
            self._folders[rel] = now.steady + self._settle
            self._not_before = min(self._not_before, now.steady + self._settle)

    def admit(self, rel: bytes, look: Look, now: Moment) -> None:
        """A pass met a file too young to be told of."""
        if rel not in self._files:
            state = Waiting(look=look, unchanged_since=now.steady, began=now.steady)
            self._wait(rel, now.steady + self._settle, state)

    def put_back(self, rel: bytes, until: float, state: Waiting) -> None:
        """Look again then, unless it was heard of meanwhile."""
        if rel not in self._files:
            self._wait(rel, until, state)

    def _wait(self, rel: bytes, until: float, state: Waiting) -> None:
        self._files[rel] = (until, state)
        self._not_before = min(self._not_before, until)

    def next_due(self) -> float | None:
        """Nothing is due before this steady time; None: nobody waits."""
        return self._not_before if self._files or self._folders else None

    def take_files(self, now: Moment, most: int = 2_000) -> dict[bytes, Waiting]:
        """Files that are due; they leave the room."""
        if now.steady < self._not_before:
            return {}
        due = {rel: state for rel, (at, state) in self._files.items() if at <= now.steady}
        taken = dict(islice(due.items(), most))
        for rel in taken:
            del self._files[rel]
        return taken

    def count_time_anew(self) -> None:
        """After everything due was taken."""
        times = (due for due, _ in self._files.values())
        self._not_before = min(chain(times, self._folders.values()), default=float("inf"))

    def take_folders(self, now: Moment, grace: float) -> list[bytes]:
        """The folders that are due, with those due within ``grace``: both ends of a rename are looked at together."""
        if not any(at <= now.steady for at in self._folders.values()):
            return []
        due = [rel for rel, at in self._folders.items() if at <= now.steady + grace]
        for rel in due:
            del self._folders[rel]
        return sorted(due)

    def give_up(self, files: Iterable[bytes]) -> None:
        for rel in files:
            self._files.pop(rel, None)

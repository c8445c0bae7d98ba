"""[pure] Who waits for what: files to settle, folders to be looked through again. (S15, S16)"""

from __future__ import annotations

from collections.abc import Iterable

from services.watcher.rescan import lies_in, lies_in_any
from services.watcher.settling import Look, Moment, Waiting, heard


class WaitingRoom:
    """Steady times only. Nothing in here is lost by a crash: a rescan finds it again."""

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._files: dict[bytes, tuple[float, Waiting]] = {}
        self._folders: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._files) + len(self._folders)

    @property
    def files(self) -> frozenset[bytes]:
        return frozenset(self._files)

    def hear_file(self, rel: bytes, now: Moment) -> None:
        """An event about a file: its quiet time begins anew."""
        _, state = self._files.get(rel, (0.0, None))
        self._files[rel] = (now.steady + self._settle, heard(state, now))

    def hear_folder(self, rel: bytes, now: Moment) -> None:
        """A folder came, went or was exchanged. A later event does not put it off: a big copy makes many."""
        if not lies_in_any(rel, self._folders.keys()):
            for inside in [other for other in self._folders if lies_in(other, rel)]:
                del self._folders[inside]
            self._folders[rel] = now.steady + self._settle

    def admit(self, rel: bytes, look: Look, now: Moment) -> None:
        """A pass met a file too young to be told of."""
        if rel not in self._files:
            state = Waiting(look=look, unchanged_since=now.steady, began=now.steady)
            self._files[rel] = (now.steady + self._settle, state)

    def put_back(self, rel: bytes, until: float, state: Waiting) -> None:
        """Look again then, unless it was heard of meanwhile."""
        self._files.setdefault(rel, (until, state))

    def next_due(self) -> float | None:
        """The steady time of the next look."""
        times = [due for due, _ in self._files.values()]
        return min([*times, *self._folders.values()], default=None)

    def take_files(self, now: Moment) -> dict[bytes, Waiting]:
        """The files that are due; they leave the room."""
        due = {rel: state for rel, (at, state) in self._files.items() if at <= now.steady}
        for rel in due:
            del self._files[rel]
        return due

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

    def clear(self) -> None:
        self._files.clear()
        self._folders.clear()

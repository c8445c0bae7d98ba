"""What a file under an unknown name really is: new, renamed, or one that has another name. (S4, S16)"""

from __future__ import annotations

from collections.abc import Callable

from services.watcher.eyes.known import Facts, Known
from services.watcher.eyes.looking import same_file
from services.watcher.eyes.rescan import is_renamed
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.eyes.stepping import Unreadable
from services.watcher.eyes.telling import Change
from services.watcher.ignoring import Skip
from shared.paths import PhotoPath

#: facts of a path in any root, None where it is not there; raises ``Unreadable`` where that cannot be told
LookAnywhere = Callable[[PhotoPath], Facts | None]


class Judge:
    """Judges the files of one transaction: two names of one file are told apart among them, too."""

    def __init__(self, snapshot: Snapshot, look: LookAnywhere) -> None:
        self._snapshot, self._look = snapshot, look
        self._judged: dict[tuple[int, int], PhotoPath] = {}

    def judge(self, path: PhotoPath, facts: Facts) -> Change | Skip:
        """A settled file: what is to be told of it, or why it is left out."""
        identity = (facts.dev, facts.ino)
        if (twin := self._judged.get(identity)) is not None and twin != path:
            return same_file(twin.text)
        moved_from = None
        for root, known in self._snapshot.of_inode(facts.ino):
            other = PhotoPath(root, known.rel)
            if other != path and (verdict := self._compare(other, known, facts)) is not None:
                if isinstance(verdict, Skip):
                    return verdict
                moved_from = verdict
        self._judged[identity] = path
        return Change("moved" if moved_from else "settled", path, facts, moved_from)

    def _compare(self, other: PhotoPath, known: Known, facts: Facts) -> Skip | PhotoPath | None:
        try:
            there = self._look(other)
        except Unreadable:  # not told to be gone, so not told to be renamed either (S14)
            return None
        if there is None:
            return other if is_renamed(known, facts) and other not in self._judged.values() else None
        return same_file(other.text) if (there.dev, there.ino) == (facts.dev, facts.ino) else None

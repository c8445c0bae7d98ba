"""A person's requests to the executor: restore, adopt, confirm, allow. Ids, never authority over a path. (S20)"""

from __future__ import annotations

import os
from collections.abc import Sequence

from services.watcher.hands.homeward import Stays
from services.watcher.hands.items import Item
from services.watcher.hands.ownership import NotAdopted
from services.watcher.hands.restoring import Restored, Restoring
from services.watcher.hands.workbench import Workbench
from shared.errors import PhotosiftError
from shared.messages.outcomes import RequestAnswered
from shared.messages.requests import AdoptRequested, AllowRequested, ConfirmRequested, Request, RestoreRequested
from shared.paths import PhotoPath, printable
from shared.words import are, counted, verb, were

#: how many of the files that stay are named in the answer
NAMED = 5


class Answering:
    """Does what is asked and says what became of it. Raises ``JournalFailed``."""

    def __init__(self, bench: Workbench, restoring: Restoring, *, by: str) -> None:
        self._b, self._restoring, self._by = bench, restoring, by

    def restore(self, request: RestoreRequested) -> tuple[RequestAnswered, tuple[PhotoPath, ...]]:
        """The answer, and the files that are back."""
        selected = self._restoring.select(request)
        if not selected:
            return self.no(request, self._nothing_held()), ()
        done = self._restoring.restore(selected)
        text = f"{_back(len(done.back), len(selected))}{_staying(done)}"
        return self.answer(request, done=not done.stays, text=text, count=len(done.back)), done.back

    def _nothing_held(self) -> str:
        """A new memory after a lost one must not read as if there were nothing to put back (S11, S12)."""
        if not self._b.items.known():
            return (
                "this state folder remembers nothing that was taken. If it was lost, or is a new one, everything still "
                "lies where it was put: `photosift adopt ROOT --target DIR` reads the records there (DIR: where files "
                "were moved to; leave it out for what lies in the quarantine of ROOT), then say restore again"
            )
        held = len(self._b.items.in_state("held", "restoring"))
        return f"nothing is held for that, so nothing was put back; {are(held, 'other file')} held"

    def adopt(self, request: AdoptRequested) -> RequestAnswered:
        if self._b.settings.acting == "propose" and not self._b.ownership.has_acted_in(request.root):
            if request.root not in self._b.roots:
                return self.no(request, f"there is no root {printable(request.root)}")
            text = f"root {request.root} is believed as it is now; nothing was written there, because nothing may act"
            return self.answer(request, done=True, text=text)  # S6
        try:
            found = self._b.ownership.adopt(request.root)
        except NotAdopted as error:
            return self.no(request, str(error))
        text = f"root {request.root} is this photosift's now; {_read_back(found)}{self._of_other_names(found)}"
        return self.answer(request, done=True, text=text, count=found)

    def _of_other_names(self, found: int) -> str:
        """Records name their root: a folder that had another name then must get it again."""
        others = [] if found else sorted(self._b.ownership.roots_in_target() - self._b.roots.keys())
        if not others:
            return ""
        named = ", ".join(map(printable, others))
        return (
            f"; the target holds records of {named}: if this folder had that name, give it the name again in the "
            "settings (roots: [{name: …, path: …}]) and adopt it again"
        )

    def confirm_breaker(self, request: ConfirmRequested) -> RequestAnswered:
        if request.root is not None and request.root not in self._b.roots:
            return self.no(request, f"there is no root {printable(request.root)}")
        count = self._b.counters.confirm(request.root)
        text = f"{counted(count, 'act')} and all refusals so far count no more; automatic acting goes on"
        return self.answer(request, done=True, text=text, count=count)

    def allow(self, request: AllowRequested) -> RequestAnswered:
        """By name: the folder itself, not what lies above it (S24)."""
        try:
            root, rel = request.folder.root, request.folder.rel
        except PhotosiftError as error:
            return self.no(request, str(error))
        if root not in self._b.roots:
            return self.no(request, f"there is no root {printable(root)}")
        self._b.counters.allow(root, rel, self._b.clock.now())
        return self.answer(request, done=True, text=self._allowed(root, rel))

    def _allowed(self, root: str, rel: bytes) -> str:
        if rel:
            return f"acting in {PhotoPath(root, rel).text} is allowed now"
        top = printable(os.fsencode(self._b.roots[root].path))
        return (
            f"acting in the whole root {printable(root)} ({top}) is allowed now; folders inside it that another program"
            " manages still need their own word"
        )

    def no(self, request: Request, text: str) -> RequestAnswered:
        return self.answer(request, done=False, text=text)

    def answer(self, request: Request, *, done: bool, text: str, count: int = 0) -> RequestAnswered:
        return RequestAnswered(request_id=request.request_id, by=self._by, done=done, explanation=text, count=count)


def _staying(done: Restored) -> str:
    if not done.stays:
        return ""
    named = "; ".join(why.explanation for _, why in _first(done.stays))
    more = f"; and {len(done.stays) - NAMED} more" if len(done.stays) > NAMED else ""
    stay = verb(len(done.stays), "stays where it is", "stay where they are")
    return f"; {len(done.stays)} {stay}: {named}{more}"


def _back(back: int, asked: int) -> str:
    """``3 of 4 files are back``; where all are, just how many."""
    if back == asked:
        return f"{are(back, 'file')} back"
    return f"{back} of {counted(asked, 'file')} {verb(back, 'is', 'are')} back"


def _read_back(found: int) -> str:
    return f"{were(found, 'item')} read back from {verb(found, 'its record', 'their records')}"


def _first(stays: Sequence[tuple[Item, Stays]]) -> Sequence[tuple[Item, Stays]]:
    return stays[:NAMED]

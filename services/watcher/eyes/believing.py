"""Whether files that were not found are told to be gone, and telling it. (S14)"""

from __future__ import annotations

from collections.abc import Iterator

from services.watcher.eyes.looking import Tree
from services.watcher.eyes.observing import Place
from services.watcher.eyes.remembering import Note
from services.watcher.eyes.roots import Held, Shares, hold, too_many
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.eyes.stepping import Unreadable
from services.watcher.eyes.telling import Change
from shared.paths import PhotoPath

#: shelves: what waits for a person; when a person's word was last followed
HELD, BELIEVED = "held", "believed"
#: disappearances are counted together for so long
_LATELY = 3600.0
_BATCH = 500


def held(snapshot: Snapshot, root: str) -> Held | None:
    """What waits for a person in this root."""
    notes = snapshot.notes.recall(HELD, root)
    return Held.from_text(notes[0].text) if notes else None


def confirm(snapshot: Snapshot, root: str) -> Held | None:
    """A person says that the files are really gone. Returns what waits now; None: nothing was waiting."""
    waiting = held(snapshot, root)
    if waiting is None:
        return None
    believed = Held(count=waiting.count, of=waiting.of, rescans=waiting.rescans, confirmed=True)
    snapshot.notes.remember(HELD, root, [Note(b"", text=believed.to_text())])
    return believed


def is_believed(snapshot: Snapshot, root: str, shares: Shares, now: float, *, whole_root: bool) -> bool:
    """Decide about everything noted missing in the root, and remember what is held back.

    ``whole_root``: a whole pass found it; what single events or folders say never frees what is held.
    """
    waiting = held(snapshot, root)
    if waiting is not None and not whole_root:
        return False
    lately = snapshot.gone_since(root, max(now - _LATELY, _last_believed(snapshot, root)))
    excess = too_many(snapshot.missing.by_device(root), lately, snapshot.count_by_device(root), shares)
    if excess is None:
        snapshot.notes.drop(HELD, root, b"")
        return True
    waiting = hold(waiting, *excess)
    if not waiting.is_believed:
        snapshot.notes.remember(HELD, root, [Note(b"", text=waiting.to_text())])
        return False
    snapshot.notes.drop(HELD, root, b"")
    return True


def _last_believed(snapshot: Snapshot, root: str) -> float:
    notes = snapshot.notes.recall(BELIEVED, root)
    return float(notes[0].text) if notes else 0.0


def note_believed(snapshot: Snapshot, root: str, now: float) -> None:
    """What a person confirmed does not count against the files that vanish after it."""
    snapshot.notes.remember(BELIEVED, root, [Note(b"", text=repr(now))])


def tell_missing(place: Place, snapshot: Snapshot, reason: str) -> Iterator[int]:
    """Look for every missing file once more, and write down those that are gone: their number, batch by batch.

    ``ignored``: they may be there, a rule leaves them out. Raises ``Unreadable`` when the root cannot be opened.
    """
    with place.open() as tree:
        while files := snapshot.missing.some(place.name, reason, _BATCH):
            gone = [rel for rel in files if reason == "ignored" or _is_gone(tree, rel)]
            if len(gone) < len(files):
                snapshot.missing.found_again(place.name, set(files) - set(gone))
            snapshot.write([Change("gone", PhotoPath(place.name, rel), reason=reason) for rel in gone])
            yield len(gone)


def _is_gone(tree: Tree, rel: bytes) -> bool:
    try:
        facts = tree.look(rel)
    except Unreadable:
        return False
    return facts is None or not facts.is_file

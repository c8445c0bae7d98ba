"""``import-index``: an index of image-match taken over, through the services, by an analyser that decodes nothing.

The watcher tells of every file as ever; the analyser takes the signature where the old index has one, reads and hashes
the file, and leaves every other file for the next scan (ADR 17).
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.analyser.inheritance import FIELDS, Inherited, Unfit, inherited, placed
from services.analyser.oldsignatures import THERE, OldSignatures
from services.crew import Crew
from services.following import Following
from services.indexplaces import OldIndex, opened_old_index, take
from services.look import Look, teller
from services.standalone import beside, gathered
from services.terminal import Progress
from shared.config import Settings
from shared.errors import UsageError
from shared.index.port import FileDoc
from shared.lifecycle import given_up_on
from shared.paths import PhotoPath

if TYPE_CHECKING:
    from shared.index.elastic import Ancestor

#: files that are asked for at once
_BATCH = 500
OUTSIDE, GONE, NOT_REACHED, LOST_ROOT = "outside-roots", "gone", "not-reached", "root-unknown"

Moved = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, kw_only=True)
class NotTaken:
    """A file of the old index that was not taken over."""

    path: bytes
    reason: str
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What came of it."""

    #: documents of the old index
    documents: int
    #: files by what became of them: ``taken``, ``there`` (already), and the reasons of ``left``
    counts: Counter[str]
    left: list[NotTaken]
    #: False when it was stopped before its end
    finished: bool


async def import_index(
    settings: Settings, source: OldIndex, *, moved: Moved, progress: Progress, stop: asyncio.Event
) -> Imported:
    """Take over what can be; ``moved``: (old, new) beginnings of paths. Raises ``UsageError`` for a wrong source."""
    if settings.analysis.signature != "exact":
        raise UsageError("an old index has image-match's signatures: set analysis.signature to exact, and leave it so")
    async with AsyncExitStack() as stack:
        async with given_up_on(stop):
            ancestor = await stack.enter_async_context(opened_old_index(source))
        old = OldSignatures(take(stack, settings, "import") / "old-index.sqlite")
        stack.callback(old.close)
        quiet = settings.model_copy(update={"dry_run": True})
        crew = await stack.enter_async_context(gathered(quiet, stop, old=old))
        async with given_up_on(stop):  # nothing works before all of it is known
            await _read(ancestor, old, _roots(settings), moved, progress)
        look = Look(crew=crew, following=Following(teller(progress)), progress=progress)
        finished = await beside(crew, look.following, stop, look.at_what_is_new()) is not None
        await _conclude(crew, old)
        return Imported(
            documents=ancestor.count, counts=old.counts(), left=list(_left(old, settings)), finished=finished
        )


def _roots(settings: Settings) -> dict[str, list[bytes]]:
    """Each root under the name that the settings give it, and under its real one."""
    named = {root.name: os.fsencode(os.path.abspath(root.path.expanduser())) for root in settings.roots}
    return {name: list(dict.fromkeys((path, os.path.realpath(path)))) for name, path in named.items()}


async def _read(
    ancestor: Ancestor, old: OldSignatures, roots: Mapping[str, Sequence[bytes]], moved: Moved, progress: Progress
) -> None:
    progress.phase("inherit")
    progress.total("inherit", ancestor.count)
    async for page in ancestor.pages(FIELDS):
        documents = [inherited(source) for source in page]
        fit = [(each, placed(each.path, roots, moved)) for each in documents if isinstance(each, Inherited)]
        unfit = [each for each in documents if isinstance(each, Unfit)]
        unfit += [_outside(each) for each, path in fit if path is None]
        old.keep([(path, each) for each, path in fit if path is not None], unfit)
        progress.advance("inherit", len(page))
    progress.done("inherit")


def _outside(document: Inherited) -> Unfit:
    why = "it is in none of the roots; --map OLD=NEW says where a folder is now"
    return Unfit(path=os.fsdecode(document.path), reason=OUTSIDE, explanation=why)


async def _conclude(crew: Crew, old: OldSignatures) -> None:
    """Say of every file that nobody was told of what became of it; and let the next look tell of all that is left."""
    left_out = {(one.root, one.rel): (one.rule, one.reason) for one in crew.eyes.skipped()}
    for batch in old.unheard_of(_BATCH):
        stored = await crew.index.files([path.file_id for path in batch])
        for path in batch:
            old.leave(path, *_became(crew, path, stored.get(path.file_id), left_out.get((path.root, path.rel))))
    await crew.reconciling.after()


def _became(crew: Crew, path: PhotoPath, doc: FileDoc | None, skip: tuple[str, str] | None) -> tuple[str, str]:
    """A reason and its explanation, for a file that no event came of."""
    if unknown := crew.eyes.unknown(path.root):
        return LOST_ROOT, unknown
    if crew.eyes.known_since(path) is None:
        return skip or (GONE, "it is not there any more, or a rule leaves its folder out")
    if doc is not None and doc.state == "analysed":
        return THERE, ""
    if doc is not None and doc.state == "unreadable":
        return doc.reason or "unreadable", doc.explanation or ""
    return NOT_REACHED, "it was not looked at before the end"


def _left(old: OldSignatures, settings: Settings) -> Iterator[NotTaken]:
    folders = {root.name: os.fsencode(root.path) for root in settings.roots}
    for path, reason, explanation in old.left():
        name = path.below(folders[path.root]) if isinstance(path, PhotoPath) else os.fsencode(path)
        yield NotTaken(path=name, reason=reason, explanation=explanation)

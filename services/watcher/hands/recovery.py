"""After a crash: every intent without a result is finished or undone, by looking at what is on disk. (S12)

It is finished only if everything holds again: the keeper in full, the expiry, the settings, and the victim by hash,
size and mtime at the place the journal names. Otherwise it goes home. Where the root is not there, or not ours, the
intent stays open, and its files are left alone (S3).
"""

from __future__ import annotations

from contextlib import ExitStack, suppress

import structlog

from services.watcher.disk.port import TreeRoot
from services.watcher.hands.evidence import ContentFacts, Looked, differs, judge_contents, same_file
from services.watcher.hands.executor import Executor
from services.watcher.hands.inspecting import Found
from services.watcher.hands.journal import Entry
from services.watcher.hands.journalfile import JournalFailed
from services.watcher.hands.quarantine import PHOTO, content, discard, folder_of, is_listed, joined
from services.watcher.hands.records import CORRECTED, RECORD, Record, parse
from services.watcher.hands.refusals import Refusal
from services.watcher.hands.restoring import Restoring
from services.watcher.hands.results import evidence_holds
from services.watcher.hands.workbench import Workbench
from shared.errors import PhotosiftError
from shared.messages.base import FileStat
from shared.messages.commands import TakeFile
from shared.messages.outcomes import CommandDone

log = structlog.get_logger()


class Recovery:
    """Runs before the first command, and again whenever an intent may have become settleable."""

    def __init__(self, bench: Workbench, executor: Executor, restoring: Restoring) -> None:
        self._b, self._executor, self._restoring = bench, executor, restoring

    def settle_all(self) -> list[CommandDone]:
        """The results of the intents that could be settled. Raises ``JournalFailed``."""
        results = [self._settle_safely(entry) for entry in self._b.journal.open_intents()]
        self._restoring.take_up_again()
        return [result for result in results if result is not None]

    def _settle_safely(self, entry: Entry) -> CommandDone | None:
        try:
            result = self._settle(entry)
        except JournalFailed:
            raise
        except (PhotosiftError, OSError) as error:
            log.warning("executor.intent_unsettled", command=entry.command.command_id, error=str(error))
            return None
        if result is not None:
            log.info("executor.intent_settled", command=result.command_id, outcome=result.outcome, code=result.code)
        return result

    def _settle(self, entry: Entry) -> CommandDone | None:
        root = entry.command.victim.file.root
        if root not in self._b.roots or self._b.sight.doubt(root) or self._b.ownership.why_not(root):
            return None
        with ExitStack() as stack:
            tree = self._b.inspecting.open_root(stack, root)
            record = self._record(tree, entry)
            if record is None:  # it is written before anything is moved
                return self._never_begun(tree, entry.command, folder_of(entry.private or b""))
            return self._finish_or_undo(stack, tree, entry, record)

    def _record(self, tree: TreeRoot, entry: Entry) -> Record | None:
        folder = folder_of(entry.private or b"")
        for name in (CORRECTED, RECORD):
            payload = content(tree, joined(folder, name))
            if payload is not None:
                return parse(payload).lying_at("root", joined(folder, PHOTO))
        return None

    def _finish_or_undo(self, stack: ExitStack, tree: TreeRoot, entry: Entry, record: Record) -> CommandDone:
        self._b.places.clear_temporaries(record, entry.final)
        moved = self._b.places.in_target(record)
        aside = is_listed(tree, record.place_rel)
        if not aside and moved is None and is_listed(tree, record.origin.rel):
            return self._never_begun(tree, record.command, folder_of(record.place_rel))
        if not aside and moved is None:
            return self._b.closing.undo(record, _lost(record.command))
        keeper = self._keeper(stack, record.command)
        objection = self._objection(tree, record, keeper, aside=aside)
        if objection is not None:
            changed = aside and _itself(tree, record, None) is not None
            return self._b.closing.undo(self._b.aside.corrected(tree, record) if changed else record, objection)
        if moved is None:
            assert keeper.looked.stat is not None
            return self._executor.finish(tree, record, keeper.looked.stat)
        if aside:  # the copy is complete: it was read back before it got this name
            self._b.moving.release(tree, record)
        result = self._b.closing.taken(moved)
        self._b.moving.clear(tree, record)
        return result

    def _never_begun(self, tree: TreeRoot, command: TakeFile, folder: bytes) -> CommandDone:
        """The victim is at home, or was put back before the crash."""
        with suppress(PhotosiftError):
            discard(self._b.disk, tree, folder)
        return self._b.closing.nothing_done(command, _interrupted(command))

    def _keeper(self, stack: ExitStack, command: TakeFile) -> Found:
        return self._b.inspecting.look_for(stack, command.keeper.file.photo)

    def _objection(self, tree: TreeRoot, record: Record, keeper: Found, *, aside: bool) -> Refusal | None:
        """Why it is not finished: S8 in full, as if it were asked for now."""
        command = record.command
        refusal = self._still_allowed(command) or _as_it_was(command, keeper.looked)
        if refusal is None and is_listed(tree, record.origin.rel):
            refusal = _interrupted(
                command
            )  # between two names, or another file took the place: it goes home, or is held
        if refusal is None and aside:
            refusal = _itself(tree, record, keeper.looked.stat)
        if refusal is not None:
            return refusal
        sha256 = self._b.keepers.read(command.keeper.file.photo, keeper)
        return judge_contents(command, ContentFacts(victim_sha256=record.sha256, keeper_sha256=sha256))

    def _still_allowed(self, command: TakeFile) -> Refusal | None:
        root, name = command.keeper.file.root, command.victim.file.photo.text
        if command.expires_at <= self._b.clock.now():
            return Refusal(code="expired", explanation=f"{name} was put back: its command expired meanwhile")
        if command.action != self._b.settings.acting:
            return Refusal(code="not-allowed-to-act", explanation=f"{name} was put back: acting is no longer allowed")
        if root not in self._b.roots:
            return Refusal(code="not-my-root", explanation=f"{name} was put back: root {root} is not ours any more")
        return self._b.ownership.why_not(root)


def _interrupted(command: TakeFile) -> Refusal:
    name = command.victim.file.photo.text
    return Refusal(code="interrupted", explanation=f"the act on {name} was interrupted before it was taken")


def _lost(command: TakeFile) -> Refusal:
    name = command.victim.file.photo.text
    return Refusal(code="victim-gone", explanation=f"{name} is neither at its place nor set aside after a restart")


def _as_it_was(command: TakeFile, looked: Looked) -> Refusal | None:
    name = command.keeper.file.photo.text
    if looked.stat is None or looked.problem is not None:
        return Refusal(code="keeper-gone", explanation=f"after a restart {name} is not there any more")
    if (why := differs(command.keeper, looked.stat)) is not None:
        return Refusal(code="keeper-changed", explanation=f"after a restart {name} is not as it was: {why}")
    if looked.in_use:
        return Refusal(code="keeper-in-use", explanation=f"after a restart another program has {name} open")
    return None


def _itself(tree: TreeRoot, record: Record, keeper: FileStat | None) -> Refusal | None:
    """What lies aside is the victim, by hash, size and mtime, and neither its keeper nor still at home (S12)."""
    with tree.spot(record.place_rel) as spot, spot.open() as file:
        one_with_keeper = keeper is not None and same_file(file.stat, keeper)
        if evidence_holds(record.command, file.stat) and file.sha256() == record.sha256 and not one_with_keeper:
            return None
    name = record.origin.text
    return Refusal(code="victim-changed", explanation=f"what was taken as {name} is not what was decided about")

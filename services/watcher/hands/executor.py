"""The executor: one command at a time, judged, checked at the moment of acting, done, looked at again, recorded. (S8)

``take`` reads top to bottom in the order of the rules. What it does not know it asks: ``guards`` and ``evidence``
whether it may, ``inspecting`` what is there, ``keepers`` what stands for it, ``settingaside`` and ``moving`` do it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from services.watcher.disk.port import Attributes, OpenFile, Spot, TreeRoot
from services.watcher.hands.evidence import ContentFacts, judge_contents, judge_places
from services.watcher.hands.guards import judge_order
from services.watcher.hands.inspecting import Found
from services.watcher.hands.journalfile import JournalFailed
from services.watcher.hands.orders import order_facts, propose_only
from services.watcher.hands.quarantine import PHOTO, anchors, item_folder, joined
from services.watcher.hands.records import Record
from services.watcher.hands.refusals import Refusal
from services.watcher.hands.workbench import Workbench
from shared.errors import PhotosiftError, TransientError
from shared.messages.base import FileStat, digest_id
from shared.messages.commands import TakeFile
from shared.messages.envelope import Envelope
from shared.messages.outcomes import CommandDone
from shared.paths import to_text

#: every step of the executor's own that announces itself to the fault point, in order (D7 for the disk's)
FAULT_POINTS = (
    "execute:before-intent",
    "execute:before-record",
    "execute:before-set-aside",
    "execute:before-identify",
    "execute:before-look-again",
    "execute:before-aim",
    "execute:before-move-on",
    "execute:before-second-look",
    "execute:before-result",
    "execute:done",
)


class Unsettled(TransientError):
    """An act of this command was interrupted and cannot be settled yet: its root is not there."""

    code = "unsettled"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both files, opened and checked."""

    tree: TreeRoot
    victim: Spot
    victim_file: OpenFile
    keeper: FileStat
    #: what the folders above the victim have, the outermost first (S25)
    folders: tuple[Attributes, ...]
    #: where the victim may be set aside, best first
    anchors: list[bytes]


#: whether a command belongs to what the person at hand, or this service, wants now
AskedFor = Callable[[TakeFile], bool]


def any_command(_command: TakeFile) -> bool:
    return True


class Executor:
    """Carries commands out. Not for more than one thread at a time."""

    def __init__(self, bench: Workbench, asked_for: AskedFor = any_command) -> None:
        self._b, self._fault, self._asked_for = bench, bench.fault, asked_for

    def take(self, command: TakeFile, cause: Envelope | None = None) -> CommandDone:
        """The outcome, journalled and in the outbox. Raises ``JournalFailed``, ``Unsettled``; nothing else (S8)."""
        known = self._answered(command)
        if known is not None:
            return known
        with ExitStack() as stack:
            checked = self._checked(stack, command)
            if isinstance(checked, Pair):
                return self._act(command, cause, checked)
            return self._b.closing.refuse(command, cause, checked)

    def rest(self) -> None:
        """Nothing is to be done for now: hold no file."""
        self._b.keepers.rest()

    # ---- before ---------------------------------------------------------------------------------------------------

    def _answered(self, command: TakeFile) -> CommandDone | None:
        """Delivered twice, done once (S12). A refused one that is asked *again*, with a new expiry, is judged anew."""
        entry = self._b.journal.lookup(command.command_id)
        if entry is None:
            return None
        if entry.result is None:
            raise Unsettled(command.command_id)
        if entry.state != "done" and command.expires_at > entry.command.expires_at:
            return None
        self._b.journal.say(entry.result, cause=entry.cause)
        return entry.result

    def _objection(self, command: TakeFile) -> Refusal | None:
        """By settings, roots and journal; proposing only is one early return that looks at nothing (S6)."""
        refusal = propose_only(command, self._b.settings) or self._stale(command)
        return refusal or judge_order(command, order_facts(command, self._b))

    def _stale(self, command: TakeFile) -> Refusal | None:
        """A batch that was stopped half way does not go on when the person asks for something else (S6, S13)."""
        if self._asked_for(command):
            return None
        text = f"{command.victim.file.photo.text} was asked for by a batch that was stopped before its end"
        return Refusal(code="batch-stopped", explanation=text)

    def _checked(self, stack: ExitStack, command: TakeFile) -> Pair | Refusal:
        """Nothing is touched yet, so that every failure is a refusal."""
        try:
            return self._objection(command) or self._check(stack, command)
        except JournalFailed:
            raise
        except (PhotosiftError, OSError) as error:
            return Refusal(code=_code(error), explanation=f"{command.victim.file.photo.text}: {error}")

    def _check(self, stack: ExitStack, command: TakeFile) -> Pair | Refusal:
        """All evidence, at the moment of acting (S8): folders and stat, then the bytes, the keeper's from the disk."""
        victim = self._b.inspecting.look_for(stack, command.victim.file.photo)
        keeper = self._b.inspecting.look_for(stack, command.keeper.file.photo)
        refusal = judge_places(command, self._b.inspecting.places(command, victim, keeper))
        refusal = refusal or self._target_objects(command, victim.tree)
        refusal = refusal or judge_contents(command, self._read(command, victim, keeper))
        if refusal is not None:
            return refusal
        (spot, file), (_, keeper_file) = victim.opened, keeper.opened
        path, tree = command.victim.file.photo, victim.tree
        return Pair(
            tree=tree,
            victim=spot,
            victim_file=file,
            keeper=keeper_file.stat,
            folders=self._b.folder_looks.above(tree, path),
            anchors=anchors(tree, path.folder),
        )

    def _read(self, command: TakeFile, victim: Found, keeper: Found) -> ContentFacts:
        keeper_sha256 = self._b.keepers.read(command.keeper.file.photo, keeper)
        return ContentFacts(victim_sha256=victim.opened[1].sha256(), keeper_sha256=keeper_sha256)

    def _target_objects(self, command: TakeFile, tree: TreeRoot) -> Refusal | None:
        return self._b.moving.why_not(tree, confirmed=command.confirmed) if command.action == "move" else None

    # ---- the act --------------------------------------------------------------------------------------------------

    def _act(self, command: TakeFile, cause: Envelope | None, pair: Pair) -> CommandDone:
        now = self._b.clock.now()
        item_id = digest_id(command.command_id, self._b.file.id, now)
        refusal: Refusal | None = None
        for anchor in pair.anchors:
            record = self._record(command, pair, item_id, anchor, now)
            self._fault("execute:before-intent")
            self._b.journal.intend(command, cause=cause, item_id=item_id, private=record.place_rel, at=now)
            try:
                self._b.aside.remember(pair.tree, anchor)
                refusal = self._b.aside.take(pair.tree, pair.victim, record)
            except PhotosiftError as error:
                return self._b.closing.undo(record, Refusal(code=_code(error), explanation=str(error)))
            if refusal is None:
                return self._follow_up(pair, record)
            if refusal.code != "no-private-place":
                break
        assert refusal is not None
        return self._b.closing.nothing_done(command, refusal)

    def _record(self, command: TakeFile, pair: Pair, item_id: str, anchor: bytes, now: float) -> Record:
        text, encoded = to_text(joined(item_folder(anchor, command.action, item_id), PHOTO))
        return Record(
            item_id=item_id,
            command=command,
            sha256=command.victim.sha256,
            size=command.victim.size,
            mtime_ns=command.victim.mtime_ns,
            attributes=pair.victim_file.attributes().to_json(),
            folders=tuple(folder.to_json() for folder in pair.folders),
            taken_at=now,
            journal=self._b.file.id,
            place=text,
            place_b64=encoded,
        )

    def _follow_up(self, pair: Pair, record: Record) -> CommandDone:
        """Identified there, the keeper found again, moved on; whatever stands against it puts the victim back."""
        try:
            refusal = self._b.aside.is_stranger(pair.tree, pair.victim_file, record)
            if refusal is not None:
                return self._b.closing.undo(self._b.aside.corrected(pair.tree, record), refusal)
            refusal = self._keeper_again(record, pair.keeper)
            if refusal is not None:
                return self._b.closing.undo(record, refusal)
            return self.finish(pair.tree, record, pair.keeper)
        except JournalFailed:
            raise
        except (PhotosiftError, OSError) as error:
            return self._b.closing.undo(
                record, Refusal(code=_code(error), explanation=f"{record.origin.text}: {error}")
            )

    def finish(self, tree: TreeRoot, record: Record, keeper: FileStat) -> CommandDone:
        """A set-aside victim whose keeper stands: held, or moved on. Also after a restart (S12)."""
        if record.command.action == "delete":
            return self._b.closing.taken(record)
        moved = self._b.moving.move_on(tree, record, lambda: self._keeper_again(record, keeper))
        if isinstance(moved, Refusal):
            return self._b.closing.undo(record, moved)
        result = self._b.closing.taken(moved)
        self._b.moving.clear(tree, record)
        return result

    def _keeper_again(self, record: Record, keeper: FileStat) -> Refusal | None:
        self._fault("execute:before-look-again")
        return self._b.keepers.again(record.keeper, keeper)


def _code(error: Exception) -> str:
    return error.code if isinstance(error, PhotosiftError) else "disk-failure"

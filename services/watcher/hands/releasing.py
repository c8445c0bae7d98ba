"""Last copies: asked about, and let go where the resolver names a live file that stands for them. (S1, S8, S11, S20)

Of an item that is due and of whose bytes no live copy is known here, ``ItemDue`` is said; the resolver may answer with
``RemoveItem``. Nobody's word is taken for it: the item is judged as if it were to be taken now for the named keeper, by
the same rules, and the keeper is read from the disk. Otherwise the item stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

import structlog

from services.watcher.hands.evidence import as_it_was
from services.watcher.hands.guards import judge_order
from services.watcher.hands.inspecting import Found
from services.watcher.hands.items import Item
from services.watcher.hands.journalfile import JournalFailed
from services.watcher.hands.lettinggo import LettingGo, kept
from services.watcher.hands.orders import order_facts
from services.watcher.hands.refusals import Refusal, named
from services.watcher.hands.removal import Removal
from services.watcher.hands.removalrules import ItemFacts, covered_by, judge_item
from services.watcher.hands.workbench import Workbench
from shared.errors import PhotosiftError
from shared.messages.base import FileRef
from shared.messages.commands import RemoveItem, TakeFile
from shared.messages.envelope import Envelope
from shared.messages.outcomes import ItemDue, RemovalDone

log = structlog.get_logger()

#: seconds until the same item is asked about again, in one process
ASK_AGAIN = 86_400.0
#: how many are asked about in one round; the others come later
ASK_AT_ONCE = 500
#: an item that stands for more than so many contents is not asked about (the message would be too long): it stays
MOST_COVERED = 500


class Releasing:
    """Asks and carries out. Raises ``JournalFailed``; nothing else."""

    def __init__(self, bench: Workbench, removal: Removal) -> None:
        self._b, self._removal, self._letting = bench, removal, LettingGo(bench)
        #: when an item was last asked about, by the monotonic clock
        self._asked: dict[str, float] = {}

    # ---- asking ---------------------------------------------------------------------------------------------------

    def ask(self, items: Sequence[Item]) -> int:
        """Say which items are due without a live copy of their bytes; how many were asked about now."""
        now = self._b.clock.monotonic()
        self._asked = {item.item_id: at for item in items if (at := self._asked.get(item.item_id)) is not None}
        waiting = [item for item in items if now - self._asked.get(item.item_id, -ASK_AGAIN) >= ASK_AGAIN]
        questions = [due for item in waiting[:ASK_AT_ONCE] if (due := self._question(item)) is not None]
        self._asked |= {item.item_id: now for item in waiting[:ASK_AT_ONCE]}
        self._b.journal.say(*questions)
        return len(questions)

    def _question(self, item: Item) -> ItemDue | None:
        record = item.record
        stands_for = self._b.items.all_it_stood_for(record.sha256)
        if len(stands_for) > MOST_COVERED:
            return None
        return ItemDue(
            item_id=item.item_id,
            file=FileRef.of(record.origin),
            sha256=record.sha256,
            mtime_ns=record.mtime_ns,
            stands_for=tuple(sorted(stands_for)),
            asked_at=self._b.clock.now(),
        )

    # ---- carrying out ---------------------------------------------------------------------------------------------

    def carry_out(self, command: RemoveItem, cause: Envelope | None = None) -> RemovalDone | None:
        """The outcome, journalled and in the outbox; None where it was carried out before."""
        done = self._carry_out(command, cause)
        if done is not None:
            log.info(
                "executor.removal_done",
                item=done.item_id,
                outcome=done.outcome,
                code=done.code,
                reason=done.explanation,
            )
        return done

    def _carry_out(self, command: RemoveItem, cause: Envelope | None) -> RemovalDone | None:
        item = self._b.items.get(command.item_id)
        if item is not None and item.state in ("removing", "removed"):
            return None  # delivered twice, done once (S12)
        try:
            with ExitStack() as stack:
                refusal = self._objection(stack, command, item)
                if refusal is None:
                    assert item is not None
                    return self._letting.release(stack, item, command.keeper.file, command, cause)
        except JournalFailed:
            raise
        except (PhotosiftError, OSError) as error:
            code = error.code if isinstance(error, PhotosiftError) else "disk-failure"
            refusal = Refusal(code=code, explanation=str(error))
        done = kept(command, refusal.code, refusal.explanation, at=self._b.clock.now())
        self._b.journal.say(done, cause=cause)
        return done

    def _objection(self, stack: ExitStack, command: RemoveItem, item: Item | None) -> Refusal | None:
        if item is None:
            return Refusal(code="not-my-item", explanation="this executor knows of no such item")
        return (
            judge_item(command, self._item_facts(item))
            or self._order_objects(command, item)
            or self._keeper_objects(stack, command, item)
            or self._item_objects(stack, item)
            or self._keeper_went(stack, command)
        )

    def _item_facts(self, item: Item) -> ItemFacts:
        return ItemFacts(
            is_held=item.state == "held",
            sha256=item.record.sha256,
            origin=item.record.origin.text,
            is_due=self._removal.is_due(item),
            stands_for=self._b.items.all_it_stood_for(item.record.sha256),
            max_distance=self._b.settings.deduplication.max_distance,
        )

    def _order_objects(self, command: RemoveItem, item: Item) -> Refusal | None:
        """As if the item were a victim that is to be taken for this keeper now: S3, S4, S5, S8, S12-S15, S22, S23."""
        order = as_an_order(command, item)
        facts = order_facts(order, self._b)
        return judge_order(order, replace(facts, stands_for=facts.stands_for - covered_by(command)))

    def _keeper_objects(self, stack: ExitStack, command: RemoveItem, item: Item) -> Refusal | None:
        path, name = command.keeper.file.photo, named(command.keeper)
        found = self._b.inspecting.look_for(stack, path)
        refusal = as_it_was("keeper", command.keeper, found.looked)
        if refusal is not None:
            return refusal
        if (why := self._b.inspecting.not_live(found.tree, path)) is not None:  # S22
            return Refusal(code="not-live", explanation=f"{name} is in a place that is never acted on: {why}")
        _, file = found.opened
        if self._letting.is_the_item(stack, file.stat, item):
            return Refusal(code="same-file", explanation=f"{name} is another name of the item itself")
        if self._maybe_the_item(stack, found, command, item):  # S4
            return Refusal(code="maybe-one-file", explanation=f"{name} may be the item seen through another mount")
        file.settle_to_disk()  # S2
        if file.hash_from_disk() != command.keeper.sha256:
            return Refusal(code="keeper-changed", explanation=f"what the disk holds of {name} was not decided about")
        return None

    def _maybe_the_item(self, stack: ExitStack, found: Found, command: RemoveItem, item: Item) -> bool:
        if command.keeper.sha256 != item.record.sha256 or command.keeper.mtime_ns != item.record.mtime_ns:
            return False
        tree = self._b.inspecting.open_root(stack, item.record.origin.root)
        with tree.spot(item.record.place_rel) as spot:
            mounts = (spot.mount(), found.opened[0].mount())
        return mounts[0].mount_id != mounts[1].mount_id and any(m.is_layered or m.is_network for m in mounts)

    def _item_objects(self, stack: ExitStack, item: Item) -> Refusal | None:
        if self._letting.is_as_recorded(stack, item):
            return None
        name = item.record.origin.text
        return Refusal(
            code="item-changed", explanation=f"what lies in the quarantine is not {name} any more, or is in use"
        )

    def _keeper_went(self, stack: ExitStack, command: RemoveItem) -> Refusal | None:
        """Once more by name, as reading the item took its time (S8): after this there is no way back."""
        self._b.fault("remove:before-look-again")
        found = self._b.inspecting.look_for(stack, command.keeper.file.photo)
        return as_it_was("keeper", command.keeper, found.looked)


def as_an_order(command: RemoveItem, item: Item) -> TakeFile:
    """The command that would take the item now for the file that shall stand for it."""
    record = item.record
    victim = {"sha256": record.sha256, "size": record.size, "mtime_ns": record.mtime_ns}
    return record.command.model_copy(
        update={
            "decision_id": command.decision_id,
            "action": "delete",
            "victim": record.command.victim.model_copy(update=victim),
            "keeper": command.keeper,
            "match_class": command.match_class,
            "distance": command.distance,
            "expires_at": command.expires_at,
            "confirmed": False,
            "target": None,
        }
    )

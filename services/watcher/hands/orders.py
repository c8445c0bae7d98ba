"""What is known of a command before anything is looked at: gathered for ``guards``. (S6, S12-S15, S23)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.watcher.hands.breaker import why_open
from services.watcher.hands.guards import OrderFacts, RootStanding
from services.watcher.hands.refusals import Refusal
from shared.config import Settings
from shared.messages.commands import TakeFile

if TYPE_CHECKING:
    from services.watcher.hands.workbench import Workbench


def propose_only(command: TakeFile, settings: Settings) -> Refusal | None:
    """The dry run: where the settings do not allow this act, no root is even claimed (S6)."""
    if command.action == settings.acting:
        return None
    return Refusal(
        code="not-allowed-to-act",
        explanation=f"asked to {command.action} {command.victim.file.photo.text}, but the setting `action` here is"
        f" {settings.acting}",
    )


def order_facts(command: TakeFile, bench: Workbench) -> OrderFacts:
    """Claims the roots of the pair where they are free; a person's confirmed batch takes them over (S23)."""
    settings, now = bench.settings, bench.clock.now()
    victim, keeper = command.victim, command.keeper
    names = {name for name in (victim.file.root, keeper.file.root) if name in bench.roots}
    return OrderFacts(
        now=now,
        acting=settings.acting,
        automatic_classes=settings.automatic_classes,
        target=None if settings.target is None else str(settings.target),
        expiry_seconds=settings.command_expiry_seconds,
        keeper_age_seconds=settings.keeper_age_seconds,
        keeper_known_since=bench.sight.known_since(keeper.file.photo),
        roots={name: _standing(name, bench, adopt=command.confirmed) for name in names},
        restored_pair=bench.items.was_restored(victim.sha256, keeper.sha256),
        open_files=bench.journal.open_files(),
        stands_for=bench.items.stands_for(victim.sha256),
        victim_known_since=bench.sight.known_since(victim.file.photo),
        history_unknown_before=bench.ownership.history_unknown_before(victim.file.root),
        breaker=breaker_of(victim.file.root, bench),
    )


def breaker_of(root: str, bench: Workbench) -> str | None:
    """Why the breaker is open for this root (S13)."""
    files = {name: bench.sight.files_in(name) for name in bench.roots}
    counts = bench.counters.counts(bench.clock.now())
    return why_open(root, counts=counts, files=files, settings=bench.settings.breaker)


def _standing(name: str, bench: Workbench, *, adopt: bool) -> RootStanding:
    doubt = bench.sight.doubt(name)  # S14: nothing is claimed where it is not known what lies there
    not_ours = bench.ownership.why_not(name) if doubt is None else None
    if not_ours is not None and adopt and not_ours.code in ("not-adopted", "older-journal"):
        not_ours = bench.ownership.take_over(name)
    return RootStanding(
        role=bench.roots[name].role, not_ours=not_ours, overlaps=bench.ownership.overlap(name), doubt=doubt
    )

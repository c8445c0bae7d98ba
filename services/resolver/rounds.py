"""One round: plan some components, compare with what stands, and write down what is to be said. Blocking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from services.resolver.checks import PlanBroken, check_plan
from services.resolver.commanding import Round, Terms, commands_for, evidence_id
from services.resolver.contentbook import Component
from services.resolver.neighbourhood import Gathered
from services.resolver.planning import Decision, Policy, plan
from services.resolver.policy import candidates_of, policy_of, policy_of_request
from services.resolver.ranking import Candidate
from services.resolver.store import DecisionStore
from shared.config import Root, Settings
from shared.messages.base import digest_id
from shared.messages.requests import ApplyRequested
from shared.messages.resolution import DecisionWithdrawn
from shared.signature import Signature
from shared.telemetry.metrics import COMMANDS, DECISIONS

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What a plan says of one component."""

    component: Component
    candidates: tuple[Candidate, ...]
    #: (base id, decision)
    decisions: tuple[tuple[str, Decision], ...]
    #: contents without a file
    gone: tuple[str, ...]

    @property
    def acts(self) -> bool:
        return any(decision.acts for _, decision in self.decisions)


class Rounds:
    """Plans components and writes the result into the store, where the outbox waits to be emptied."""

    def __init__(self, store: DecisionStore, settings: Settings) -> None:
        self.store = self._store = store
        self.settings = settings
        self._roots: dict[str, Root] = {root.name: root for root in settings.roots}

    def settle(self, work: Sequence[Component], gathered: Gathered, now: float) -> Round:
        """Everything about these components as the settings have it, in one transaction."""
        with self._store.transaction():
            policy = policy_of(self.settings, self._store.decisions.allowed())
            planned = [self._plan(component, gathered, policy) for component in work]
            return self._write(planned, self._terms(now))

    def apply(self, work: Sequence[Component], gathered: Gathered, request: ApplyRequested, now: float) -> Round:
        """The same for a person's batch: only where something is to be done, and under new decision ids.

        A refusal that the service met by itself must not swallow what a person asks for.
        """
        with self._store.transaction():
            book = self._store.decisions
            policy = policy_of_request(request, policy_of(self.settings, book.allowed()))
            planned = [self._plan(component, gathered, policy, request.request_id) for component in work]
            left = max(0, request.at_most - book.asked_in(request.request_id))
            return self._write([p for p in planned if p.acts], self._terms_of(request, left, now))

    def _terms(self, now: float) -> Terms:
        return Terms(
            batch_id=digest_id("round", now),
            target=None if self.settings.target is None else str(self.settings.target),
            now=now,
            expiry_seconds=self.settings.command_expiry_seconds,
            keeper_age_seconds=self.settings.keeper_age_seconds,
        )

    def _terms_of(self, request: ApplyRequested, left: int, now: float) -> Terms:
        return replace(
            self._terms(now), batch_id=request.request_id, target=request.target, confirmed=True, at_most=left
        )

    def _plan(self, component: Component, gathered: Gathered, policy: Policy, salt: str = "") -> Planned:
        files = [doc for sha in component.hashes for doc in gathered.files.get(sha, ())]
        candidates = self._not_taken(candidates_of(files, gathered.contents, self._roots))
        signatures = {c.sha256: gathered.contents[c.sha256].signature for c in candidates}
        decisions = self._checked(candidates, signatures, policy) if len(candidates) > 1 else []
        return Planned(
            component=component,
            candidates=tuple(candidates),
            decisions=tuple((_base_id(d, salt), d) for d in decisions),
            gone=tuple(sha for sha in component.hashes if not gathered.files.get(sha)),
        )

    def _not_taken(self, candidates: list[Candidate]) -> list[Candidate]:
        taken = self._store.decisions.taken([c.file_id for c in candidates])
        return [c for c in candidates if (c.file_id, c.version) not in taken]

    def _checked(
        self, candidates: Sequence[Candidate], signatures: Mapping[str, Signature], policy: Policy
    ) -> list[Decision]:
        unknown_before = float(self._store.note("unknown_before") or 0.0)
        past = self._store.decisions.past(sorted(signatures), unknown_before)
        decisions = plan(candidates, signatures, policy, past)
        try:
            check_plan(decisions, signatures, policy)
        except PlanBroken as error:  # nothing is decided rather than something unsafe
            log.error("resolver.plan_refused", reason=str(error), files=len(candidates))
            return []
        return decisions

    def _write(self, planned: Sequence[Planned], terms: Terms) -> Round:
        known = [self._withdraw_what_fell(one) for one in planned]
        standing = [
            (self._decide(base, decision, stood, one, terms), decision, one.component.cause)
            for one, stood in zip(planned, known, strict=True)
            for base, decision in one.decisions
        ]
        # a person's batch asks for what the service was refused by itself; only its own repetition is dropped
        within = terms.batch_id if terms.confirmed else None
        wanted = commands_for(
            [(decision_id, d) for decision_id, d, _ in standing],
            terms,
            lambda evidence: self._store.decisions.was_asked(evidence, within),
        )
        causes = {decision_id: cause for decision_id, _, cause in standing}
        for command in wanted.commands:
            self._store.decisions.ask(command, evidence_id(command))
            self._store.outbox.put(command, causes[command.decision_id])
            COMMANDS.labels(command.action).inc()
        for one in planned:
            self._store.contents.finish([one.component], one.gone)
            self._wake(one, terms, wanted)
        return wanted

    def _withdraw_what_fell(self, one: Planned) -> dict[str, str]:
        """Withdraws what no longer holds; first, so that no file ever stands in two decisions (S3)."""
        book = self._store.decisions
        known = book.involved(one.component.hashes, [c.file_id for c in one.candidates])
        holds = {base for base, _ in one.decisions}
        for base, decision_id in known.items():
            if base not in holds:
                withdraw(self._store, decision_id, "its files, or what is known of them, changed", one.component.cause)
        return known

    def _decide(self, base: str, decision: Decision, known: Mapping[str, str], one: Planned, terms: Terms) -> str:
        book = self._store.decisions
        if base in known:
            book.amend(decision.message(known[base], terms.now))
            return known[base]
        message = decision.message(book.fresh_id(base), terms.now)
        book.open(base, message)
        self._store.outbox.put(message, one.component.cause)
        for duplicate in message.duplicates:
            DECISIONS.labels(duplicate.match_class, duplicate.action).inc()
        return message.decision_id

    def _wake(self, one: Planned, terms: Terms, wanted: Round) -> None:
        if wanted.wake_at is not None and one.acts:
            self._store.contents.wake(one.component.hashes, wanted.wake_at)


def withdraw(store: DecisionStore, decision_id: str, reason: str, cause: str | None) -> None:
    """Closes a decision and puts the word about it into the outbox."""
    store.decisions.close(decision_id)
    store.outbox.put(DecisionWithdrawn(decision_id=decision_id, reason=reason), cause)


def portions_of(components: Iterable[Component], size: int) -> list[list[Component]]:
    """The components in portions of about so many contents."""
    portions: list[list[Component]] = []
    room = 0
    for component in components:
        if room <= 0:
            portions.append([])
            room = size
        portions[-1].append(component)
        room -= len(component.hashes)
    return portions


def _base_id(decision: Decision, salt: str) -> str:
    return digest_id(decision.base_id, salt) if salt and decision.acts else decision.base_id

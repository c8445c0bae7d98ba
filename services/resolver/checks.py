"""[pure] ``check_plan``: the rules that no plan may break, checked from scratch before anything is published.

It shares no code with what made the plan: distances are measured again, roles are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.resolver.planning import Decision, Policy, Verdict
from services.resolver.ranking import Candidate
from shared.errors import PermanentError
from shared.signature import Signature, distance


class PlanBroken(PermanentError):
    """A plan breaks a safety rule and is not published."""

    code = "plan-broken"


def check_plan(decisions: Sequence[Decision], signatures: Mapping[str, Signature], policy: Policy) -> None:
    """Raises ``PlanBroken`` where S1, S2, S3, S4, S5, S22 or S23 does not hold."""
    _check_files_have_one_part(decisions)
    for decision in decisions:
        if not decision.verdicts:
            raise PlanBroken(f"S2: {decision.keeper.path.text} is kept for nothing")
        for verdict in decision.verdicts:
            _check_measured(decision.keeper, verdict, signatures, policy)
            _check_live(decision.keeper, verdict.file, policy)
            _check_allowed(verdict, policy)
            _check_in_reach(decision.keeper, verdict, policy)


def check_parts(pairs: Iterable[tuple[str, Sequence[str]]]) -> None:
    """S3 over (keeper's file id, victims' file ids) of all open decisions. Raises ``PlanBroken``."""
    keepers: set[str] = set()
    victims: set[str] = set()
    for keeper, its_victims in pairs:
        twice = victims.intersection(its_victims)
        if twice or len(set(its_victims)) < len(its_victims):
            raise PlanBroken(f"S3: {next(iter(twice), keeper)} is a victim twice")
        keepers.add(keeper)
        victims.update(its_victims)
    if keepers & victims:
        raise PlanBroken(f"S3: {sorted(keepers & victims)[0]} is the victim of one decision and the keeper of another")


def _check_files_have_one_part(decisions: Sequence[Decision]) -> None:
    check_parts((d.keeper.file_id, [v.file.file_id for v in d.verdicts]) for d in decisions)


def _check_measured(keeper: Candidate, verdict: Verdict, signatures: Mapping[str, Signature], policy: Policy) -> None:
    pair = f"{verdict.file.path.text} for {keeper.path.text}"
    if (verdict.match_class == "same-bytes") != (keeper.sha256 == verdict.file.sha256):
        raise PlanBroken(f"S1: {pair} is not {verdict.match_class}")
    if verdict.match_class == "same-bytes":
        return
    mine, its = signatures[keeper.sha256], signatures[verdict.file.sha256]
    measured = distance(mine, its)
    if mine.is_featureless or its.is_featureless or measured > policy.bounds.max_distance:
        raise PlanBroken(f"S1: {pair} is at {measured:.4f}, beyond {policy.bounds.max_distance}")


def _check_live(keeper: Candidate, victim: Candidate, policy: Policy) -> None:
    pair = f"{victim.path.text} for {keeper.path.text}"
    same_root = keeper.path.root == victim.path.root
    if (keeper.stat.dev, keeper.stat.ino, keeper.sha256) == (victim.stat.dev, victim.stat.ino, victim.sha256):
        raise PlanBroken(f"S4: {pair} are one file")
    if victim.role in ("reference", "backup") or keeper.role == "backup":
        raise PlanBroken(f"S22: {pair}: a {victim.role} file for a {keeper.role} file")
    if not same_root and (keeper.role == "incoming" or not policy.bounds.across_roots):
        raise PlanBroken(f"S22: {pair} are in different roots")


def _check_allowed(verdict: Verdict, policy: Policy) -> None:
    if verdict.action == "propose":
        return
    if verdict.action != policy.action or verdict.match_class not in policy.classes:
        raise PlanBroken(f"S5: {verdict.match_class} is not to be {verdict.action}d")


def _check_in_reach(keeper: Candidate, verdict: Verdict, policy: Policy) -> None:
    roots = {keeper.path.root, verdict.file.path.root}
    if verdict.action != "propose" and len({policy.watchers.get(root) for root in roots}) > 1:
        raise PlanBroken(f"S23: {verdict.file.path.text} and {keeper.path.text} have different executors")

"""[pure] What could stand for a last copy now: live, decoded, measured directly against all it stood for (S1, S11)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.resolver.clustering import rounded
from services.resolver.planning import Policy
from services.resolver.ranking import Candidate
from shared.messages.commands import Covered
from shared.messages.outcomes import ItemDue
from shared.messages.resolution import MatchClass
from shared.signature import Signature, distance


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """A file that stands for an item and for everything that the item stood for."""

    file: Candidate
    match_class: MatchClass
    distance: float
    covers: tuple[Covered, ...] = ()


def stand_in_for(
    due: ItemDue,
    candidates: Sequence[Candidate],
    signatures: Mapping[str, Signature],
    policy: Policy,
    busy: Collection[str] = (),
) -> StandIn | None:
    """The best of the candidates: equal bytes first, then the nearest, then by path; None where none stands for it.

    ``busy``: ids of files that another decision would take away (S3).
    """
    if policy.action != "delete":  # S6
        return None
    fitting = [c for c in candidates if c.file_id not in busy and _may_keep(c, due, policy)]
    found = [one for c in fitting for one in _measured(due, c, signatures, policy)]
    return min(found, key=lambda one: (one.match_class != "same-bytes", one.distance, one.file.path), default=None)


def _may_keep(file: Candidate, due: ItemDue, policy: Policy) -> bool:
    """Its place and state allow it: S15, S22, S23."""
    if file.doubt or file.role == "backup" or file.path == due.file.photo:
        return False
    if file.path.root != due.file.root and (file.role == "incoming" or not policy.bounds.across_roots):
        return False
    if policy.watchers.get(file.path.root) != policy.watchers.get(due.file.root):  # S23
        return False
    limit = policy.max_mtime_difference_ns
    return limit is None or abs(file.stat.mtime_ns - due.mtime_ns) <= limit


def _measured(due: ItemDue, file: Candidate, signatures: Mapping[str, Signature], policy: Policy) -> Iterator[StandIn]:
    """At most one: of an allowed class (S5), and near the item and each content that the item stood for (S1)."""
    if file.sha256 == due.sha256:  # these bytes go on standing for whatever they stood for
        if "same-bytes" in policy.classes:
            yield StandIn(file=file, match_class="same-bytes", distance=0.0)
        return
    if "similar" not in policy.classes:
        return
    others = [sha for sha in due.stands_for if sha not in (due.sha256, file.sha256)]
    far = [_distance(file.sha256, sha, signatures) for sha in (due.sha256, *others)]
    if all(one is not None and one <= policy.bounds.max_distance for one in far):
        first, *rest = [rounded(one) for one in far if one is not None]
        covers = tuple(Covered(sha256=sha, distance=one) for sha, one in zip(others, rest, strict=True))
        yield StandIn(file=file, match_class="similar", distance=first, covers=covers)


def _distance(a: str, b: str, signatures: Mapping[str, Signature]) -> float | None:
    """None where one of the two was never decoded here, or says nothing (a flat picture)."""
    mine, its = signatures.get(a), signatures.get(b)
    if mine is None or its is None or mine.is_featureless or its.is_featureless:
        return None
    return distance(mine, its)

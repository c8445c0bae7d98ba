"""[pure] Stars become decisions: what the settings and the past make of each follower, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.resolver.clustering import Bounds, Follower, Star, in_order, stars
from services.resolver.ranking import BY_ROLE, Candidate, Rule, decided_by, why
from shared.messages.base import FileRef, digest_id
from shared.messages.resolution import Action, Duplicate, GroupDecided, MatchClass, Member
from shared.paths import ancestors, printable
from shared.signature import Signature, distance

#: bytes that the duplicates of one decision may take in a message; a larger group is told in several, with one keeper
LARGEST_DECISION = 400_000


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the user allows; for one batch of a person, what that person allowed."""

    bounds: Bounds
    action: Action = "propose"
    #: classes that may be acted on (S5)
    classes: frozenset[MatchClass] = frozenset({"same-bytes"})
    #: a follower modified further than this from its keeper is kept, and shown
    max_mtime_difference_ns: int | None = None
    target: str | None = None
    #: (root, folder below it; empty for the whole root) that another program manages (S24)
    managed: tuple[tuple[str, bytes], ...] = ()
    #: those that a person allowed by name
    allowed: frozenset[tuple[str, bytes]] = frozenset()
    #: only files of these roots are acted on; None: of any
    roots: frozenset[str] | None = None
    #: a person's word for this batch
    confirmed: bool = False
    #: which watcher has a root, by the root's name (S23)
    watchers: Mapping[str, str] = field(default_factory=dict)

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self.bounds.rules

    def out_of_reach(self, keeper: Candidate, victim: Candidate) -> bool:
        """Whether the executor of the victim cannot look at the keeper (S23)."""
        return self.watchers.get(keeper.path.root) != self.watchers.get(victim.path.root)

    @property
    def separates_exact_copies(self) -> bool:
        return self.action != "propose" and "similar" not in self.classes


@dataclass(frozen=True, kw_only=True)
class Past:
    """What the resolver remembers of earlier acts."""

    #: for a content that was a keeper: signatures of all it ever replaced, by their hash (S1 over time)
    replaced: Mapping[str, Mapping[str, Signature]] = field(default_factory=dict)
    #: (victim's, keeper's) contents that were put back by a person (S12)
    restored: frozenset[tuple[str, str]] = frozenset()
    #: a file known since before this moment may have replaced others that nobody remembers
    unknown_before: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of one follower."""

    file: Candidate
    distance: float
    match_class: MatchClass
    decided_by: str
    action: Action
    reason: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One keeper and what becomes of the files it could stand for."""

    keeper: Candidate
    verdicts: tuple[Verdict, ...]

    @property
    def base_id(self) -> str:
        """The same for the same members, versions, bytes and actions; ``generation`` tells a repetition apart."""
        return digest_id(
            *_identity(self.keeper),
            *(part for v in self.verdicts for part in (*_identity(v.file), v.match_class, v.action)),
        )

    @property
    def acts(self) -> bool:
        return any(verdict.action != "propose" for verdict in self.verdicts)

    def message(self, decision_id: str, decided_at: float) -> GroupDecided:
        return GroupDecided(
            decision_id=decision_id,
            keeper=_member(self.keeper),
            duplicates=tuple(_duplicate(v) for v in self.verdicts),
            decided_at=decided_at,
        )


def base_id_of(decided: GroupDecided) -> str:
    """``Decision.base_id`` of a decision that was heard."""
    parts = [_heard(decided.keeper)]
    parts += [(*_heard(d.member), d.match_class, d.action) for d in decided.duplicates]
    return digest_id(*(part for one in parts for part in one))


def _heard(member: Member) -> tuple[object, ...]:
    return (member.file.photo.file_id, member.version, member.sha256)


def decision_id(base_id: str, generation: int) -> str:
    """A decision that holds again after it was withdrawn is a new one: its id must not be dropped as a repetition."""
    return digest_id(base_id, generation)


def plan(files: Sequence[Candidate], signatures: Mapping[str, Signature], policy: Policy, past: Past) -> list[Decision]:
    """All decisions about these files; who is in none is unique."""
    found = stars(files, signatures, policy.bounds)
    if policy.separates_exact_copies:
        found = [part for star in found for part in split_for_acting(star, signatures, policy.bounds)]
    return [_decision(part, signatures, policy, past) for star in found for part in _told_in_parts(star)]


def _told_in_parts(star: Star) -> list[Star]:
    """Nothing is cut: what does not fit one message stands in a further one, with the same keeper."""
    parts: list[list[Follower]] = [[]]
    room = LARGEST_DECISION
    for follower in star.followers:
        size = 800 + 8 * len(follower.file.path.rel)  # escaped characters and base64 at their worst
        if size > room and parts[-1]:
            parts.append([])
            room = LARGEST_DECISION
        parts[-1].append(follower)
        room -= size
    return [Star(keeper=star.keeper, followers=tuple(part)) for part in parts]


def split_for_acting(star: Star, signatures: Mapping[str, Signature], bounds: Bounds) -> list[Star]:
    """Takes exact copies of each other out of a star in which they are merely similar to the keeper.

    Only exact copies may be acted on here. Left together, the best of them would have to be the victim of one
    decision (similar, proposed) and the keeper of another (S3).
    """
    exact_only = replace(bounds, max_distance=0.0)
    by_content: dict[str, list[Follower]] = {}
    for follower in star.followers:
        by_content.setdefault(follower.file.sha256, []).append(follower)
    own: list[Star] = []
    for sha, followers in sorted(by_content.items()):
        if sha != star.keeper.sha256 and len(followers) > 1:
            own += stars([f.file for f in followers], signatures, exact_only)
    gone = {c.file_id for s in own for c in (s.keeper, *(f.file for f in s.followers))}
    left = in_order(f for f in star.followers if f.file.file_id not in gone)
    return ([Star(keeper=star.keeper, followers=left)] if left else []) + own


def _decision(star: Star, signatures: Mapping[str, Signature], policy: Policy, past: Past) -> Decision:
    return Decision(
        keeper=star.keeper,
        verdicts=tuple(_verdict(star.keeper, f, signatures, policy, past) for f in star.followers),
    )


def _verdict(
    keeper: Candidate, follower: Follower, signatures: Mapping[str, Signature], policy: Policy, past: Past
) -> Verdict:
    obstacle = (
        _about_the_files(keeper, follower, policy)
        or _about_the_permission(follower, policy)
        or _about_the_past(keeper, follower, signatures, policy, past)
    )
    action: Action = "propose" if obstacle else policy.action
    return Verdict(
        file=follower.file,
        distance=follower.distance,
        match_class=follower.match_class,
        decided_by=decided_by(keeper, follower.file, policy.rules),
        action=action,
        reason=obstacle or why(keeper, follower.file, policy.rules),
    )


def _about_the_files(keeper: Candidate, follower: Follower, policy: Policy) -> str | None:
    """Why no one's permission is enough to act on this pair, or None."""
    file, limit = follower.file, policy.max_mtime_difference_ns
    apart = abs(file.stat.mtime_ns - keeper.stat.mtime_ns)
    if limit is not None and apart > limit:
        return f"kept: modified {apart / 1e9:.0f} s from the keeper, the limit is {limit / 1e9:.0f} s"
    for whose, doubt in (("it", file.doubt), ("the keeper", keeper.doubt)):
        if doubt:  # S15
            return f"{whose} is in doubt: {doubt}"
    if policy.out_of_reach(keeper, file):  # S23
        return f"keeper-out-of-reach: another watcher has root {printable(keeper.path.root)}, where its keeper lies"
    if _is_managed(file, policy):  # S24
        return "its folder is managed by another program; allow the folder by name to act there"
    if follower.match_class == "similar" and decided_by(keeper, file, policy.rules) == BY_ROLE:
        return f"the rules prefer it to the keeper, which leads only as a file of a {keeper.role} root"
    return None


def _about_the_permission(follower: Follower, policy: Policy) -> str | None:
    if policy.action == "propose":
        return None  # nothing is acted on, and the reason says why the keeper is better
    if follower.match_class not in policy.classes:  # S5
        return f"{follower.match_class} is not among the classes to act on"
    if policy.roots is not None and follower.file.path.root not in policy.roots:
        return "its root is not part of this request"
    return None


def _about_the_past(
    keeper: Candidate, follower: Follower, signatures: Mapping[str, Signature], policy: Policy, past: Past
) -> str | None:
    file = follower.file
    if policy.action == "propose":
        return None
    if not policy.confirmed and (file.sha256, keeper.sha256) in past.restored:  # S12
        return "a person put it back once; only a person can let it be taken again"
    if file.sha256 == keeper.sha256:
        return None  # the keeper stands for the very same bytes, and so for all that they stood for
    if not policy.confirmed and file.known_since < past.unknown_before:  # S1
        return "it may stand for files taken before this service's memory begins"
    return _stands_for(keeper, past.replaced.get(file.sha256, {}), signatures, policy)


def _stands_for(
    keeper: Candidate, replaced: Mapping[str, Signature], signatures: Mapping[str, Signature], policy: Policy
) -> str | None:
    """S1 over time: the new keeper must stand, by itself, for everything that its victim ever stood for."""
    for sha, signature in sorted(replaced.items()):
        gap = 0.0 if sha == keeper.sha256 else distance(signatures[keeper.sha256], signature)
        match_class: MatchClass = "same-bytes" if sha == keeper.sha256 else "similar"
        featureless = signature.is_featureless and sha != keeper.sha256
        if gap > policy.bounds.max_distance or featureless or match_class not in policy.classes:
            return "it stands for a file taken earlier that is not close enough to this keeper"
    return None


def _is_managed(file: Candidate, policy: Policy) -> bool:
    """Whether the innermost managed folder around it is closed: no word was given for it, nor on the way from it."""
    for folder in reversed(ancestors(file.path.folder)):
        place = (file.path.root, folder)
        if place in policy.allowed:
            return False
        if place in policy.managed:
            return True
    return False


def _identity(file: Candidate) -> tuple[str, int, str]:
    return (file.file_id, file.version, file.sha256)


def _member(file: Candidate) -> Member:
    return Member(
        file=FileRef.of(file.path),
        sha256=file.sha256,
        width=file.facts.width,
        height=file.facts.height,
        bytes=file.stat.size,
        version=file.version,
    )


def _duplicate(verdict: Verdict) -> Duplicate:
    return Duplicate(
        member=_member(verdict.file),
        match_class=verdict.match_class,
        distance=verdict.distance,
        decided_by=verdict.decided_by,
        action=verdict.action,
        reason=verdict.reason,
    )

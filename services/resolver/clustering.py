"""[pure] Stars around keepers, never chains (S1).

The best file of a group is a keeper; every file *directly* within the threshold of it is its duplicate; of what is
left the best is the next keeper. So A~B, B~C without A~C keeps C, whoever ranks first. Equal bytes are at distance 0,
also for a featureless picture, which matches nothing else. Roles (S22) and the names of one file (S4) are heeded here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.resolver.ranking import Candidate, Rule, rank
from shared.messages.resolution import MatchClass
from shared.signature import COMPACT, Signature, from_dots

#: rows of the distance matrix that are held at a time: a group of any size in bounded memory
BLOCK = 256


@dataclass(frozen=True, kw_only=True)
class Follower:
    """A file that its keeper could stand for."""

    file: Candidate
    #: signature distance to the keeper, measured directly, 0..1
    distance: float
    match_class: MatchClass


@dataclass(frozen=True, kw_only=True)
class Star:
    """One keeper and at least one follower."""

    keeper: Candidate
    followers: tuple[Follower, ...]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What makes two files one group."""

    max_distance: float
    across_roots: bool
    rules: tuple[Rule, ...]


class Geometry:
    """Exact distances among contents, computed by rows (never the whole matrix)."""

    def __init__(self, hashes: Iterable[str], signatures: Mapping[str, Signature]) -> None:
        #: sorted, so that sums come out the same in whatever order the contents arrived
        self.hashes = sorted(set(hashes))
        values = [signatures[sha].values for sha in self.hashes]
        # float32 holds the dot products of small integers exactly, and its matrix product is the fast one
        self._values = np.array(values, dtype=np.float32).reshape(len(values), COMPACT)
        self._squares = np.einsum("ij,ij->i", self._values, self._values).astype(np.int32)

    def rows(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Distances of some contents to all, shape (len(places), n): 0 to itself, infinite where one is featureless."""
        dots = (self._values[places] @ self._values.T).astype(np.int32)
        out = np.empty(dots.shape, dtype=np.float64)
        for row, place in enumerate(places):
            out[row] = from_dots(dots[row], int(self._squares[place]), self._squares)
        out[:, self._squares == 0] = np.inf
        out[self._squares[places] == 0, :] = np.inf
        out[np.arange(len(places)), places] = 0.0
        return out

    def groups(self, max_distance: float) -> Iterator[list[str]]:
        """Which contents hang together, by chains: the group that a mean distance is taken over, nothing more."""
        unseen = np.ones(len(self.hashes), dtype=bool)
        for start in range(len(self.hashes)):
            if unseen[start]:
                yield [self.hashes[place] for place in self._reached(start, unseen, max_distance)]

    def _reached(self, start: int, unseen: NDArray[np.bool_], max_distance: float) -> list[int]:
        unseen[start] = False
        reached, frontier = [start], [start]
        while frontier:
            block, frontier = np.array(frontier[:BLOCK], dtype=np.intp), frontier[BLOCK:]
            near = (self.rows(block) <= max_distance).any(axis=0) & unseen
            found = [int(place) for place in np.flatnonzero(near)]
            unseen[near] = False
            reached += found
            frontier += found
        return reached

    def means(self, files: Mapping[str, int]) -> dict[str, float]:
        """For each content the mean distance of a file of it to the other files, rounded to 1e-9.

        ``files`` says how many files each content has. Featureless contents count as at distance 1.
        """
        weights = np.array([files[sha] for sha in self.hashes], dtype=np.float64)
        others = max(float(weights.sum()) - 1.0, 1.0)
        sums = [
            np.minimum(self.rows(np.arange(at, min(at + BLOCK, len(self.hashes)))), 1.0) @ weights
            for at in range(0, len(self.hashes), BLOCK)
        ]
        return {
            sha: rounded(float(total) / others) for sha, total in zip(self.hashes, np.concatenate(sums), strict=True)
        }


def rounded(value: float) -> float:
    """A distance as it is compared and shown: the order of summing floats must decide nothing."""
    return round(value, 9)


def stars(candidates: Sequence[Candidate], signatures: Mapping[str, Signature], bounds: Bounds) -> list[Star]:
    """The stars among the candidates; who is in none is unique. ``signatures`` has every candidate's content."""
    live = [c for c in candidates if c.role != "backup"]  # S22: neither kept nor taken
    found: list[Star] = []
    for part in _parts(live, bounds):
        by_content = _by(part, lambda c: c.sha256)
        for hashes in Geometry(by_content, signatures).groups(bounds.max_distance):
            members = [c for sha in hashes for c in by_content[sha]]
            if len(members) > 1:
                found += _stars_of(members, Geometry(hashes, signatures), bounds)
    return found


def with_distances(members: Sequence[Candidate], geometry: Geometry) -> list[Candidate]:
    """The members of one group with their mean distances filled in."""
    counts = {sha: len(files) for sha, files in _by(members, lambda c: c.sha256).items()}
    means = geometry.means(counts)
    return [replace(c, distance=means[c.sha256]) for c in members]


def may_stand_for(keeper: Candidate, other: Candidate, bounds: Bounds) -> bool:
    """Whether the roots' roles and the file's identity allow it (S22, S4)."""
    if keeper.file_id == other.file_id or _one_file(keeper, other):
        return False
    same_root = keeper.path.root == other.path.root
    if not same_root and (not bounds.across_roots or keeper.role == "incoming"):
        return False
    return keeper.role != "backup" and other.role not in ("backup", "reference")


def _one_file(a: Candidate, b: Candidate) -> bool:
    """Two names of one file (S4): a hard link, or one folder by two ways."""
    return a.sha256 == b.sha256 and (a.stat.dev, a.stat.ino) == (b.stat.dev, b.stat.ino)


def _stars_of(members: Sequence[Candidate], geometry: Geometry, bounds: Bounds) -> Iterator[Star]:
    ranked = rank(with_distances(members, geometry), bounds.rules)
    place_of = {sha: place for place, sha in enumerate(geometry.hashes)}
    waiting: dict[int, dict[str, Candidate]] = {place: {} for place in place_of.values()}
    for file in ranked:
        waiting[place_of[file.sha256]][file.file_id] = file
    for keeper in ranked:
        place = place_of[keeper.sha256]
        if waiting[place].pop(keeper.file_id, None) is None:
            continue  # S1, S3: it follows a better one already
        row = geometry.rows(np.array([place], dtype=np.intp))[0]
        near = [int(p) for p in np.flatnonzero(row <= bounds.max_distance) if waiting[int(p)]]
        followers = [
            _follower(keeper, file, float(row[p]))
            for p in near
            for file in waiting[p].values()
            if may_stand_for(keeper, file, bounds)
        ]
        for follower in followers:
            del waiting[place_of[follower.file.sha256]][follower.file.file_id]
        if followers:
            yield Star(keeper=keeper, followers=in_order(followers))


def in_order(followers: Iterable[Follower]) -> tuple[Follower, ...]:
    """Nearest first, then by path: the same star always reads the same."""
    return tuple(sorted(followers, key=lambda f: (f.distance, f.file.path)))


def _follower(keeper: Candidate, file: Candidate, distance: float) -> Follower:
    same = keeper.sha256 == file.sha256
    return Follower(file=file, distance=rounded(distance), match_class="same-bytes" if same else "similar")


def _parts(live: Sequence[Candidate], bounds: Bounds) -> list[list[Candidate]]:
    if bounds.across_roots:
        return [list(live)]
    return list(_by(live, lambda c: c.path.root).values())


def _by(files: Iterable[Candidate], key: Callable[[Candidate], str]) -> dict[str, list[Candidate]]:
    """The files under their keys, keys in order."""
    found: dict[str, list[Candidate]] = {}
    for file in files:
        found.setdefault(key(file), []).append(file)
    return dict(sorted(found.items()))

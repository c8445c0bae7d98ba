"""Which contents hang together, what has been searched, and where something changed since it was last decided about.

Components are kept instead of pairs: a burst of 5,000 neighbours is 5,000 rows and not 12 million. They only say
what is to be looked at together; the distances that count are measured anew from the signatures (S1).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: how much longer than its expiry a command may still be on its way, in seconds (the hosts' clocks differ)
EXPIRY_MARGIN = 60.0
#: contents that are looked at in one go; a larger component comes alone
WORK_SIZE = 2_000

_FROZEN = """
    SELECT component FROM contents JOIN commands ON sha IN (victim_sha, keeper_sha)
        WHERE outcome IS NULL AND expires_at > :living
    UNION SELECT component FROM files JOIN contents USING (sha) JOIN commands ON file_id IN (victim_file, keeper_file)
        WHERE outcome IS NULL AND expires_at > :living"""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one result of the analyser says of a file."""

    file_id: str
    version: int
    #: its content now; None: it has none any more
    sha: str | None
    #: packed envelope
    cause: str | None = None


@dataclass(frozen=True, kw_only=True)
class Component:
    """Contents that are decided about together."""

    hashes: tuple[str, ...]
    #: whose story the decision continues
    cause: str | None = field(default=None)


class ContentBook:
    """Every call that writes belongs to a transaction of the store."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def unsearched(self, hashes: Iterable[str]) -> list[str]:
        """Those whose neighbours are not known at the present threshold."""
        wanted = sorted(set(hashes))
        done = {sha for sha, _, searched in self._rows(wanted) if searched}
        return [sha for sha in wanted if sha not in done]

    def record(self, changes: Sequence[Change], neighbours: Mapping[str, Sequence[str]]) -> None:
        """Takes in what changed and what was found near it; both are to be decided about."""
        self._link(neighbours)
        known = self.known([change.file_id for change in changes])
        for change in changes:
            before = known.get(change.file_id)
            self.mark([sha for sha in (before and before[0], change.sha) if sha is not None], change.cause)
            if before is None or change.version > before[1]:  # S18: late messages change nothing
                known[change.file_id] = (change.sha, change.version)
                self._write_down(change)

    def believe(self, changes: Sequence[Change], neighbours: Mapping[str, Sequence[str]]) -> None:
        """The same, of what the index itself says: it is right whatever was remembered."""
        self.record(changes, neighbours)
        for change in changes:
            self._write_down(change)

    def known(self, file_ids: Sequence[str]) -> dict[str, tuple[str | None, int]]:
        """Content and version that are remembered of these files."""
        rows = self._among("SELECT file_id, sha, version FROM files WHERE file_id", file_ids)
        return {file_id: (sha, version) for file_id, sha, version in rows}

    def file_count(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM files").fetchone()[0])

    def files_after(self, file_id: str, count: int) -> list[str]:
        """The next remembered files in the order of their ids."""
        rows = self._db.execute(
            "SELECT file_id FROM files WHERE file_id > ? ORDER BY file_id LIMIT ?", (file_id, count)
        )
        return [row[0] for row in rows]

    def forget_files(self, file_ids: Sequence[str]) -> None:
        """The index has nothing of them: what they were is to be decided about again."""
        self.mark(sha for sha, _ in self.known(file_ids).values() if sha is not None)
        self._db.executemany("DELETE FROM files WHERE file_id = ?", [(file_id,) for file_id in file_ids])

    def mark(self, hashes: Iterable[str], cause: str | None = None) -> None:
        """These contents' groups are to be decided about again."""
        for sha in hashes:
            self._component_of(sha)
            self._db.execute(
                """INSERT INTO dirty VALUES (?, ?)
                   ON CONFLICT (sha) DO UPDATE SET cause = COALESCE(excluded.cause, cause)""",
                (sha, cause),
            )

    def mark_all(self) -> None:
        """Everything is to be decided about again, also what stands in a decision and in no component."""
        self.mark([row[0] for row in self._db.execute("SELECT DISTINCT sha FROM members").fetchall()])
        self._db.execute("INSERT OR IGNORE INTO dirty SELECT sha, NULL FROM contents")

    def mark_decided(self) -> None:
        """Every group about which a decision is open is to be decided about again."""
        self.mark([row[0] for row in self._db.execute("SELECT DISTINCT sha FROM members").fetchall()])

    def forget_neighbours(self) -> None:
        """The threshold changed: every content is to be searched for again."""
        self._db.execute("DELETE FROM contents")
        self._db.execute("DELETE FROM dirty")

    def work(self, now: float) -> list[Component]:
        """Some of the components to decide about; none of those that a command is out for (S3)."""
        rows = self._db.execute(
            f"""SELECT component, cause FROM dirty JOIN contents USING (sha)
                WHERE component NOT IN ({_FROZEN}) LIMIT {WORK_SIZE}""",
            {"living": now - EXPIRY_MARGIN},
        ).fetchall()
        causes: dict[int, str | None] = {}
        for number, cause in rows:
            causes[number] = cause or causes.get(number)
        return list(self._some(causes.items()))

    def decided(self, now: float) -> list[Component]:
        """All components with open decisions; none of those that a command is out for (S3)."""
        rows = self._db.execute(
            f"""SELECT DISTINCT component FROM contents WHERE sha IN (SELECT sha FROM members)
                AND component NOT IN ({_FROZEN})""",
            {"living": now - EXPIRY_MARGIN},
        ).fetchall()
        return [Component(hashes=self._members(number)) for (number,) in rows]

    def held_up(self, now: float) -> int:
        """How many components a command is out for."""
        query = f"SELECT COUNT(DISTINCT component) FROM ({_FROZEN})"
        return int(self._db.execute(query, {"living": now - EXPIRY_MARGIN}).fetchone()[0])

    def finish(self, components: Iterable[Component], gone: Iterable[str]) -> None:
        """They are decided about. ``gone``: contents without a file, to be searched for anew if they come back."""
        for component in components:
            self._db.executemany("DELETE FROM dirty WHERE sha = ?", [(sha,) for sha in component.hashes])
        self._db.executemany("DELETE FROM contents WHERE sha = ?", [(sha,) for sha in gone])

    def wake(self, hashes: Iterable[str], at: float) -> None:
        """Look at these again at that time (seconds since the epoch)."""
        self._db.executemany(
            "INSERT INTO wakes VALUES (?, ?) ON CONFLICT (sha) DO UPDATE SET at = MIN(at, excluded.at)",
            [(sha, at) for sha in hashes],
        )

    def rise(self, now: float) -> None:
        """Marks what is due."""
        due = [row[0] for row in self._db.execute("SELECT sha FROM wakes WHERE at <= ?", (now,)).fetchall()]
        self.mark(due)
        self._db.executemany("DELETE FROM wakes WHERE sha = ?", [(sha,) for sha in due])

    def next_wake(self, now: float) -> float | None:
        """When the next look is due: a wake, or the end of a command that nobody answered."""
        wake = self._db.execute("SELECT MIN(at) FROM wakes").fetchone()[0]
        ends = self._db.execute(
            "SELECT MIN(expires_at) FROM commands WHERE outcome IS NULL AND expires_at > ?", (now - EXPIRY_MARGIN,)
        ).fetchone()[0]
        return min((t for t in (wake, None if ends is None else ends + EXPIRY_MARGIN) if t is not None), default=None)

    def _some(self, rows: Iterable[tuple[int, str | None]]) -> Iterator[Component]:
        taken = 0
        for number, cause in rows:
            if taken >= WORK_SIZE:
                return
            members = self._members(number)
            taken += len(members)
            yield Component(hashes=members, cause=cause)

    def _members(self, component: int) -> tuple[str, ...]:
        rows = self._db.execute("SELECT sha FROM contents WHERE component = ? ORDER BY sha", (component,))
        return tuple(row[0] for row in rows)

    def _rows(self, hashes: Sequence[str]) -> Iterator[tuple[str, int, int]]:
        return self._among("SELECT sha, component, searched FROM contents WHERE sha", hashes)

    def _among(self, query: str, values: Sequence[str]) -> Iterator[Any]:
        for at in range(0, len(values), 500):
            some = values[at : at + 500]
            yield from self._db.execute(f"{query} IN ({','.join('?' * len(some))})", some).fetchall()

    def _write_down(self, change: Change) -> None:
        row = (change.file_id, change.sha, change.version)
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", row)

    def _component_of(self, sha: str) -> int:
        row = self._db.execute("SELECT component FROM contents WHERE sha = ?", (sha,)).fetchone()
        if row is not None:
            return int(row[0])
        number = int(self._db.execute("SELECT COALESCE(MAX(component), 0) + 1 FROM contents").fetchone()[0])
        self._db.execute("INSERT INTO contents VALUES (?, ?, 0)", (sha, number))
        return number

    def _link(self, neighbours: Mapping[str, Sequence[str]]) -> None:
        everyone = sorted({sha for query, hits in neighbours.items() for sha in (query, *hits)})
        component = {sha: number for sha, number, _ in self._rows(everyone)}
        component |= {sha: self._component_of(sha) for sha in everyone if sha not in component}
        leaders: dict[int, int] = {}
        for query, hits in neighbours.items():
            for sha in hits:
                _join(leaders, component[query], component[sha])
        self._merge(leaders)
        self._db.executemany("UPDATE contents SET searched = 1 WHERE sha = ?", [(sha,) for sha in neighbours])

    def _merge(self, leaders: dict[int, int]) -> None:
        sets: dict[int, set[int]] = {}
        for number in list(leaders):
            leader = _leader(leaders, number)
            sets.setdefault(leader, {leader}).add(number)
        for joined in sets.values():
            sizes = {number: self._size(number) for number in joined}
            largest = max(joined, key=lambda number: (sizes[number], number))  # the fewest rows are rewritten
            self._db.executemany(
                "UPDATE contents SET component = ? WHERE component = ?", [(largest, n) for n in joined - {largest}]
            )

    def _size(self, component: int) -> int:
        row = self._db.execute("SELECT COUNT(*) FROM contents WHERE component = ?", (component,)).fetchone()
        return int(row[0])


def _leader(leaders: dict[int, int], number: int) -> int:
    while leaders.get(number, number) != number:
        leaders[number] = leaders.get(leaders[number], leaders[number])
        number = leaders[number]
    return number


def _join(leaders: dict[int, int], a: int, b: int) -> None:
    first, second = _leader(leaders, a), _leader(leaders, b)
    if first != second:
        leaders[second] = first

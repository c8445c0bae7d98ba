"""What stands, what was asked of the executor and what it answered, and what that teaches (S1 over time, S12)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from services.resolver.history import decisions_in
from services.resolver.planning import Past, base_id_of, decision_id
from shared.messages.commands import TakeFile
from shared.messages.outcomes import CommandDone
from shared.messages.resolution import GroupDecided
from shared.signature import Signature

#: outcomes that took the victim from its place
TAKEN = ("moved", "quarantined")
_CHUNK = 500
#: how often the same decision may have been taken back and taken again, for its id to be understood
_GENERATIONS = 100


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A command as it was published."""

    decision_id: str
    victim_file: str
    victim_version: int
    victim_sha: str
    keeper_sha: str
    #: whether its answer was here before
    answered: bool


class DecisionBook:
    """Every call that writes belongs to a transaction of the store."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    # what stands

    def involved(self, hashes: Sequence[str], file_ids: Sequence[str]) -> dict[str, str]:
        """The open decisions that touch these contents or files: decision id by base id."""
        found: set[str] = set()
        for column, values in (("sha", hashes), ("file_id", file_ids)):
            found.update(row[0] for row in self._in("SELECT decision_id FROM members WHERE {} IN", column, values))
        rows = self._in("SELECT base_id, decision_id FROM decisions WHERE {} IN", "decision_id", sorted(found))
        return dict(rows)

    def fresh_id(self, base_id: str) -> str:
        """The id for a decision that opens now: never one that was used before."""
        row = self._db.execute("SELECT closed FROM generations WHERE base_id = ?", (base_id,)).fetchone()
        return decision_id(base_id, 0 if row is None else int(row[0]))

    def open(self, base_id: str, decided: GroupDecided) -> None:
        self._db.execute(
            "INSERT INTO decisions VALUES (?, ?, 1, ?)", (decided.decision_id, base_id, decided.model_dump_json())
        )
        self._db.executemany(
            "INSERT INTO members VALUES (?, ?, ?)",
            [(decided.decision_id, m.file.photo.file_id, m.sha256) for m in _members(decided)],
        )

    def inherit(self, decided: GroupDecided) -> None:
        """Another resolver said that it stands. Where its id tells no base, the next plan takes it back and anew."""
        base = base_id_of(decided)
        closed = next((n for n in range(_GENERATIONS) if decision_id(base, n) == decided.decision_id), None)
        if closed is None:
            base = f"inherited:{decided.decision_id}"
        else:
            self._db.execute(
                """INSERT INTO generations VALUES (?1, ?2)
                   ON CONFLICT (base_id) DO UPDATE SET closed = MAX(closed, ?2)""",
                (base, closed),
            )
        self._db.execute("DELETE FROM decisions WHERE decision_id = ?", (decided.decision_id,))
        self._db.execute("DELETE FROM members WHERE decision_id = ?", (decided.decision_id,))
        self.open(base, decided)

    def forget_what_stands(self) -> None:
        """It is heard anew from the one who decides. What was asked stays readable."""
        self._db.execute("DELETE FROM members")
        self._db.execute("UPDATE decisions SET is_open = 0")

    def amend(self, decided: GroupDecided) -> None:
        """Newer reasons for the same decision."""
        row = (decided.model_dump_json(), decided.decision_id)
        self._db.execute("UPDATE decisions SET body = ? WHERE decision_id = ?", row)

    def close(self, known: str) -> None:
        """It stands no more; what was asked in its name keeps it readable."""
        self._db.execute(
            """INSERT INTO generations SELECT base_id, 1 FROM decisions WHERE decision_id = ?
               ON CONFLICT (base_id) DO UPDATE SET closed = closed + 1""",
            (known,),
        )
        self._db.execute("DELETE FROM members WHERE decision_id = ?", (known,))
        self._db.execute("UPDATE decisions SET is_open = 0 WHERE decision_id = ?", (known,))
        self._db.execute(
            """DELETE FROM decisions WHERE decision_id = ?
               AND NOT EXISTS (SELECT 1 FROM commands WHERE commands.decision_id = decisions.decision_id)""",
            (known,),
        )

    def standing(self) -> list[GroupDecided]:
        return decisions_in(self._db)

    def open_decisions(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM decisions WHERE is_open").fetchone()[0])

    # what was asked and answered

    def ask(self, command: TakeFile, evidence_id: str) -> None:
        victim, keeper = command.victim, command.keeper
        self._db.execute(
            "INSERT OR IGNORE INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)",
            (
                *(command.command_id, command.decision_id, evidence_id, command.model_dump_json()),
                *(victim.file.photo.file_id, victim.version, victim.sha256),
                *(keeper.file.photo.file_id, keeper.version, keeper.sha256),
                *(command.expires_at, command.batch_id),
            ),
        )

    def never_asked(self, command_id: str) -> None:
        """It was not published, and will not be."""
        self._db.execute("DELETE FROM commands WHERE command_id = ?", (command_id,))

    def was_asked(self, evidence_id: str, batch_id: str | None = None) -> bool:
        """Whether just this was asked before (in one batch, or ever), whatever came of it."""
        row = self._db.execute(
            "SELECT 1 FROM commands WHERE evidence_id = ?1 AND (?2 IS NULL OR batch_id = ?2) LIMIT 1",
            (evidence_id, batch_id),
        ).fetchone()
        return row is not None

    def asked(self, command_id: str) -> Asked | None:
        row = self._db.execute(
            """SELECT decision_id, victim_file, victim_version, victim_sha, keeper_sha, outcome IS NOT NULL
               FROM commands WHERE command_id = ?""",
            (command_id,),
        ).fetchone()
        if row is None:
            return None
        names = ("decision_id", "victim_file", "victim_version", "victim_sha", "keeper_sha")
        return Asked(**dict(zip(names, row[:5], strict=True)), answered=bool(row[5]))

    def answer(self, done: CommandDone) -> None:
        row = (done.outcome, done.model_dump_json(), done.done_at, done.command_id)
        self._db.execute(
            "UPDATE commands SET outcome = ?, answer = ?, done_at = ?, again_at = NULL WHERE command_id = ?", row
        )

    def ask_unanswered_again(self, margin: float) -> None:
        """The answers may have gone to another resolver: once these have expired they may be asked for again."""
        self._db.execute(
            "UPDATE commands SET again_at = expires_at + ? WHERE outcome IS NULL AND evidence_id IS NOT NULL", (margin,)
        )

    def ask_again(self, command_id: str, at: float) -> None:
        """The refusal was of the moment: from then on the same evidence may be asked for again."""
        self._db.execute("UPDATE commands SET again_at = ? WHERE command_id = ?", (at, command_id))

    def ask_refused_again(self, code: str | None, root: str | None, at: float) -> None:
        """The same for all remembered refusals: of one code, of victims of one root, or of any."""
        self._db.execute(
            """UPDATE commands SET again_at = ? WHERE outcome IN ('refused', 'undone') AND evidence_id IS NOT NULL
               AND (? IS NULL OR json_extract(answer, '$.code') = ?)
               AND (? IS NULL OR json_extract(answer, '$.victim.root') = ?)""",
            (at, code, code, root, root),
        )

    def due_again(self, now: float) -> list[Asked]:
        """Forgets the refusals that are due, and says which they were."""
        rows = self._db.execute("SELECT command_id FROM commands WHERE again_at <= ?", (now,)).fetchall()
        due = [asked for (command_id,) in rows if (asked := self.asked(command_id))]
        self._db.execute("UPDATE commands SET evidence_id = NULL, again_at = NULL WHERE again_at <= ?", (now,))
        return due

    def next_again(self) -> float | None:
        row = self._db.execute("SELECT MIN(again_at) FROM commands WHERE again_at IS NOT NULL").fetchone()
        return None if row[0] is None else float(row[0])

    def asked_in(self, batch_id: str) -> int:
        row = self._db.execute("SELECT COUNT(*) FROM commands WHERE batch_id = ?", (batch_id,)).fetchone()
        return int(row[0])

    def unanswered_in(self, batch_id: str) -> int:
        query = "SELECT COUNT(*) FROM commands WHERE batch_id = ? AND outcome IS NULL"
        return int(self._db.execute(query, (batch_id,)).fetchone()[0])

    def is_open(self, known: str) -> bool:
        return (
            self._db.execute("SELECT 1 FROM decisions WHERE decision_id = ? AND is_open", (known,)).fetchone()
            is not None
        )

    def try_count(self, asked: Asked) -> int:
        """Counts and returns how often this file, as it is, was refused for something of the moment."""
        key = (asked.victim_file, asked.victim_version)
        self._db.execute(
            "INSERT INTO attempts VALUES (?, ?, 1) ON CONFLICT (victim_file, victim_version) DO UPDATE SET n = n + 1",
            key,
        )
        row = self._db.execute("SELECT n FROM attempts WHERE victim_file = ? AND victim_version = ?", key).fetchone()
        return int(row[0])

    def open_commands(self, living: float) -> int:
        """Without an answer, and not void: they expire after ``living`` (seconds since the epoch)."""
        query = "SELECT COUNT(*) FROM commands WHERE outcome IS NULL AND expires_at > ?"
        return int(self._db.execute(query, (living,)).fetchone()[0])

    def outcomes(self, since: float) -> list[tuple[GroupDecided, CommandDone]]:
        rows = self._db.execute(
            """SELECT decisions.body, answer FROM commands JOIN decisions USING (decision_id)
               WHERE done_at >= ? ORDER BY done_at""",
            (since,),
        )
        return [
            (GroupDecided.model_validate_json(body), CommandDone.model_validate_json(answer))
            for body, answer in rows.fetchall()
        ]

    def taken(self, file_ids: Sequence[str]) -> set[tuple[str, int]]:
        """Which of these files, at which version, the executor took: the index may not know it yet."""
        rows = self._in(
            "SELECT victim_file, victim_version, outcome FROM commands WHERE {} IN", "victim_file", file_ids
        )
        return {(known, version) for known, version, outcome in rows if outcome in TAKEN}

    # what that teaches

    def replace(self, victim_sha: str, keeper_sha: str, signature: Signature | None) -> None:
        """The keeper now stands for the victim, and for all that the victim stood for (S1 over time)."""
        if victim_sha != keeper_sha and signature is not None:
            self._db.execute(
                "INSERT OR IGNORE INTO replaced VALUES (?, ?, ?)", (keeper_sha, victim_sha, signature.compact)
            )
        self._db.execute(
            """INSERT OR IGNORE INTO replaced SELECT ?, victim_sha, signature FROM replaced
               WHERE keeper_sha = ? AND victim_sha <> ?""",
            (keeper_sha, victim_sha, keeper_sha),
        )

    def restore(self, victim_sha: str, keeper_sha: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO restored VALUES (?, ?)", (victim_sha, keeper_sha))

    def past(self, hashes: Sequence[str], unknown_before: float) -> Past:
        replaced: dict[str, dict[str, Signature]] = {}
        for keeper, victim, raw in self._in("SELECT * FROM replaced WHERE {} IN", "keeper_sha", hashes):
            replaced.setdefault(keeper, {})[victim] = Signature(raw)
        restored = self._in("SELECT * FROM restored WHERE {} IN", "victim_sha", hashes)
        return Past(replaced=replaced, restored=frozenset((v, k) for v, k in restored), unknown_before=unknown_before)

    def allow(self, root: str, folder: bytes) -> None:
        self._db.execute("INSERT OR IGNORE INTO allowed VALUES (?, ?)", (root, folder))

    def allowed(self) -> frozenset[tuple[str, bytes]]:
        return frozenset((root, folder) for root, folder in self._db.execute("SELECT root, folder FROM allowed"))

    def word(self, request_id: str, side: str) -> str | None:
        """What was remembered of a request."""
        row = self._db.execute(
            "SELECT word FROM requests WHERE request_id = ? AND side = ?", (request_id, side)
        ).fetchone()
        return None if row is None else str(row[0])

    def remember(self, request_id: str, side: str, word: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO requests VALUES (?, ?, ?)", (request_id, side, word))

    def _in(self, query: str, column: str, values: Sequence[str]) -> Iterator[Any]:
        for at in range(0, len(values), _CHUNK):
            some = list(values[at : at + _CHUNK])
            yield from self._db.execute(f"{query.format(column)} ({','.join('?' * len(some))})", some).fetchall()


def _members(decided: GroupDecided) -> Iterable[Any]:
    return (decided.keeper, *(d.member for d in decided.duplicates))

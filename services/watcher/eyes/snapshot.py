"""What the eyes know: every file, its version, and what was said of it but not yet stored by the bus. (S14, S16, S18)

A change is written in one transaction with its version and with the message that tells of it (``outbox``); publishing
follows, and only an acknowledged message leaves the outbox. So a crash at any instruction repeats a message at
worst, and never loses one. Rows of files that are gone stay, for their versions only ever grow.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from services.watcher.eyes.known import Known
from services.watcher.eyes.remembering import Missing, Notes
from services.watcher.eyes.tables import KNOWN, KNOWN_IN_ROOT, LEARN, UNLEARN, Database, as_bytes, as_int, number_of
from services.watcher.eyes.telling import Change, Pending, Teller, roots_of, signed
from shared.index.port import FileDoc
from shared.messages.base import FileStat
from shared.messages.files import FileEvent, FileGone, FileMoved, FileSettled, PassFinished
from shared.paths import PhotoPath

EPOCH_SHIFT = 40
#: a new snapshot starts at the hours since 2025: above every one before it, even where no index can be asked (S18)
_FIRST_HOUR = 1_735_689_600 // 3600
_TYPES: dict[str, type[FileEvent] | type[PassFinished]] = {
    t.TYPE: t for t in (FileSettled, FileMoved, FileGone, PassFinished)
}


class Snapshot:
    """One instance a process, used from any thread. Raises ``SnapshotFailure``; close it when done."""

    def __init__(self, path: Path, *, now: Callable[[], float]) -> None:
        self._now, self._db = now, Database(path)
        self.missing, self.notes = Missing(self._db), Notes(self._db)
        self._default("epoch", max(1, int(now() // 3600) - _FIRST_HOUR))
        self._default("sequence", 0)

    def close(self) -> None:
        self._db.close()

    # --- versions (S18) -------------------------------------------------------------------------------------------

    def _default(self, name: str, value: int) -> None:
        with self._db.writing() as db:
            db.execute("INSERT OR IGNORE INTO numbers VALUES (?, ?)", (name, value))

    def highest_version(self) -> int:
        """No version above it was ever given out by this snapshot."""
        with self._db.writing() as db:
            epoch, sequence = _numbers(db)
        return (epoch << EPOCH_SHIFT) | sequence

    def raise_epoch(self, above: int) -> int:
        """Start above a version that is in the index: the snapshot is new, or an older one came back (S18).

        Returns the epoch. The sequence is one for all files, so a snapshot that knows as much as the index is never
        below it.
        """
        with self._db.writing() as db:
            epoch, sequence = _numbers(db)
            if above > (epoch << EPOCH_SHIFT) | sequence:
                epoch = (above >> EPOCH_SHIFT) + 1
                db.execute("UPDATE numbers SET value = ? WHERE name = 'epoch'", (epoch,))
            return epoch

    # --- what is known --------------------------------------------------------------------------------------------

    def known_in(self, root: str, folder: bytes) -> dict[bytes, Known]:
        """The live files of one folder, by name."""
        rows = self._db.rows(f"{KNOWN} WHERE root = ? AND folder = ? AND live", (number_of(self._db, root), folder))
        return {k.name: k for k in map(_known, rows)}

    def known(self, path: PhotoPath) -> Known | None:
        where = "WHERE root = ? AND folder = ? AND name = ? AND live"
        rows = self._db.rows(f"{KNOWN} {where}", (number_of(self._db, path.root), path.folder, path.name))
        return _known(rows[0]) if rows else None

    def of_inode(self, ino: int) -> list[tuple[str, Known]]:
        """Live files, in every root, with this inode number: a renamed file, or one file of two names."""
        rows = self._db.rows(f"{KNOWN_IN_ROOT} WHERE ino = ? AND live", (signed(ino),))
        return [(str(row[0]), _known(row[1:])) for row in rows]

    def folders(self, root: str, below: bytes = b"") -> set[bytes]:
        """Every folder at or below ``below`` that holds a known file."""
        where, values = _subtree(below)
        rows = self._db.rows(
            f"SELECT DISTINCT folder FROM files WHERE root = ? AND live {where}", (number_of(self._db, root), *values)
        )
        return {as_bytes(row[0]) for row in rows}

    def count(self, root: str, below: bytes = b"") -> int:
        where, values = _subtree(below)
        number = number_of(self._db, root)
        return as_int(
            self._db.rows(f"SELECT count(*) FROM files WHERE root = ? AND live {where}", (number, *values))[0][0]
        )

    def count_by_device(self, root: str) -> dict[int, int]:
        rows = self._db.rows(
            "SELECT dev, count(*) FROM files WHERE root = ? AND live GROUP BY dev", (number_of(self._db, root),)
        )
        return {as_int(dev): as_int(count) for dev, count in rows}

    def sample(self, root: str, size: int, below: bytes = b"") -> list[Known]:
        """Some known files, spread over the root (or a folder of it), the same ones at every call."""
        where, values = _subtree(below)
        spread = "ORDER BY ((ino & 4294967295) * 2654435761) & 4294967295 LIMIT ?"
        sql = f"{KNOWN} WHERE root = ? AND live {where} {spread}"
        return [_known(row) for row in self._db.rows(sql, (number_of(self._db, root), *values, size))]

    def gone_since(self, root: str, moment: float) -> dict[int, int]:
        """How many files were told deleted since then, by device (S14)."""
        rows = self._db.rows(
            "SELECT dev, count(*) FROM files WHERE root = ? AND NOT live AND gone = 'deleted' AND known_since >= ?"
            " GROUP BY dev",
            (number_of(self._db, root), moment),
        )
        return {as_int(dev): as_int(count) for dev, count in rows}

    # --- what is told ---------------------------------------------------------------------------------------------

    def write(self, changes: Sequence[Change]) -> int:
        """Write the changes, their versions and their messages in one transaction; returns how many messages."""
        numbers = {root: number_of(self._db, root) for root in roots_of(changes)}
        with self._db.writing() as db:
            epoch, sequence = _numbers(db)
            teller = Teller(numbers, (epoch << EPOCH_SHIFT) + sequence, self._now())
            teller.tell(changes)
            for statement, steps in groupby(teller.steps, key=itemgetter(0)):
                db.executemany(statement, (values for _, values in steps))
            db.execute("UPDATE numbers SET value = ? WHERE name = 'sequence'", (sequence + len(teller.messages),))
            _post(db, teller.messages)
        return len(teller.messages)

    def write_pass(self, message: PassFinished) -> None:
        """Keep the end of a pass in the outbox, behind the events of its files."""
        with self._db.writing() as db:
            _post(db, [message])

    def pending(self, limit: int = 500) -> list[Pending]:
        """What was written and not acknowledged, oldest first (S18)."""
        rows = self._db.rows("SELECT seq, type, body FROM outbox ORDER BY seq LIMIT ?", (limit,))
        return [Pending(as_int(seq), _TYPES[str(kind)].model_validate_json(str(body))) for seq, kind, body in rows]

    def acknowledged(self, pending: Sequence[Pending]) -> None:
        """The bus has stored them."""
        with self._db.writing() as db:
            db.executemany("DELETE FROM outbox WHERE seq = ?", [(p.seq,) for p in pending])

    def distrust(self, paths: Sequence[PhotoPath]) -> None:
        """What was said of these was lost on its way (S16, S18): the next pass finds them changed and says it again."""
        rows = [(number_of(self._db, path.root), path.folder, path.name) for path in paths]
        with self._db.writing() as db:
            where = "root = ? AND folder = ? AND name = ? AND live"
            db.executemany(f"UPDATE files SET mtime_ns = -1, ctime_ns = -1 WHERE {where}", rows)

    def learn(self, docs: Sequence[FileDoc]) -> int:
        """What the index knows and this snapshot does not, being new or an older one (S14, S18); returns how many.

        The next pass tells again what is there, and believes of the rest what it would of any file that is missing.
        """
        numbers = {root: number_of(self._db, root) for root in {doc.path.root for doc in docs}}
        with self._db.writing() as db:
            before = db.total_changes
            for doc in docs:
                db.execute(*_lesson(numbers[doc.path.root], doc))
            return db.total_changes - before

    # --- the roots ------------------------------------------------------------------------------------------------

    def root_names(self) -> dict[str, str]:
        """Every root's name ever used, with the path it had: so that automatic names stay what they were."""
        return {str(n): str(p) for n, p in self._db.rows("SELECT name, path FROM roots WHERE path IS NOT NULL")}

    def register(self, root: str, path: str) -> None:
        number = number_of(self._db, root)
        with self._db.writing() as db:
            db.execute("UPDATE roots SET path = ? WHERE number = ?", (path, number))


def _lesson(root: int, doc: FileDoc) -> tuple[str, tuple[object, ...]]:
    place = (root, doc.path.folder, doc.path.name)
    if doc.state == "gone":
        return UNLEARN, (*place, doc.version)
    stat = doc.stat or FileStat(size=0, mtime_ns=-1, ctime_ns=-1, dev=0, ino=0)
    seen = (stat.size, stat.mtime_ns, stat.dev, signed(stat.ino), stat.birth_ns)
    return LEARN, (*place, *seen, doc.version, doc.known_since)


def _post(db: sqlite3.Connection, messages: Sequence[FileEvent | PassFinished]) -> None:
    rows = ((message.TYPE, message.model_dump_json(exclude_none=True)) for message in messages)
    db.executemany("INSERT INTO outbox (type, body) VALUES (?, ?)", rows)


def _numbers(db: sqlite3.Connection) -> tuple[int, int]:
    values = dict(db.execute("SELECT name, value FROM numbers"))
    return int(values["epoch"]), int(values["sequence"])


def _subtree(below: bytes) -> tuple[str, tuple[bytes, ...]]:
    """The condition for a folder and everything below it ("0" is the character after "/")."""
    if not below:
        return "", ()
    return "AND (folder = ? OR (folder >= ? AND folder < ?))", (below, below + b"/", below + b"0")


def _known(row: Sequence[object]) -> Known:
    known = Known(*row)  # type: ignore[arg-type]
    return known if known.ino >= 0 else known._replace(ino=known.ino + (1 << 64))

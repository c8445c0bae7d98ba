"""What an old index holds, in a file of SQLite while it is taken over: too much for memory, of no use afterwards."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from services.analyser.inheritance import Inherited, Unfit
from shared.errors import TransientError
from shared.paths import PhotoPath
from shared.signature import Signature

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE files (
    id BLOB PRIMARY KEY, root TEXT NOT NULL, rel BLOB NOT NULL, signature BLOB NOT NULL,
    size INTEGER, mtime REAL, indexed REAL, reason TEXT, explanation TEXT NOT NULL DEFAULT ''
);
CREATE TABLE unfit (path TEXT NOT NULL, reason TEXT NOT NULL, explanation TEXT NOT NULL);
"""
#: image-match never looks whether it has a path already: the youngest document counts
_KEEP = """
INSERT INTO files (id, root, rel, signature, size, mtime, indexed) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    signature = excluded.signature, size = excluded.size, mtime = excluded.mtime, indexed = excluded.indexed
WHERE coalesce(excluded.indexed, 0) >= coalesce(files.indexed, 0)
"""
#: what became of a file, where it was not left: taken over, or in the index already
TAKEN, THERE = "taken", "there"


class OldSignaturesFailure(TransientError):
    """What was read of the old index cannot be kept."""

    code = "old-signatures-failure"


class OldSignatures:
    """Files with their signatures, and what became of each. Used from one thread; ``close`` removes the file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.unlink(missing_ok=True)  # of a run that was killed
        try:
            self._db = sqlite3.connect(file, isolation_level=None)
            self._db.executescript(_TABLES)
        except sqlite3.Error as error:
            raise OldSignaturesFailure(f"{file}: {error}") from error

    def close(self) -> None:
        self._db.close()
        self._file.unlink(missing_ok=True)

    def keep(self, found: Iterable[tuple[PhotoPath, Inherited]], unfit: Iterable[Unfit]) -> None:
        """Raises ``OldSignaturesFailure``, for one where the disk is full."""
        rows = [
            (_id(path), path.root, path.rel, one.signature.compact, one.size, one.mtime, one.indexed_at)
            for path, one in found
        ]
        refused = [(one.path, one.reason, one.explanation) for one in unfit]
        try:
            self._db.execute("BEGIN")
            self._db.executemany(_KEEP, rows)
            self._db.executemany("INSERT INTO unfit VALUES (?, ?, ?)", refused)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise OldSignaturesFailure(f"{self._file}: {error}") from error

    def of(self, path: PhotoPath) -> Inherited | None:
        """What the old index has of a file."""
        sql = "SELECT rel, signature, size, mtime, indexed FROM files WHERE id = ?"
        row = self._db.execute(sql, (_id(path),)).fetchone()
        if row is None:
            return None
        rel, signature, size, mtime, indexed = row
        return Inherited(path=rel, signature=Signature(signature), size=size, mtime=mtime, indexed_at=indexed)

    def take(self, path: PhotoPath) -> None:
        """It was read and goes into the index."""
        self.leave(path, TAKEN, "")

    def leave(self, path: PhotoPath, reason: str, explanation: str) -> None:
        """It was not taken over, and why; the last word counts."""
        sql = "UPDATE files SET reason = ?, explanation = ? WHERE id = ?"
        self._db.execute(sql, (reason, explanation, _id(path)))

    def unheard_of(self, batch: int) -> Iterator[list[PhotoPath]]:
        """Files of which nothing was said yet."""
        sql = "SELECT rowid, root, rel FROM files WHERE rowid > ? AND reason IS NULL ORDER BY rowid LIMIT ?"
        after = 0
        while rows := self._db.execute(sql, (after, batch)).fetchall():
            yield [PhotoPath(root, rel) for _, root, rel in rows]
            after = rows[-1][0]

    def left(self) -> Iterator[tuple[PhotoPath | str, str, str]]:
        """What was not taken over: (file, or the old index's name for it), reason, explanation."""
        sql = "SELECT root, rel, reason, explanation FROM files WHERE reason NOT IN (?, ?) ORDER BY root, rel"
        for root, rel, reason, explanation in self._db.execute(sql, (TAKEN, THERE)):
            yield PhotoPath(root, rel), reason, explanation
        yield from self._db.execute("SELECT path, reason, explanation FROM unfit ORDER BY path")

    def counts(self) -> Counter[str]:
        """Files by what became of them: ``taken``, ``there``, and the reasons."""
        sql = "SELECT reason, count(*) FROM {} GROUP BY reason"
        return sum((Counter(dict(self._db.execute(sql.format(table)))) for table in ("files", "unfit")), Counter())


def _id(path: PhotoPath) -> bytes:
    return bytes.fromhex(path.file_id)

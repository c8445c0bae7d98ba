"""Contents and files in SQLite: the truth of the embedded index.

Contents carry a dense row number, their place in the vector file; ``blocks`` says what that file must hold
(vectors.py). WAL: readers of other processes see whole transactions and disturb nobody. The writer's commits are
synced, so that what ``put`` returned survives a power cut too (I6). All calls block and raise ``sqlite3.Error``; one
thread at a time uses a ``Documents``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.index.port import ContentDoc, FileDoc, Stored
from shared.index.vectors import BLOCK, Checks, VectorFile
from shared.messages.analysis import Facts
from shared.messages.base import FileStat
from shared.paths import PhotoPath
from shared.signature import COMPACT, Signature

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE contents (
    row INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, signature BLOB NOT NULL, facts TEXT NOT NULL
);
CREATE TABLE files (
    file_id BLOB PRIMARY KEY, root TEXT NOT NULL, rel BLOB NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
    sha256 BLOB, stat TEXT, known_since REAL NOT NULL, reason TEXT, explanation TEXT, doubt TEXT
) WITHOUT ROWID;
CREATE INDEX live_files ON files (sha256) WHERE state = 'analysed';
CREATE TABLE blocks (block INTEGER PRIMARY KEY, rows INTEGER NOT NULL, head INTEGER NOT NULL, tail INTEGER NOT NULL);
"""
PUT_CONTENT = "INSERT INTO contents VALUES (?, ?, ?, ?) ON CONFLICT (sha256) DO NOTHING"  # I3
PUT_FILE = """
INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (file_id) DO UPDATE SET
    version = excluded.version, state = excluded.state, sha256 = excluded.sha256, stat = excluded.stat,
    known_since = excluded.known_since, reason = excluded.reason, explanation = excluded.explanation,
    doubt = excluded.doubt
WHERE excluded.version > files.version
"""  # I2, S18
PUT_BLOCK = "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?)"
FILE = "SELECT root, rel, version, state, sha256, stat, known_since, reason, explanation, doubt FROM files"
#: SQLite takes 32,766 parameters; shorter statements are prepared once and kept
PARAMETERS = 500
#: file documents that ``walk`` reads in one go, so that no transaction stays open while they are used
PAGE = 1_000
LOCKED_SECONDS = 10.0


class Documents:
    """The SQLite file. A reader's connection cannot write."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        self.path = path
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rwc' if writable else 'rw'}",
            uri=True,
            timeout=LOCKED_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        self._connection.execute("PRAGMA cache_size = -16384")
        if not writable:
            self._connection.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        self._connection.close()

    # -- parameters

    def parameters(self) -> dict[str, str] | None:
        """What the index was made with; None while there is no index."""
        made = self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        return dict(self._connection.execute("SELECT name, value FROM meta")) if made else None

    def create(self, parameters: dict[str, str]) -> None:
        """Make the tables. All or nothing: a reader sees no half of them."""
        self._connection.execute("PRAGMA journal_mode = WAL")
        pairs = ", ".join(["(?, ?)"] * len(parameters))
        with _Transaction(self._connection):
            for statement in filter(str.strip, SCHEMA.split(";")):
                self._connection.execute(statement)
            values = [value for pair in parameters.items() for value in pair]
            self._connection.execute(f"INSERT INTO meta VALUES {pairs}", values)

    def sync_commits(self) -> None:
        self._connection.execute("PRAGMA synchronous = FULL")

    # -- writing

    def put(self, files: Sequence[FileDoc], contents: Sequence[ContentDoc], vectors: VectorFile) -> Stored:
        """All in one transaction; the vectors are in their file before it is committed."""
        with _Transaction(self._connection):
            self._put_contents(contents, vectors)
            refused = [(doc.path.file_id, stays) for doc in files if (stays := self._put_file(doc)) is not None]
            return Stored(written=len(files) - len(refused), stale=dict(refused))

    def _put_contents(self, contents: Sequence[ContentDoc], vectors: VectorFile) -> None:
        if not contents:
            return
        last = self._last_block()
        row = last.block * BLOCK + last.rows
        added: list[bytes] = []
        for doc in contents:
            values = (row + len(added), key(doc.sha256), doc.signature.compact, doc.facts.model_dump_json())
            if self._connection.execute(PUT_CONTENT, values).rowcount:
                added.append(doc.signature.compact)
        for block in vectors.append(last, _stacked(added)):
            self._connection.execute(PUT_BLOCK, (block.block, block.rows, block.head, block.tail))

    def _put_file(self, doc: FileDoc) -> int | None:
        """None when it was written, else the version that stays."""
        if self._connection.execute(PUT_FILE, _file_row(doc)).rowcount:
            return None
        question = "SELECT version FROM files WHERE file_id = ?"
        return int(self._connection.execute(question, (key(doc.path.file_id),)).fetchone()[0])

    # -- what the vector file must hold

    def blocks(self, first: int = 0) -> list[Checks]:
        """The blocks from this number on, in order."""
        rows = self._connection.execute("SELECT * FROM blocks WHERE block >= ? ORDER BY block", (first,))
        return [Checks(block=block, rows=count, head=head, tail=tail) for block, count, head, tail in rows]

    def _last_block(self) -> Checks:
        row = self._connection.execute("SELECT * FROM blocks ORDER BY block DESC LIMIT 1").fetchone()
        return Checks(block=row[0], rows=row[1], head=row[2], tail=row[3]) if row else Checks(block=0)

    def signatures(self, first: int, end: int) -> Iterator[NDArray[np.int8]]:
        """The signatures of these rows, in order, a few thousand at a time: shape (n, 272)."""
        question = "SELECT signature FROM contents WHERE row >= ? AND row < ? ORDER BY row"
        cursor = self._connection.execute(question, (first, end))
        while rows := cursor.fetchmany(4096):
            yield _stacked([row[0] for row in rows])

    # -- reading

    def contents(self, hashes: Sequence[str]) -> dict[str, ContentDoc]:
        question = "SELECT sha256, signature, facts FROM contents WHERE sha256"
        docs = (
            ContentDoc(sha256=name(sha), signature=Signature(values), facts=Facts.model_validate_json(facts))
            for sha, values, facts in self._among(question, map(key, hashes))
        )
        return {doc.sha256: doc for doc in docs}

    def hashes(self, rows: Iterable[int]) -> dict[int, str]:
        """The contents at these rows."""
        found = self._among("SELECT row, sha256 FROM contents WHERE row", rows)
        return {row: name(sha) for row, sha in found}

    def files(self, file_ids: Sequence[str]) -> dict[str, FileDoc]:
        docs = (_file_doc(row) for row in self._among(f"{FILE} WHERE file_id", map(key, file_ids)))
        return {doc.path.file_id: doc for doc in docs}

    def files_of(self, hashes: Sequence[str]) -> dict[str, list[FileDoc]]:
        found: dict[str, list[FileDoc]] = {}
        for row in self._among(f"{FILE} WHERE state = 'analysed' AND sha256", map(key, hashes)):
            doc = _file_doc(row)
            found.setdefault(doc.sha256 or "", []).append(doc)
        return found

    def page(self, root: str, after: str) -> list[FileDoc]:
        """The next file documents of a root, ordered by file id."""
        question = f"{FILE} WHERE file_id > ? AND root = ? ORDER BY file_id LIMIT {PAGE}"
        return [_file_doc(row) for row in self._connection.execute(question, (key(after), root))]

    def count(self, root: str) -> int:
        question = "SELECT count(*) FROM files WHERE root = ? AND state != 'gone'"
        return int(self._connection.execute(question, (root,)).fetchone()[0])

    def highest_version(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(version), 0) FROM files").fetchone()[0])

    def _among(self, question: str, values: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        asked = list(dict.fromkeys(values))
        for start in range(0, len(asked), PARAMETERS):
            some = asked[start : start + PARAMETERS]
            yield from self._connection.execute(f"{question} IN ({','.join('?' * len(some))})", some).fetchall()


class _Transaction:
    """Everything inside, or nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        if self._connection.in_transaction:  # SQLite rolls back by itself after some errors (a full disk)
            self._connection.execute("ROLLBACK")


def key(text: str) -> bytes | str:
    """An id as it is stored: hexadecimal digits as bytes, half as long."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return text
    return raw if raw.hex() == text else text


def name(stored: bytes | str) -> str:
    """The id again."""
    return stored.hex() if isinstance(stored, bytes) else stored


def _stacked(signatures: Sequence[bytes]) -> NDArray[np.int8]:
    return np.frombuffer(b"".join(signatures), dtype=np.int8).reshape(-1, COMPACT)


def _file_row(doc: FileDoc) -> tuple[Any, ...]:
    return (
        key(doc.path.file_id),
        doc.path.root,
        doc.path.rel,
        doc.version,
        doc.state,
        None if doc.sha256 is None else key(doc.sha256),
        None if doc.stat is None else doc.stat.model_dump_json(),
        doc.known_since,
        doc.reason,
        doc.explanation,
        doc.doubt,
    )


def _file_doc(row: tuple[Any, ...]) -> FileDoc:
    root, rel, version, state, sha, stat, known_since, reason, explanation, doubt = row
    return FileDoc(
        path=PhotoPath(root, rel),
        version=version,
        state=state,
        sha256=None if sha is None else name(sha),
        stat=None if stat is None else FileStat.model_validate_json(stat),
        known_since=known_since,
        reason=reason,
        explanation=explanation,
        doubt=doubt,
    )

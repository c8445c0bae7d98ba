"""The two sides of an embedded index: one ``Writer``, and the ``Reader`` that every process has. Blocking.

Raise ``sqlite3.Error`` and ``OSError`` as they come; the adapter translates them (embedded.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from shared.index.documents import Documents
from shared.index.port import ContentDoc, FileDoc, IndexMismatch, Stored
from shared.index.vectors import Block, Checks, VectorFile
from shared.index.view import refreshed
from shared.statefolder import StatePart

log = structlog.get_logger()

DOCUMENTS = "index.sqlite"
VECTORS = "vectors.bin"
Parameters = Mapping[str, str]


class Writer:
    """Makes the index where there is none, puts the vector file right, stores. Holds the lock until ``close``."""

    def __init__(self, folder: Path, parameters: Parameters) -> None:
        with contextlib.ExitStack() as opened:
            part = StatePart(folder, "index")
            opened.callback(part.release)
            self._documents = Documents(part.folder / DOCUMENTS, writable=True)
            opened.callback(self._documents.close)
            self._prepare(parameters)
            self._vectors = VectorFile(part.folder / VECTORS, writable=True)
            opened.callback(self._vectors.close)
            self.blocks = self._put_right()
            self._opened = opened.pop_all()

    def _prepare(self, parameters: Parameters) -> None:
        made_with = self._documents.parameters()
        if made_with is None:
            self._documents.create(dict(parameters))
        else:
            refuse_mismatch(made_with, parameters, self._documents.path)
        self._documents.sync_commits()

    def _put_right(self) -> tuple[Block, ...]:
        rewritten: list[Checks] = []
        blocks = refreshed((), self._documents, self._vectors, rewritten=rewritten)
        if rewritten:
            rows = sum(checks.rows for checks in rewritten)
            log.warning("index.vectors_rewritten", blocks=[checks.block for checks in rewritten], rows=rows)
        return blocks

    def put(self, files: Sequence[FileDoc], contents: Sequence[ContentDoc]) -> Stored:
        return self._documents.put(files, contents, self._vectors)

    def close(self) -> None:
        self._opened.close()


class Reader:
    """Sees what is committed: documents at once, vectors since the last ``refresh``."""

    def __init__(self, folder: Path, parameters: Parameters, blocks: tuple[Block, ...] = ()) -> None:
        self._folder = folder / "index"
        self._parameters = parameters
        #: None while there is no index
        self.documents: Documents | None = None
        self.blocks = blocks
        self._vectors: VectorFile | None = None
        self._file: tuple[int, int] | None = None
        self._opened = contextlib.ExitStack()
        self.refresh()

    def refresh(self) -> None:
        """See everything that is committed; also an index that came, or was replaced by another, in the meantime."""
        self._follow_the_file()
        if self.documents is not None:
            if self._vectors is None:
                self._open_vectors()
            self.blocks = refreshed(self.blocks, self.documents, self._vectors)

    def _follow_the_file(self) -> None:
        there = _identity(self._folder / DOCUMENTS)
        if there == self._file:
            return
        if there is None:  # not an empty index: nobody may conclude that photos are gone
            raise FileNotFoundError(f"{self._folder / DOCUMENTS} was taken away")
        if self._file is not None:
            self.close()
            self.blocks = ()
        self._open_documents(there)

    def _open_documents(self, there: tuple[int, int]) -> None:
        documents = Documents(self._folder / DOCUMENTS, writable=False)
        with contextlib.ExitStack() as opened:
            opened.callback(documents.close)
            made_with = documents.parameters()
            if made_with is None:
                return  # its writer is just making it
            refuse_mismatch(made_with, self._parameters, documents.path)
            self._opened = opened.pop_all()
        self.documents, self._file = documents, there

    def _open_vectors(self) -> None:
        with contextlib.suppress(OSError):  # missing, forbidden: the blocks are read from SQLite
            self._vectors = VectorFile(self._folder / VECTORS, writable=False)
            self._opened.callback(self._vectors.close)

    def close(self) -> None:
        self._opened.close()
        self.documents = self._vectors = self._file = None


def refuse_mismatch(made_with: Parameters, wanted: Parameters, path: Path) -> None:
    """Raises ``IndexMismatch``, with advice, where the index was made with other parameters."""
    if made_with == wanted:
        return
    said = ", ".join(
        f"{name} {made_with.get(name)!r}, not {wanted[name]!r}"
        for name in wanted
        if made_with.get(name) != wanted[name]
    )
    raise IndexMismatch(
        f"{path} has {said}. Put the setting analysis.signature back, or name another state_dir, "
        f"or move {path.parent} away to have every photo analysed anew."
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino

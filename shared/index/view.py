"""What searches look at: the blocks up to where SQLite was when they were last refreshed (I1)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from shared.index.documents import Documents
from shared.index.vectors import BLOCK, Block, Checks, VectorFile, block_in_memory, panels


def refreshed(
    blocks: Sequence[Block], documents: Documents, vectors: VectorFile | None, *, rewritten: list[Checks] | None = None
) -> tuple[Block, ...]:
    """The blocks with everything that is committed. Only the last known one can have grown, and new ones follow it.

    A block of the file that is not what SQLite says is held in memory; where ``rewritten`` is given (the writer, when
    it opens), it is put right in the file, and named there.
    """
    known = list(blocks)
    last = known.pop() if known else None
    for checks in documents.blocks(last.checks.block if last else 0):
        block = (last and last.grown(checks)) or _from_file(checks, vectors)
        if block is None and vectors is not None and rewritten is not None:
            rewritten.append(checks)
            _rewrite(checks, documents, vectors)
            block = _from_file(checks, vectors)
        known.append(block or _from_documents(checks, documents))
    return tuple(known)


def _from_file(checks: Checks, vectors: VectorFile | None) -> Block | None:
    mapped = vectors.map(checks.block) if vectors else None
    return mapped.grown(checks) if mapped else None


def _rewrite(checks: Checks, documents: Documents, vectors: VectorFile) -> None:
    written = Checks(block=checks.block)
    for signatures in documents.signatures(checks.block * BLOCK, checks.block * BLOCK + checks.rows):
        *_, written = vectors.append(written, signatures)


def _from_documents(checks: Checks, documents: Documents) -> Block:
    block, row = block_in_memory(checks.block), 0
    for signatures in documents.signatures(block.first_row, block.first_row + checks.rows):
        end = row + len(signatures)
        block.head[row:end], block.tail[row:end] = panels(signatures)
        row = end
    grown = block.grown(checks) if row == checks.rows else None
    if grown is None:
        raise sqlite3.DatabaseError(f"{documents.path}: the contents of block {checks.block} are damaged")
    return grown

"""The vector file: every signature at the place of its row number, derived from SQLite and checked against it.

A block holds ``BLOCK`` rows as two panels, so that a search can read the first 64 places of every row without the
other 208 (scan.py)::

    block 0: head  BLOCK x 64 int8 | tail  BLOCK x 208 int8
    block 1: ...

The file carries no header and nothing that could contradict SQLite: for each block SQLite has the number of rows and
a running CRC-32 of each panel, written in the transaction that wrote the contents. A block is right exactly when its
bytes give these numbers; a file that is missing, short, torn, flipped or of another generation does not, and the block
is made again from the contents (I6). Rows are written before their transaction commits: what SQLite shows is there.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.signature import COMPACT

#: rows in a block; a block's bytes are a multiple of any page size up to 64 KiB
BLOCK = 65_536
HEAD = 64
TAIL = COMPACT - HEAD
BLOCK_BYTES = BLOCK * COMPACT
#: The order in which the 272 values are kept: 105 is coprime to 272, so the first 64 are spread over the whole picture.
#: Measured on real photos: the head alone rules out 99.5 % of unrelated pairs at .25 (96 % when taken in grid order).
ORDER: NDArray[np.intp] = np.argsort((np.arange(COMPACT) * 105) % COMPACT)

Int8 = NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What SQLite says that a block holds."""

    block: int
    rows: int = 0
    head: int = 0
    tail: int = 0

    def followed_by(self, head: Int8, tail: Int8) -> Checks:
        """The checks when these rows, shapes (n, 64) and (n, 208), are appended."""
        return replace(
            self,
            rows=self.rows + len(head),
            head=zlib.crc32(np.ascontiguousarray(head).data, self.head),
            tail=zlib.crc32(np.ascontiguousarray(tail).data, self.tail),
        )


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block as searches read it. The arrays have room for ``BLOCK`` rows; ``checks.rows`` of them count."""

    checks: Checks
    #: shapes (BLOCK, 64) and (BLOCK, 208), mapped from the file or held in memory
    head: Int8
    tail: Int8
    #: squared norms of whole rows and of their heads, and the norms, shape (BLOCK,)
    squares: NDArray[np.int32]
    head_squares: NDArray[np.int32]
    norms: NDArray[np.float32]
    #: whether the panels are the file's
    mapped: bool

    @property
    def first_row(self) -> int:
        return self.checks.block * BLOCK

    def grown(self, checks: Checks) -> Block | None:
        """The same block with the rows that ``checks`` adds, or None when they are not what SQLite says."""
        added = slice(self.checks.rows, checks.rows)
        if self.checks.followed_by(self.head[added], self.tail[added]) != checks:
            return None
        self._measure(added)  # beyond the rows that anybody else looks at
        return replace(self, checks=checks)

    def _measure(self, added: slice) -> None:
        self.head_squares[added] = squared(self.head[added])
        self.squares[added] = self.head_squares[added] + squared(self.tail[added])
        self.norms[added] = np.sqrt(self.squares[added])


def squared(rows: Int8) -> NDArray[np.int32]:
    """Squared norms of rows of shape (n, d); in steps, so that no wide copy of a block stands in memory."""
    out = np.empty(len(rows), dtype=np.int32)
    for start in range(0, len(rows), 4096):
        wide = rows[start : start + 4096].astype(np.float32)  # exact: 272 * 128**2 < 2**24
        out[start : start + 4096] = np.einsum("ij,ij->i", wide, wide)
    return out


def panels(signatures: Int8) -> tuple[Int8, Int8]:
    """Head and tail of signatures, shape (n, 272), in the order they are kept."""
    ordered = signatures[:, ORDER]
    return np.ascontiguousarray(ordered[:, :HEAD]), np.ascontiguousarray(ordered[:, HEAD:])


def block_in_memory(number: int) -> Block:
    """A block without rows that is not in the file; memory is taken as rows are written."""
    return _block(number, np.empty((BLOCK, HEAD), dtype=np.int8), np.empty((BLOCK, TAIL), dtype=np.int8), mapped=False)


def _block(number: int, head: Int8, tail: Int8, *, mapped: bool) -> Block:
    return Block(
        checks=Checks(block=number),
        head=head,
        tail=tail,
        squares=np.zeros(BLOCK, dtype=np.int32),
        head_squares=np.zeros(BLOCK, dtype=np.int32),
        norms=np.zeros(BLOCK, dtype=np.float32),
        mapped=mapped,
    )


class VectorFile:
    """``vectors.bin``. The writer's calls raise ``OSError``; a reader that cannot map a block is told so by None."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)

    def map(self, number: int) -> Block | None:
        """The block as it is in the file, none of its rows checked yet; None where the file is too short."""
        if os.fstat(self._descriptor).st_size < (number + 1) * BLOCK_BYTES:
            return None
        try:
            view = mmap.mmap(
                self._descriptor, BLOCK_BYTES, mmap.MAP_SHARED, mmap.PROT_READ, offset=number * BLOCK_BYTES
            )
        except OSError:  # a file system that maps nothing
            return None
        values = np.frombuffer(view, dtype=np.int8)
        head = values[: BLOCK * HEAD].reshape(BLOCK, HEAD)
        return _block(number, head, values[BLOCK * HEAD :].reshape(BLOCK, TAIL), mapped=True)

    def append(self, tail_block: Checks, signatures: Int8) -> Iterator[Checks]:
        """Write rows after those of ``tail_block``; yields the new checks of every block that was touched."""
        while len(signatures):
            if tail_block.rows == BLOCK:
                tail_block = Checks(block=tail_block.block + 1)
            room = BLOCK - tail_block.rows
            tail_block = self._write(tail_block, signatures[:room])
            yield tail_block
            signatures = signatures[room:]

    def _write(self, before: Checks, signatures: Int8) -> Checks:
        start = before.block * BLOCK_BYTES
        if os.fstat(self._descriptor).st_size < start + BLOCK_BYTES:
            os.ftruncate(self._descriptor, start + BLOCK_BYTES)  # a hole; takes no space until written
        head, tail = panels(signatures)
        _write_all(self._descriptor, head, start + before.rows * HEAD)
        _write_all(self._descriptor, tail, start + BLOCK * HEAD + before.rows * TAIL)
        return before.followed_by(head, tail)

    def close(self) -> None:
        os.close(self._descriptor)


def _write_all(descriptor: int, rows: Int8, offset: int) -> None:
    left = rows.data.cast("B")
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written

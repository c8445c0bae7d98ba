"""Integer dot products at the processor's speed: numkong where it computes what numpy computes, else numpy (ADR 3).

A kernel gives exact dot products, so which one is chosen changes the time of a search and never its result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

log = structlog.get_logger()

Int8 = NDArray[np.int8]
#: from rows of shape (n, d) to dot products of shape (n, q), whole numbers as int32 or float32; the array is used
#: again by the next call. Not for two threads at once.
Dots = Callable[[Int8], NDArray[Any]]
#: rows that are widened to float32 at a time: they stay in the second-level cache
WIDE = 2_048


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A way to compute dot products."""

    name: str
    #: queries of shape (q, d), contiguous, made ready
    against: Callable[[Int8], Dots]
    #: threads that it is worth searching with; 1 where the kernel starts its own
    threads: int


def numpy_kernel() -> Kernel:
    """float32 through BLAS, on every platform; exact, as every partial sum stays below 2**24 (272 * 128**2)."""
    return Kernel(name="numpy", against=_numpy_against, threads=1)


def _numpy_against(queries: Int8) -> Dots:
    columns = np.ascontiguousarray(queries.T, dtype=np.float32)

    def dots(rows: Int8) -> NDArray[np.float32]:
        out = np.empty((len(rows), len(queries)), dtype=np.float32)
        for start in range(0, len(rows), WIDE):
            part = slice(start, start + WIDE)
            np.matmul(rows[part].astype(np.float32), columns, out=out[part])
        return out

    return dots


def numkong_kernel() -> Kernel:
    """numkong's packed int8 product (AMX, AVX-512 VNNI, AVX2, NEON, SVE). Raises ``ImportError`` where it is not."""
    import numkong

    def against(queries: Int8) -> Dots:
        packed, outs = numkong.dots_pack(queries), dict[int, tuple[Any, NDArray[np.int32]]]()

        def dots(rows: Int8) -> NDArray[np.int32]:
            if len(rows) not in outs:
                tensor = numkong.empty((len(rows), len(queries)), dtype="int32")
                outs[len(rows)] = tensor, np.asarray(tensor)
            tensor, values = outs[len(rows)]
            numkong.dots_packed(rows, packed, out=tensor)
            return values

        return dots

    return Kernel(name="numkong", against=against, threads=min(2, os.cpu_count() or 1))


def choose(makers: Sequence[Callable[[], Kernel]] = (numkong_kernel,)) -> Kernel:
    """The first kernel that loads and gives numpy's numbers bit by bit; numpy's where none does. Says so in the log."""
    for make in makers:
        fault = "does not compute what numpy computes"
        try:
            kernel = make()
            if is_exact(kernel):
                return kernel
        except Exception as error:  # noqa: BLE001  a foreign library may fail in any way; numpy stands in, by name
            fault = f"{type(error).__name__}: {error}"
        log.warning("index.kernel_refused", maker=make.__name__, fault=fault, used="numpy")
    return numpy_kernel()


def is_exact(kernel: Kernel) -> bool:
    """Whether a random sample, with all of int8 in it, comes out as in plain integers."""
    random = np.random.default_rng(9)
    return all(
        _agrees(kernel, random.integers(low, high, (rows, depth), dtype=np.int8, endpoint=True), queries)
        for low, high in ((-2, 2), (-128, 127))
        for depth in (64, 208)
        for rows, queries in ((1, 1), (257, 1), (300, 64), (129, 33))
    )


def _agrees(kernel: Kernel, rows: Int8, queries: int) -> bool:
    asked = np.ascontiguousarray(np.resize(rows[::-1], (queries, rows.shape[1])))
    wide = rows.astype(np.int32) @ asked.astype(np.int32).T
    return bool(np.array_equal(kernel.against(asked)(rows), wide))

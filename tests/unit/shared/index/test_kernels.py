"""Whichever kernel is chosen, it gives plain numpy's numbers; one that does not is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from shared.index.kernels import Dots, Int8, Kernel, choose, is_exact, numkong_kernel, numpy_kernel

KERNELS = {"numpy": numpy_kernel, "numkong": numkong_kernel}


@pytest.fixture(params=list(KERNELS), scope="session")
def kernel(request: pytest.FixtureRequest) -> Kernel:
    if request.param == "numkong":
        pytest.importorskip("numkong")
    return KERNELS[request.param]()


@given(
    rows=st.integers(1, 5_000),
    queries=st.integers(1, 70),
    depth=st.sampled_from([64, 208, 272]),
    bound=st.sampled_from([(-2, 2), (-128, 127)]),
    seed=st.integers(0, 2**32),
)
def test_dots_are_those_of_plain_integers(
    kernel: Kernel, rows: int, queries: int, depth: int, bound: tuple[int, int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    a = random.integers(*bound, (rows, depth), dtype=np.int8, endpoint=True)
    b = random.integers(*bound, (queries, depth), dtype=np.int8, endpoint=True)
    dots = kernel.against(b)
    expected = a.astype(np.int32) @ b.astype(np.int32).T
    assert np.array_equal(dots(a), expected)
    assert np.array_equal(dots(a[::-1].copy()), expected[::-1])


def test_the_extremes_of_int8_do_not_overflow(kernel: Kernel) -> None:
    rows = np.full((3, 272), -128, dtype=np.int8)
    assert (kernel.against(rows)(rows) == 272 * 128 * 128).all()


def wrong_by_one(*, at: int) -> Kernel:
    def against(queries: Int8) -> Dots:
        right = numpy_kernel().against(queries)

        def dots(rows: Int8) -> np.ndarray:
            values = right(rows)
            values[at % len(values), 0] += 1
            return values

        return dots

    return Kernel(name="wrong", against=against, threads=1)


def half_precision() -> Kernel:
    """Right for small values, rounded for large ones."""
    return Kernel(
        name="half",
        against=lambda queries: lambda rows: rows.astype(np.float16) @ queries.T.astype(np.float16),
        threads=1,
    )


def not_installed() -> Kernel:
    raise ImportError("no module named fast")


def breaks() -> Kernel:
    def against(queries: Int8) -> Dots:
        raise ValueError("this processor")

    return Kernel(name="breaks", against=against, threads=1)


def first_wrong() -> Kernel:
    return wrong_by_one(at=0)


def last_wrong() -> Kernel:
    return wrong_by_one(at=-1)


@pytest.mark.parametrize("maker", [not_installed, breaks, half_precision, first_wrong, last_wrong])
def test_a_kernel_that_fails_is_refused_by_name_and_numpy_stands_in(maker) -> None:  # type: ignore[no-untyped-def]
    with capture_logs() as logs:
        assert choose([maker]).name == "numpy"
    assert [(log["event"], log["maker"], log["used"]) for log in logs] == [
        ("index.kernel_refused", maker.__name__, "numpy")
    ]


def test_the_first_kernel_that_is_right_is_chosen_without_a_word() -> None:
    pytest.importorskip("numkong")
    with capture_logs() as logs:
        assert choose().name == "numkong"
        assert is_exact(numpy_kernel())
    assert logs == []

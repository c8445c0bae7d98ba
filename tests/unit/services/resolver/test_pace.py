"""Searches that follow each other closely wait for more results."""

from __future__ import annotations

import pytest

from services.resolver.pace import LONGEST, SHORTEST, Pace, pause_after


class Time:
    """A clock that moves when somebody works or sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.pace = Pace(clock=lambda: self.now, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(pytest.approx(seconds))
        self.now += seconds

    async def work(self, seconds: float, *, full: bool = False) -> None:
        async with self.pace.keeping(full=full):
            self.now += seconds


def test_searching_takes_a_tenth_of_the_time_at_most_and_results_wait_no_longer_than_a_second() -> None:
    assert pause_after(0.0) == SHORTEST
    assert pause_after(0.05) == pytest.approx(0.45)
    assert pause_after(5.0) == LONGEST


async def test_the_first_waits_for_nothing_the_next_for_others_and_a_full_one_never() -> None:
    time = Time()
    await time.work(0.02)
    await time.work(0.03, full=True)
    assert time.slept == []
    await time.work(0.01)
    assert time.slept == [0.27]
    time.now += 0.05
    await time.work(0.01)
    assert time.slept == [0.27, 0.15]
    time.now += 60.0
    await time.work(0.01)
    assert time.slept == [0.27, 0.15], "after a quiet time"


async def test_work_that_failed_counts_as_work() -> None:
    time = Time()
    with pytest.raises(OSError):
        async with time.pace.keeping(full=False):
            time.now += 0.02
            raise OSError
    await time.work(0.01)
    assert time.slept == [SHORTEST]

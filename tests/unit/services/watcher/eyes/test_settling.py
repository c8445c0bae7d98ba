"""When a file counts as quiet. (S15)"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.watcher.eyes.settling import Gone, Look, Moment, Settled, Wait, Waiting, heard, is_old_enough, settle

SECONDS = 5.0
NS = 1_000_000_000
NOW = Moment(1_700_000_000.0, 1000.0)


def look(age: float, *, size: int = 10, ctime_age: float | None = None) -> Look:
    """A file whose times lie so many seconds before ``NOW``."""
    changed = age if ctime_age is None else ctime_age
    return Look(size, int((NOW.wall - age) * NS), int((NOW.wall - changed) * NS), 7)


def later(seconds: float) -> Moment:
    return Moment(NOW.wall + seconds, NOW.steady + seconds)


def test_s15_an_old_file_is_settled_at_once() -> None:
    assert settle(Waiting(), look(SECONDS + 1), NOW, SECONDS) == Settled()


def test_s15_both_times_must_be_old() -> None:
    assert not is_old_enough(look(100, ctime_age=1), NOW, SECONDS)
    assert not is_old_enough(look(1, ctime_age=100), NOW, SECONDS)
    assert isinstance(settle(Waiting(), look(100, ctime_age=1), NOW, SECONDS), Wait)


def test_s15_a_file_that_is_heard_of_waits_anew() -> None:
    state = heard(Waiting(), later(3))
    verdict = settle(state, look(100), later(4), SECONDS)
    assert isinstance(verdict, Wait)
    assert verdict.until == later(4 + SECONDS).steady  # it was first looked at then


def test_s15_an_open_writer_is_waited_for() -> None:
    verdict = settle(Waiting(), look(100), NOW, SECONDS, being_written=True)
    assert isinstance(verdict, Wait)
    again = settle(verdict.state, look(100), later(100), SECONDS, being_written=True)
    assert isinstance(again, Wait)
    assert settle(again.state, look(100), later(200), SECONDS) == Settled()


def test_s15_a_file_that_is_not_there_is_gone_whatever_was_known() -> None:
    assert settle(Waiting(look=look(1)), None, NOW, SECONDS) == Gone()


@given(st.floats(min_value=-1e9, max_value=1e9), st.floats(min_value=-1e9, max_value=1e9))
def test_s15_no_time_in_the_future_stalls_a_quiet_file(age: float, ctime_age: float) -> None:
    state, now, seen = Waiting(), NOW, look(age, ctime_age=ctime_age)
    for _ in range(3):
        verdict = settle(state, seen, now, SECONDS)
        if isinstance(verdict, Settled):
            break
        assert isinstance(verdict, Wait)
        state, now = verdict.state, Moment(now.wall, verdict.until)
    assert isinstance(verdict, Settled)
    assert now.steady <= NOW.steady + 2 * SECONDS


@given(
    st.lists(
        st.tuples(st.floats(min_value=0.01, max_value=20), st.integers(0, 3), st.booleans()), min_size=1, max_size=20
    ),
    st.floats(min_value=-100, max_value=100),
)
def test_s15_what_is_settled_was_quiet_and_unchanged_for_the_settle_time(
    steps: list[tuple[float, int, bool]], clock_step: float
) -> None:
    """Sizes that change (with the times of the change, as a file system writes them) and events, in any order."""
    state, passed, size, changed_at, heard_at = Waiting(), 0.0, 0, 0.0, 0.0
    for pause, new_size, event in steps:
        passed += pause
        now = Moment(NOW.wall + passed, NOW.steady + passed)
        if new_size != size:
            size, changed_at = new_size, passed
        if event:
            state, heard_at = heard(state, now), passed
        time_ns = int((NOW.wall + changed_at) * NS)
        verdict = settle(state, Look(size, time_ns, time_ns, 7), now, SECONDS)
        if isinstance(verdict, Settled):
            assert passed - changed_at >= SECONDS - 1e-6
            if event or heard_at:
                assert passed - heard_at >= SECONDS - 1e-6
            return
        assert isinstance(verdict, Wait)
        assert verdict.until > now.steady
        state = verdict.state

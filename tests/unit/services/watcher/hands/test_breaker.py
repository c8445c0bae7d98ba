"""When automatic acting stops by itself. (S13)"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.watcher.hands.breaker import Counts, limit, why_open
from services.watcher.hands.sight import Sight
from shared.config import Breaker
from tests.support.executing import DAY, Stage

DEFAULT = Breaker()


@given(st.integers(0, 10_000_000), st.integers(1, 50), st.integers(0, 50))
def test_s13_the_limit_is_a_share_between_its_bounds(files: int, low: int, more: int) -> None:
    high = low + more
    allowed = limit(files, Breaker(at_least=low, at_most=high))
    assert low <= allowed <= high
    if low <= int(files * 0.05) <= high:
        assert allowed == int(files * 0.05)


@pytest.mark.parametrize(("files", "allowed"), [(0, 20), (400, 20), (1000, 50), (100_000, 200)])
def test_s13_the_defaults_are_five_percent_never_fewer_than_20_never_more_than_200(files: int, allowed: int) -> None:
    assert limit(files, DEFAULT) == allowed


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_s13_it_opens_for_a_root_for_the_total_and_for_a_run_of_refusals(here: int, there: int, run: int) -> None:
    why = why_open(
        "a",
        counts=Counts(acts={"a": here, "b": there}, refusals_in_a_row=run),
        files={"a": 400, "b": 200},
        settings=DEFAULT,
    )
    assert (why is not None) == (here >= 20 or here + there >= 30 or run >= 20)
    assert why is None or "photosift confirm" in why


def filled(stage: Stage, count: int) -> None:
    for n in range(count):
        stage.write(f"v{n}.jpg", b"x%d" % n)
        stage.write(f"k{n}.jpg", b"x%d" % n)


def test_s13_the_breaker_outlasts_restarts_and_only_confirm_or_time_closes_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, sight=Sight(known_since=lambda _: 0.0, files_in=lambda _: 10))
    stage.settings["breaker"] = {"at_least": 3, "at_most": 3}
    filled(stage, 8)
    outcomes = []
    for n in range(5):  # each time a fresh executor over the same journal
        with stage.hand() as hand:
            outcomes.append(hand.executor.take(stage.command(f"v{n}.jpg", f"k{n}.jpg")).code)
    assert outcomes == [None, None, None, "breaker-open", "breaker-open"]
    with stage.hand() as hand:
        again = stage.command("v3.jpg", "k3.jpg", decision_id="again")
        assert hand.bench.counters.confirm(None) == 3
        assert hand.executor.take(again).outcome == "quarantined"
    stage.clock.at += DAY + 1
    with stage.hand() as hand:
        codes = [hand.executor.take(stage.command(f"v{n}.jpg", f"k{n}.jpg")).code for n in range(4, 8)]
    assert codes == [None, None, None, "breaker-open"]


def test_s13_a_confirmed_batch_is_neither_stopped_nor_counted(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.settings["breaker"] = {"at_least": 1, "at_most": 1}
    filled(stage, 5)
    with stage.hand() as hand:
        for n in range(3):
            done = hand.executor.take(stage.command(f"v{n}.jpg", f"k{n}.jpg", confirmed=True))
            assert done.outcome == "quarantined"
        assert hand.executor.take(stage.command("v3.jpg", "k3.jpg")).outcome == "quarantined"
        assert hand.executor.take(stage.command("v4.jpg", "k4.jpg")).code == "breaker-open"
        assert hand.executor.take(stage.command("v4.jpg", "k4.jpg", confirmed=True, decision_id="2")).item_id


def test_s13_surprising_refusals_in_a_row_open_it_and_expected_ones_do_not(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.settings["breaker"] = {"refusals": 3}
    filled(stage, 4)
    commands = [stage.command(f"v{n}.jpg", f"k{n}.jpg") for n in range(4)]
    with stage.hand() as hand:
        for n in range(10):
            assert (
                hand.executor.take(stage.command("v3.jpg", "k3.jpg", decision_id=str(n), expires_at=0)).code
                == "expired"
            )
        for n in range(3):
            (stage.root() / f"k{n}.jpg").write_bytes(b"changed")
            assert hand.executor.take(commands[n]).code == "keeper-changed"
        assert hand.executor.take(commands[3]).code == "breaker-open"
        hand.bench.counters.confirm(None)
        assert hand.executor.take(stage.command("v3.jpg", "k3.jpg", decision_id="new")).outcome == "quarantined"

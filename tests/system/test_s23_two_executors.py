"""Two executors with opposite decisions on the same pairs: never are both copies gone. (S8, S23)"""

from __future__ import annotations

import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from tests.support.disk_acts import PROCESSES, end
from tests.support.executing import Stage, contents_in

PAIRS = 500


def decide(folder: Path, me: str, keeps: str, takes: str, bypass: bool, barrier: Barrier) -> None:
    """One executor: keep what lies in ``keeps``, take what lies in ``takes``; judged alike by the other, turned round."""
    stage = Stage(folder, settings={"breaker": {"at_least": 10_000, "at_most": 10_000, "refusals": 10_000}})
    with stage.hand(state=folder / me) as hand:
        if bypass:  # as if both had got the lock, which happens through a pool and its branch
            hand.bench.ownership.why_not = lambda _root: None  # type: ignore[method-assign]
        commands = [stage.command(f"{takes}/{n}.jpg", f"{keeps}/{n}.jpg") for n in range(PAIRS)]
        results: list[str] = []
        for command in commands:
            barrier.wait(60)
            results.append(str(hand.executor.take(command).outcome))
    (folder / f"{me}.txt").write_text("\n".join(results))


@pytest.mark.parametrize("bypass", [False, True], ids=["owned", "both-act"])
@pytest.mark.timeout(300)
def test_s23_two_executors_with_opposite_decisions_never_lose_both_copies(tmp_path: Path, bypass: bool) -> None:
    stage = Stage(tmp_path)
    for n in range(PAIRS):
        for side in ("left", "right"):
            stage.write(f"{side}/{n}.jpg", b"picture %d" % n)
    barrier = PROCESSES.Barrier(2)
    both = [
        PROCESSES.Process(target=decide, args=(tmp_path, "one", "left", "right", bypass, barrier)),
        PROCESSES.Process(target=decide, args=(tmp_path, "two", "right", "left", bypass, barrier)),
    ]
    for process in both:
        process.start()
    assert [end(process) for process in both] == [0, 0]

    live = contents_in(stage.root() / "left", stage.root() / "right")
    assert set(live) == {b"picture %d" % n for n in range(PAIRS)}  # every picture has a live copy
    everywhere = contents_in(stage.root())
    assert set(everywhere.values()) == {2}  # and nothing vanished on the way
    outcomes = {me: (tmp_path / f"{me}.txt").read_text().split() for me in ("one", "two")}
    if bypass:
        assert any("undone" in results for results in outcomes.values()) or os.cpu_count() == 1
    else:
        acting = [me for me, results in outcomes.items() if "quarantined" in results]
        assert len(acting) == 1, "one acts, the other only proposes"
        assert outcomes[acting[0]] == ["quarantined"] * PAIRS

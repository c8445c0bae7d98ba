"""Whatever several resolvers command at once, in whatever order it comes: the executor is the arbiter. (S2, S3)

This is what makes it enough that the lead among resolvers is a lease: one that wakes in the middle of a sentence may
still speak, and what it says is judged like the rest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.messages.commands import TakeFile
from tests.support.executing import Stage, contents_in

NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
#: (victim, keeper) as one resolver decided it; opposite ones, chains and circles among them
orders = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.booleans()), min_size=1, max_size=12)
SETTINGS = {"breaker": {"at_least": 10_000, "at_most": 10_000, "refusals": 10_000}}


def commands(stage: Stage, wanted: Sequence[tuple[str, str, bool]]) -> list[TakeFile]:
    """All with the evidence of the beginning, as if decided by two who do not hear each other."""
    return [
        stage.command(victim, keeper, decision_id=f"{victim} for {keeper} by {one}") for victim, keeper, one in wanted
    ]


@given(wanted=orders, restart_after=st.integers(0, 12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_s3_commands_of_two_resolvers_in_any_order_leave_every_picture_a_live_copy(
    wanted: list[tuple[str, str, bool]], restart_after: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), settings=SETTINGS)
        for name in NAMES:
            stage.write(name, b"one picture")
        asked = commands(stage, wanted)
        items: dict[str | None, str] = {}
        for part in (asked[:restart_after], asked[restart_after:]):
            with stage.hand() as hand:
                answers = [hand.executor.take(command) for command in part]
            items |= {answer.item_id: answer.victim.path for answer in answers if answer.outcome == "quarantined"}
        taken = list(items.values())
        live = [name for name in NAMES if (stage.root() / name).exists()]
        assert live, "no copy is left"
        assert len(taken) == len(set(taken)), "nothing is taken twice"
        assert sorted(live + taken) == sorted(NAMES)
        assert contents_in(stage.root()) == {b"one picture": len(NAMES)}

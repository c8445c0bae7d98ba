"""Which messages nobody needs any more: a wrong answer here would lose one (S18)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.bus.jetstream.steward import COUNTED_WITHIN, Mark, consumer_config, floor, stream_config
from shared.bus.topology import declared

PARTITIONS = 4


def info(stream: list[int], partition: int, acked: set[int], delivered: set[int]) -> dict[str, Any]:
    """What a server would say of a partition's consumer: its messages are those of its own partition."""
    mine = [seq for seq, p in enumerate(stream, 1) if p == partition]
    open_ = [seq for seq in mine if seq not in acked]
    below = [seq for seq in mine if all(o > seq for o in open_)]
    pending = [seq for seq in open_ if seq not in delivered]
    return {
        "num_pending": len(pending),
        "num_ack_pending": len(open_) - len(pending),
        "ack_floor": {"stream_seq": max(below, default=0)},
    }


@given(st.lists(st.integers(0, PARTITIONS - 1), max_size=30), st.data())
def test_s18_nothing_unacknowledged_is_ever_below_the_floor(stream: list[int], data: Any) -> None:
    every = list(range(1, len(stream) + 1))
    acked = set(data.draw(st.lists(st.sampled_from(every), unique=True))) if every else set()
    delivered = set(data.draw(st.lists(st.sampled_from(every), unique=True))) if every else set()
    asked_before = data.draw(st.integers(0, len(stream)))
    below = floor(asked_before, [info(stream, p, acked, delivered) for p in range(PARTITIONS)])
    assert all(seq in acked for seq in every if seq <= below)


def test_with_all_acknowledged_everything_may_go() -> None:
    stream = [0, 1, 2, 2]
    assert floor(4, [info(stream, p, {1, 2, 3, 4}, set()) for p in range(PARTITIONS)]) == 4


def test_s18_what_a_stream_held_a_moment_ago_counts_as_not_yet_counted() -> None:
    mark = Mark()
    assert mark.counted(5, now=0.0) == 0
    assert mark.counted(9, now=COUNTED_WITHIN / 2) == 0
    assert mark.counted(12, now=COUNTED_WITHIN) == 5
    assert mark.counted(20, now=COUNTED_WITHIN * 1.5) == 5
    assert mark.counted(20, now=COUNTED_WITHIN * 2) == 12


def test_s18_a_stream_that_was_made_anew_is_counted_from_its_beginning() -> None:
    mark = Mark()
    mark.counted(900, now=0.0)
    assert mark.counted(3, now=COUNTED_WITHIN) == 3
    assert mark.counted(4, now=COUNTED_WITHIN * 2) == 3


def test_a_consumer_that_is_not_there_may_need_everything() -> None:
    assert floor(4, [info([0], 0, {1}, set()), None]) == 0


def test_streams_and_consumers_are_declared_to_lose_nothing() -> None:
    topology = declared()
    for stream in topology.streams:
        config = stream_config(stream)
        assert (config["storage"], config["max_age"], config["retention"]) == ("file", 0, "limits")
        assert config["discard"] == ("old" if stream.drops_oldest else "new")
    for consumer in topology.consumers:
        config = consumer_config(consumer)
        assert (config["max_deliver"], config["ack_policy"], config["deliver_policy"]) == (-1, "explicit", "all")

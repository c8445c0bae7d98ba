"""What a follower makes of what comes along."""

from __future__ import annotations

import pytest
import structlog.testing
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.bus.jetstream.hearing import Heard, read
from shared.messages.base import Message
from shared.messages.envelope import encode
from shared.messages.subjects import subject_of
from tests.support.messages import confirm, envelope_of, settled, take


def raw(message: Message, *, subject: str | None = None, seq: int | None = None, stream: str = "FS") -> Msg:
    headers = {"Nats-Stream": stream, "Nats-Sequence": str(seq)} if seq is not None else None
    return Msg(
        _client=Client(),
        subject=subject or subject_of(message),
        data=encode(envelope_of(message)),
        headers=headers,
    )


def missed(numbers: list[int], whole: set[str]) -> list[int]:
    heard = Heard(whole)
    with structlog.testing.capture_logs() as logs:
        assert all(heard.is_stored(raw(settled(), seq=n)) for n in numbers)
    return [entry["count"] for entry in logs]


@pytest.mark.parametrize(
    ("numbers", "gaps"), [([1, 2, 3], []), ([7, 8], []), ([1, 3], [1]), ([1, 5, 6, 10], [3, 3]), ([1, 2, 1, 2], [])]
)
def test_a_gap_is_said_with_its_size(numbers: list[int], gaps: list[int]) -> None:
    assert missed(numbers, {"FS"}) == gaps


def test_a_part_of_a_stream_has_gaps_that_mean_nothing() -> None:
    assert missed([1, 5, 9], {"SIG"}) == []


def test_what_is_only_on_its_way_is_not_heard() -> None:
    heard = Heard({"REQ"})
    assert not heard.is_stored(raw(confirm()))
    assert heard.is_stored(raw(confirm(), seq=1, stream="REQ"))


def test_s20_what_stands_where_it_may_not_is_skipped_and_said() -> None:
    assert read(raw(take())) == (envelope_of(take()), take())
    assert read(raw(take(), subject=f"stored.{subject_of(take())}")) is not None
    with structlog.testing.capture_logs() as logs:
        assert read(raw(take(), subject="photosift.out.take")) is None
        assert read(Msg(_client=Client(), subject="photosift.cmd.take", data=b"{}")) is None
    assert [entry["event"] for entry in logs] == ["bus.message_skipped"] * 2

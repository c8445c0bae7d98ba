"""Who waits for what, and until when. (S15, S16)"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.watcher.eyes.settling import Look, Moment, Waiting
from services.watcher.eyes.waitingroom import WaitingRoom

SETTLE = 5.0


def at(steady: float) -> Moment:
    return Moment(1_700_000_000.0 + steady, steady)


def test_s15_every_event_puts_a_file_off() -> None:
    room = WaitingRoom(SETTLE)
    room.hear_file(b"a", at(0))
    room.hear_file(b"a", at(3))
    assert room.take_files(at(5)) == {}
    assert room.take_files(at(8)).keys() == {b"a"}
    assert len(room) == 0


def test_a_folder_is_not_put_off_and_those_inside_are_looked_at_with_it() -> None:
    room = WaitingRoom(SETTLE)
    room.hear_folder(b"a/b", at(0))
    room.hear_folder(b"a", at(1))
    room.hear_folder(b"a/c", at(2))
    room.hear_folder(b"a", at(3))
    assert room.take_folders(at(5.9), 0) == []
    assert room.take_folders(at(6), 0) == [b"a"]


def test_s16_both_ends_of_a_rename_are_looked_at_together() -> None:
    room = WaitingRoom(SETTLE)
    room.hear_folder(b"old", at(0))
    room.hear_folder(b"new", at(0.01))
    assert room.take_folders(at(5), 1.0) == [b"new", b"old"]


def test_a_file_heard_of_while_it_is_looked_at_is_looked_at_again() -> None:
    room = WaitingRoom(SETTLE)
    room.hear_file(b"a", at(0))
    taken = room.take_files(at(5))
    room.hear_file(b"a", at(5.1))
    room.put_back(b"a", 6.0, taken[b"a"])
    assert room.take_files(at(7)) == {}
    assert room.take_files(at(10.2)).keys() == {b"a"}


def test_a_pass_does_not_put_off_a_file_that_waits_already() -> None:
    room = WaitingRoom(SETTLE)
    room.hear_file(b"a", at(0))
    room.admit(b"a", Look(1, 2, 3, 4), at(4))
    assert room.take_files(at(5)).keys() == {b"a"}


def test_a_flood_is_looked_at_piece_by_piece() -> None:
    room = WaitingRoom(SETTLE)
    for n in range(10):
        room.hear_file(b"%d" % n, at(0))
    assert len(room.take_files(at(5), most=4)) == 4
    room.count_time_anew()
    assert room.next_due() == 5
    assert len(room.take_files(at(5), most=100)) == 6


EVENTS = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.floats(0, 20), st.booleans()), max_size=20)


@given(EVENTS)
def test_s16_nothing_that_is_due_is_ever_forgotten(events: list[tuple[bytes, float, bool]]) -> None:
    room, last = WaitingRoom(SETTLE), {}
    for name, moment, returned in sorted(events, key=lambda event: event[1]):
        if returned:
            room.put_back(name, moment + 1, Waiting())
            last.setdefault(name, moment + 1)
        else:
            room.hear_file(name, at(moment))
            last[name] = moment + SETTLE
    seen = {}
    while (due := room.next_due()) is not None:
        for name in room.take_files(at(due)):
            seen[name] = due
        room.count_time_anew()
    assert seen == last

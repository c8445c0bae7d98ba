"""What the resolver remembers, and that it is all or nothing."""

from __future__ import annotations

import threading

import pytest

from services.resolver.contentbook import EXPIRY_MARGIN, Change
from services.resolver.outbox import pack, runs, unpack
from services.resolver.store import FILE, DecisionStore, StoreUnavailable, read_open_decisions
from tests.support.messages import NOW, SHA, decided, done, envelope_of, samples, take
from tests.support.model import signature

A, B, C, D = "aa", "bb", "cc", "dd"


@pytest.fixture
def store(tmp_path):
    made = DecisionStore(tmp_path)
    yield made
    made.close()


def work(store: DecisionStore, now: float = 0.0) -> list[tuple[str, ...]]:
    with store.transaction():
        return sorted(c.hashes for c in store.contents.work(now))


def record(store: DecisionStore, neighbours: dict[str, tuple[str, ...]], *changes: Change) -> None:
    with store.transaction():
        store.contents.record(changes, neighbours)


def test_neighbours_of_neighbours_are_looked_at_together(store) -> None:
    record(store, {A: (B,)}, Change(file_id="1", version=1, sha=A))
    record(store, {C: (D,)}, Change(file_id="2", version=1, sha=C))
    assert work(store) == [(A, B), (C, D)]
    record(store, {B: (C,)})
    assert work(store) == [(A, B, C, D)]
    assert store.contents.unsearched([A, B, C, D, "ee"]) == [D, "ee"]


def test_a_change_dirties_what_the_file_was_and_what_it_is(store) -> None:
    record(store, {A: (), B: ()}, Change(file_id="1", version=1, sha=A))
    with store.transaction():
        store.contents.finish(store.contents.work(0.0), [])
    assert work(store) == []
    record(store, {}, Change(file_id="1", version=2, sha=B))
    assert work(store) == [(A,), (B,)]


def test_s18_a_late_version_does_not_change_what_a_file_is_known_to_be(store) -> None:
    record(store, {A: (), B: ()}, Change(file_id="1", version=2, sha=A), Change(file_id="1", version=1, sha=B))
    with store.transaction():
        store.contents.finish(store.contents.work(0.0), [])
    record(store, {}, Change(file_id="1", version=3, sha=None))
    assert work(store) == [(A,)]


def test_a_content_without_files_is_searched_for_anew_when_it_comes_back(store) -> None:
    record(store, {A: (B,), B: (A,)}, Change(file_id="1", version=1, sha=A))
    with store.transaction():
        store.contents.finish(store.contents.work(0.0), [A])
    assert store.contents.unsearched([A, B]) == [A]


def test_s3_a_group_with_a_command_out_is_not_worked_on_until_it_is_void(store) -> None:
    command = take()
    sha = command.victim.sha256
    record(store, {sha: ()}, Change(file_id="1", version=1, sha=sha))
    with store.transaction():
        store.decisions.ask(command, "e1")
    assert work(store, now=NOW) == []
    assert store.contents.held_up(NOW) == 1
    assert store.contents.next_wake(NOW) == command.expires_at + EXPIRY_MARGIN
    assert work(store, now=command.expires_at + EXPIRY_MARGIN + 1) == [(sha,)]
    with store.transaction():
        store.decisions.answer(done(command.command_id))
    assert work(store, now=NOW) == [(sha,)]


def test_s3_a_file_of_a_command_holds_up_the_group_of_its_new_bytes_too(store) -> None:
    command = take()
    file_id = command.victim.file.photo.file_id
    record(store, {B: ()}, Change(file_id=file_id, version=9, sha=B))
    with store.transaction():
        store.decisions.ask(command, "e1")
    assert work(store, now=NOW) == []


def test_a_decision_that_stands_again_has_a_new_id(store) -> None:
    with store.transaction():
        first = store.decisions.fresh_id("base")
        store.decisions.open("base", decided(first))
        assert store.decisions.involved([SHA], []) == {"base": first}
        store.decisions.close(first)
        second = store.decisions.fresh_id("base")
    assert first != second
    assert store.decisions.open_decisions() == 0


def test_s1_a_keeper_inherits_what_its_victim_stood_for(store) -> None:
    with store.transaction():
        store.decisions.replace(A, B, signature(1))
        store.decisions.replace(B, C, signature(2))
        store.decisions.replace(C, C, signature(3))
    past = store.decisions.past([B, C], 0.0)
    assert past.replaced == {B: {A: signature(1)}, C: {A: signature(1), B: signature(2)}}


def test_a_transaction_that_fails_leaves_nothing(store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.take_note("key", 1)
        store.outbox.put(decided())
        raise ZeroDivisionError
    assert store.note("key") is None
    with store.transaction():
        assert store.outbox.first(10) == []


def test_transactions_of_two_threads_do_not_mix(store) -> None:
    def count() -> None:
        for _ in range(50):
            with store.transaction():
                store.take_note("n", int(store.note("n") or 0) + 1)

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.note("n") == "150"


def test_what_is_written_is_there_after_it_was_closed(tmp_path) -> None:
    first = DecisionStore(tmp_path)
    with first.transaction():
        first.decisions.open("base", decided())
        first.outbox.put(decided(), pack(envelope_of(decided())))
    first.close()
    again = DecisionStore(tmp_path)
    with again.transaction():
        (letter,) = again.outbox.first(10)
    assert letter.message == decided()
    assert letter.cause is not None
    assert letter.cause.correlationid == envelope_of(decided()).correlationid
    assert again.decisions.standing() == read_open_decisions(tmp_path) == [decided()]
    again.close()


def test_open_decisions_of_a_memory_that_is_not_there_are_none(tmp_path) -> None:
    assert read_open_decisions(tmp_path) == []


def test_a_memory_that_is_no_database_is_said_to_be_unavailable(tmp_path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(StoreUnavailable):
        DecisionStore(tmp_path)
    with pytest.raises(StoreUnavailable):
        read_open_decisions(tmp_path)


def test_letters_go_out_in_order_and_together_only_where_order_is_nothing(store) -> None:
    with store.transaction():
        for message in (decided("1"), decided("2"), *samples()[8:9], decided("3")):
            store.outbox.put(message)
        letters = store.outbox.first(10)
    assert [len(run) for run in runs(letters)] == [2, 1, 1]
    assert unpack(None) is None

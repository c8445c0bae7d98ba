"""Streams, subjects and consumers fit each other; a file's messages always go the same way."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus import names
from shared.bus.accounts import covers
from shared.bus.topology import Account, belongs, declared, retry_subject
from shared.messages.commands import TakeFile
from shared.messages.subjects import subject_of
from shared.paths import PARTITIONS
from tests.support.messages import answered, dead_letter, remove, samples, settled, take

TOPOLOGY = declared()
FILE_WORDS = ("IMG", "2019", "jpg", "Été")


@pytest.mark.parametrize("message", samples(), ids=lambda m: m.TYPE)
def test_every_message_is_stored_by_exactly_one_stream(message) -> None:
    subject = subject_of(message)
    assert [s.name for s in TOPOLOGY.streams if covers(s.subject, subject)] == [TOPOLOGY.stream_of(subject).name]
    assert not any(word in subject for word in FILE_WORDS), "no file name is ever in a subject"
    assert belongs(subject, message)


def test_commands_and_outcomes_are_behind_the_wall() -> None:
    """S20: what acts is in another account than what sees and analyses."""
    accounts = {s.name: s.account for s in TOPOLOGY.streams}
    assert {n for n, a in accounts.items() if a == Account.CONTROL} == {"DEC", "REQ", "CMD", "OUT", "LEAD", "DLQC"}


def test_no_two_streams_store_the_same_subject() -> None:
    for a, b in combinations(TOPOLOGY.streams, 2):
        assert not covers(a.subject, b.subject.replace(">", "x"))


def test_each_file_event_is_handed_out_by_exactly_one_consumer() -> None:
    for i in range(500):
        event = settled(f"{i}.jpg")
        found = [c for c in TOPOLOGY.consumers_of("FS") if covers(c.filters[0], subject_of(event))]
        assert [c.name for c in found] == [f"{names.ANALYSER_FS}{event.file.photo.partition}"]
        again = retry_subject(found[0], event)
        retried = [c.name for c in TOPOLOGY.consumers_of("FS") if covers(c.filters[0], again)]
        assert retried == [names.ANALYSER_FS_RETRY]
        assert belongs(again, event)


def test_s18_order_is_kept_where_it_matters() -> None:
    ordered = {c.name for c in TOPOLOGY.consumers if c.is_ordered}
    assert ordered == {f"{names.ANALYSER_FS}{n}" for n in range(PARTITIONS)} | {names.ANALYSER_FS_RETRY}


def test_the_end_of_a_pass_waits_for_nobody() -> None:
    assert not [c for c in TOPOLOGY.consumers if any(covers(f, "photosift.fs.pass") for f in c.filters)]


@pytest.mark.parametrize("message", samples(), ids=lambda m: m.TYPE)
def test_s20_a_message_belongs_on_its_own_subject_alone(message) -> None:
    for other in samples():
        assert belongs(subject_of(other), message) == (subject_of(other) == subject_of(message))
    assert not belongs("photosift.fs.retry.cmd.take", message)


def test_only_an_executors_answer_belongs_among_the_outcomes() -> None:
    assert subject_of(answered("executor")) == "photosift.out.request-answered"
    assert subject_of(answered("resolver")) == "photosift.dec.request-answered"
    assert not belongs("photosift.out.request-answered", answered("resolver"))


@pytest.mark.parametrize(
    ("origin", "subject"),
    [
        ("photosift.fs.3.settled", "photosift.dlq.fs"),
        ("photosift.fs.retry.3.settled", "photosift.dlq.fs"),
        ("photosift.sig.3.analysed", "photosift.dlq.sig"),
        ("photosift.cmd.take", "photosift.dlqc.cmd"),
        ("photosift.out.command-done", "photosift.dlqc.out"),
        ("photosift.req.restore", "photosift.dlqc.req"),
    ],
)
def test_a_dead_letter_stays_in_the_account_of_its_origin(origin: str, subject: str) -> None:
    assert subject_of(dead_letter(origin)) == subject
    assert TOPOLOGY.stream_of(subject).account == TOPOLOGY.stream_of(origin).account


def test_only_records_that_nobody_consumes_drop_their_oldest() -> None:
    """S18: where somebody still has to see a message, a full stream refuses new ones instead."""
    for stream in TOPOLOGY.streams:
        assert stream.drops_oldest == (not TOPOLOGY.consumers_of(stream.name)), stream.name


@given(st.floats(0.001, 10))
def test_every_stream_is_bounded(factor: float) -> None:
    assert all(s.max_bytes > 0 for s in declared(size_factor=factor).streams)


def test_a_family_is_a_name_or_a_prefix() -> None:
    assert len(TOPOLOGY.family(names.ANALYSER_FS)) == PARTITIONS + 1
    assert [c.name for c in TOPOLOGY.family(names.RESOLVER_SIG)] == [names.RESOLVER_SIG]
    assert TOPOLOGY.family("nobody") == ()


def receivers(topology, message) -> list[str]:
    subject = subject_of(message)
    return [c.name for c in topology.consumers_of("CMD") if any(covers(f, subject) for f in c.filters)]


def test_without_names_the_one_watcher_is_asked_about_every_root() -> None:
    assert receivers(TOPOLOGY, take()) == ["executor-cmd"]
    assert receivers(declared(watchers={"other": "", "more": ""}), take()) == ["executor-cmd"]


def test_s23_a_command_goes_to_the_watcher_of_the_victims_root_alone() -> None:
    topology = declared(watchers={"photos": "attic", "more": "attic", "phone": "cellar", "rest": ""})
    at_root = {root: receivers(topology, in_root(take(), root)) for root in ("photos", "more", "phone", "rest", "none")}
    assert at_root == {
        "photos": ["executor-cmd-attic"],
        "more": ["executor-cmd-attic"],
        "phone": ["executor-cmd-cellar"],
        "rest": ["executor-cmd"],
        "none": [],
    }
    assert receivers(topology, remove()) == ["executor-cmd-attic"]


def test_every_watcher_hears_what_people_request() -> None:
    topology = declared(watchers={"a": "attic", "b": "cellar"})
    hear = {c.name for c in topology.consumers_of("REQ") if c.filters == (names.SUBJECT_REQ,)}
    assert hear == {"executor-req-attic", "executor-req-cellar", names.RESOLVER_REQ}


def in_root(command: TakeFile, root: str) -> TakeFile:
    victim = command.victim.model_copy(update={"file": command.victim.file.model_copy(update={"root": root})})
    return command.model_copy(update={"victim": victim})

"""Whatever arrives: a message of ours, or ``MessageRejected``. Never another error, never a half-read message."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import MessageRejected
from shared.messages.envelope import LONGEST_MESSAGE, correlation_of, decode, encode, message_types
from shared.paths import PhotoPath
from tests.support.messages import envelope_of, samples, settled

SAMPLES = samples()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


def wire(message: Any = None) -> dict[str, Any]:
    return json.loads(encode(envelope_of(message or settled())))


def accepted(payload: bytes) -> bool:
    """True for a message, False for ``MessageRejected``; any other exception fails the test."""
    try:
        decode(payload)
    except MessageRejected:
        return False
    return True


def rejected(value: Any) -> bool:
    return not accepted(json.dumps(value).encode())


@pytest.mark.parametrize("message", SAMPLES, ids=lambda m: m.TYPE)
def test_what_was_encoded_is_decoded(message) -> None:
    assert decode(encode(envelope_of(message))) == (envelope_of(message), message)


def test_there_is_a_sample_of_every_type() -> None:
    assert {m.TYPE for m in SAMPLES} == set(message_types())


def test_a_fact_told_twice_begins_one_story_and_another_fact_another() -> None:
    assert correlation_of(settled(version=1)) == correlation_of(settled(version=1))
    stories = {correlation_of(message) for message in (settled(version=1), settled(version=2), settled("b.jpg", 1))}
    assert len(stories) == 3


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_rejected(payload: bytes) -> None:
    assert not accepted(payload)


@given(json_values)
def test_any_json_is_rejected(value: Any) -> None:
    assert rejected(value)


@given(st.sampled_from(SAMPLES), st.data())
def test_any_change_of_an_attribute_is_a_message_or_rejected(message, data) -> None:
    changed = wire(message)
    changed[data.draw(st.sampled_from(sorted(changed)))] = data.draw(json_values)
    accepted(json.dumps(changed).encode())


@given(st.sampled_from(SAMPLES), st.data())
def test_any_change_inside_is_a_message_or_rejected(message, data) -> None:
    changed = wire(message)
    place = changed["data"]
    key = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[key], dict) and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(json_values)
    accepted(json.dumps(changed).encode())


@given(st.sampled_from(SAMPLES), st.data())
def test_any_cut_is_rejected(message, data) -> None:
    whole = encode(envelope_of(message))
    assert not accepted(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.sampled_from(SAMPLES), st.data())
@settings(max_examples=50)
def test_an_unknown_field_is_rejected_anywhere(message, data) -> None:
    """A field that this version does not know may change the meaning of those it knows."""
    changed = wire(message)
    (changed if data.draw(st.booleans()) else changed["data"])["extra"] = data.draw(json_values)
    assert rejected(changed)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("specversion", "2.0"),
        ("type", "photosift.file.settled.v2"),
        ("type", "photosift.file.gone.v1"),
        ("id", "fs:other:1"),
        ("data", {}),
        ("data", None),
    ],
)
def test_another_version_type_or_id_is_rejected(attribute: str, value: Any) -> None:
    assert rejected({**wire(), attribute: value})


@pytest.mark.parametrize(
    "attribute", ["id", "type", "data", "correlationid", "traceparent", "subject", "time", "source"]
)
def test_a_missing_attribute_is_rejected(attribute: str) -> None:
    changed = wire()
    del changed[attribute]
    assert rejected(changed)


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../b", "a/./b", "a//b", "a/", "a\0b", "x" * 40_000],
    ids=lambda p: repr(p)[:12],
)
def test_s9_a_path_that_could_lead_out_of_its_root_is_rejected(path: str) -> None:
    changed = wire()
    changed["data"]["file"]["path"] = path
    assert rejected(changed)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_rejected(number: str) -> None:
    payload = encode(envelope_of(settled())).replace(b'"known_since":1700000000.25', f'"known_since":{number}'.encode())
    assert number.encode() in payload
    assert not accepted(payload)


def test_what_is_too_long_is_rejected_before_it_is_read() -> None:
    with pytest.raises(MessageRejected, match="at most"):
        decode(b"{" * (LONGEST_MESSAGE + 1))


def test_deep_nesting_is_rejected() -> None:
    assert not accepted(b"[" * 100_000)
    assert not accepted(b'{"a":' * 100_000)


@given(st.binary(min_size=1, max_size=60))
def test_s9_every_file_name_survives_the_wire(name: bytes) -> None:
    clean = name.replace(b"/", b"_").replace(b"\0", b"_")
    if clean in (b".", b".."):
        return
    event = settled(clean)
    _, back = decode(encode(envelope_of(event)))
    assert back.file.photo == PhotoPath("photos", clean)  # type: ignore[attr-defined]


def test_the_longest_paths_fit_a_message() -> None:
    """The longest path there is, of bytes that cost most: its command names two of them."""
    from shared.bus.topology import LONGEST_STORED
    from shared.paths import LONGEST_PATH
    from tests.support.messages import take

    for byte in (b"\xff", b"\x01", "é".encode()):
        longest = settled((byte * LONGEST_PATH)[:LONGEST_PATH]).file
        command = take()
        evidence = command.victim.model_copy(update={"file": longest})
        huge = command.model_copy(update={"victim": evidence, "keeper": evidence})
        assert len(encode(envelope_of(huge))) <= LONGEST_STORED

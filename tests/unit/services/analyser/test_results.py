from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyser.results import (
    Examined,
    Refused,
    Result,
    Task,
    decode_result,
    decode_task,
    encode_result,
    encode_task,
)
from shared.messages.analysis import Facts
from shared.messages.base import FileStat
from shared.signature import COMPACT, Signature

NUMBERS = st.integers(0, 2**63 - 1)
STATS = st.builds(
    FileStat, size=NUMBERS, mtime_ns=NUMBERS, ctime_ns=NUMBERS, dev=NUMBERS, ino=NUMBERS, birth_ns=st.none() | NUMBERS
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
FACTS = st.builds(
    Facts,
    format=TEXTS,
    width=NUMBERS,
    height=NUMBERS,
    bytes=NUMBERS,
    camera=st.none() | TEXTS,
    captured_at=st.none() | TEXTS,
)
SIGNATURES = st.builds(Signature, st.binary(min_size=COMPACT, max_size=COMPACT))
EXAMINED = st.builds(Examined, sha256=TEXTS, signature=SIGNATURES, facts=FACTS, stat=STATS, doubt=st.none() | TEXTS)
REFUSED = st.builds(Refused, reason=TEXTS, explanation=TEXTS, sha256=st.none() | TEXTS, stat=st.none() | STATS)


@given(EXAMINED | REFUSED)
def test_a_result_comes_out_of_the_pipe_as_it_went_in_on_one_line(result: Result) -> None:
    line = encode_result(result)
    assert line.count(b"\n") == 1
    assert decode_result(line) == result


@given(st.binary(min_size=1), st.binary(min_size=1), st.none() | STATS, st.none() | SIGNATURES)
def test_a_task_carries_names_that_are_any_bytes(
    folder: bytes, rel: bytes, expected: FileStat | None, signature: Signature | None
) -> None:
    line = encode_task(Task(folder=folder, rel=rel, expected=expected, signature=signature))
    assert line.count(b"\n") == 1
    assert decode_task(line) == Task(folder=folder, rel=rel, expected=expected, signature=signature)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b'{"stat":null}\n',
        b'{"stat":{"size":"x"}}\n',
        b"\xff\n",
        b'{"sha256":1,"stat":3}\n',
    ],
)
def test_anything_but_a_result_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode_result(line)

"""File names are bytes; identity is a hash of root and bytes; nothing leads out of a root (S9)."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UnsafePath
from shared.paths import LONGEST_PATH, PARTITIONS, PhotoPath, from_text, partition_of, printable, to_text

names = st.binary(min_size=1, max_size=30).map(lambda b: b.replace(b"/", b"_").replace(b"\0", b"_"))
clean = names.filter(lambda b: b not in (b".", b".."))
rels = st.lists(clean, min_size=1, max_size=5).map(b"/".join)


@given(rels)
def test_bytes_survive_being_text(rel: bytes) -> None:
    text, encoded = to_text(rel)
    text.encode()  # always valid UTF-8
    assert from_text(text, encoded) == rel
    assert (encoded is None) == (rel.decode("utf-8", "replace").encode() == rel)


@given(st.binary(max_size=50))
def test_s9_a_path_is_clean_or_refused(raw: bytes) -> None:
    try:
        path = PhotoPath("r", raw)
    except UnsafePath:
        return
    below = os.path.normpath(path.below(b"/root"))
    assert below == b"/root/" + raw
    assert b"\0" not in raw


@pytest.mark.parametrize(
    "rel", [b"", b"/", b"/a", b"a/", b".", b"..", b"../a", b"a/..", b"a/../b", b"a//b", b"a/./b", b"a\0", b"x" * 32_769]
)
def test_s9_what_could_lead_out_is_refused(rel: bytes) -> None:
    with pytest.raises(UnsafePath):
        PhotoPath("r", rel)


@pytest.mark.parametrize("root", ["", "a/b", "a\0b"])
def test_a_root_has_a_plain_name(root: str) -> None:
    with pytest.raises(UnsafePath):
        PhotoPath(root, b"a")


def test_the_longest_path_is_still_one() -> None:
    assert len(PhotoPath("r", b"x" * LONGEST_PATH).rel) == LONGEST_PATH


@given(rels, rels)
def test_files_differ_exactly_when_their_ids_do(a: bytes, b: bytes) -> None:
    assert (PhotoPath("r", a).file_id == PhotoPath("r", b).file_id) == (a == b)
    assert PhotoPath("r", a).file_id != PhotoPath("s", a).file_id


def test_root_and_path_cannot_be_shifted_into_each_other() -> None:
    assert PhotoPath("a", b"b/c").file_id != PhotoPath("ab", b"c").file_id


@given(rels)
def test_a_file_always_falls_into_the_same_of_64_partitions(rel: bytes) -> None:
    path = PhotoPath("r", rel)
    assert path.partition == partition_of(path.file_id)
    assert 0 <= path.partition < PARTITIONS


def test_files_spread_over_all_partitions() -> None:
    counts = [0] * PARTITIONS
    for i in range(6_400):
        counts[PhotoPath("photos", b"2019/IMG_%04d.jpg" % i).partition] += 1
    assert min(counts) > 50
    assert max(counts) < 160


@given(rels)
def test_name_and_folder_are_the_path(rel: bytes) -> None:
    path = PhotoPath("r", rel)
    assert (path.folder + b"/" + path.name if path.folder else path.name) == rel


@given(st.binary(max_size=50) | st.text(max_size=50))
def test_what_is_shown_cannot_move_a_cursor(raw: bytes | str) -> None:
    assert printable(raw).isprintable()


def test_bad_base64_is_refused() -> None:
    for bad in ("!", "a", "YQ==\n", "YQ"):
        with pytest.raises(UnsafePath):
            from_text("a", bad)


@pytest.mark.parametrize("raw", [b"caf\xe9.jpg", b"\xff\xfe", "é.jpg".encode(), b"\xed\xa0\x80"])
def test_a_name_that_is_not_utf8_reads_the_same_everywhere(raw: bytes) -> None:
    assert printable(raw) == printable(os.fsdecode(raw)) == printable(to_text(raw)[0])
    assert from_text(*to_text(raw)) == raw

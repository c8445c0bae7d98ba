"""What a document of an old index is worth."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyser.inheritance import Inherited, Unfit, inherited, placed, why_not_as_it_was
from shared.messages.base import FileStat
from shared.paths import PhotoPath
from shared.signature import COMPACT, Signature
from tests.support.ancestor import record

SIGNATURE = Signature(np.random.default_rng(1).integers(-2, 3, COMPACT).astype(np.int8).tobytes())
FULL = [int(value) for value in SIGNATURE.full]
INDEXED = "2024-05-01T12:00:00"


def document(**more: Any) -> dict[str, Any]:
    return {**record("/photos/a.jpg", FULL), "timestamp": INDEXED, **more}


def fit(**more: Any) -> Inherited:
    found = inherited(document(**more))
    assert isinstance(found, Inherited), found
    return found


def unfit(**more: Any) -> str:
    found = inherited(document(**more))
    assert isinstance(found, Unfit)
    return f"{found.reason}: {found.explanation}"


def stat(size: int = 1000, mtime_ns: int = 0, ctime_ns: int = 0) -> FileStat:
    return FileStat(size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns, dev=1, ino=1)


def test_the_signature_comes_over_as_the_values_that_say_all() -> None:
    assert fit().signature == SIGNATURE
    assert fit().path == b"/photos/a.jpg"


def changed(place: int, value: Any) -> list[Any]:
    return [*FULL[:place], value, *FULL[place + 1 :]]


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (None, "it has no signature"),
        ("AQI=", "it has no signature"),
        ([], "its signature has 0 values, not 648"),
        (FULL[:-1], "its signature has 647 values, not 648"),
        ([*FULL, 0], "its signature has 649 values, not 648"),
        (changed(300, 3), "other values than -2 to 2"),
        (changed(300, 1.5), "other values than -2 to 2"),
        (changed(300, True), "other values than -2 to 2"),
        (changed(300, None), "other values than -2 to 2"),
        (changed(0, 1), "not laid out as image-match's"),
    ],
)
def test_what_is_no_signature_of_image_match_is_refused(signature: Any, said: str) -> None:
    assert said in unfit(signature=signature)
    assert unfit(signature=signature).startswith("wrong-signature: ")


@pytest.mark.parametrize("path", [None, "", 7, ["/a"], "/a\ud800b"])
def test_a_document_without_a_name_is_refused(path: Any) -> None:
    assert unfit(path=path).startswith("no-path: ")


def test_a_name_that_is_no_utf8_keeps_its_bytes() -> None:
    assert fit(path=os.fsdecode(b"/photos/\xff.jpg")).path == b"/photos/\xff.jpg"


@given(st.dictionaries(st.sampled_from(["path", "signature", "timestamp", "metadata"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)))  # fmt: skip
def test_whatever_a_document_holds_nothing_is_raised(source: dict[str, Any]) -> None:
    assert isinstance(inherited(source), Unfit | Inherited)
    assert isinstance(inherited({**document(), **source}), Unfit | Inherited)


# --------------------------------------------------------------------------------------- is it what it was?

NOTED = {"filesize": 1000, "file_modification_date": 1_700_000_000.1234567}


def test_size_and_time_of_modification_decide_where_they_were_noted() -> None:
    then = fit(metadata=NOTED)
    mtime_ns = 1_700_000_000_123_456_712
    assert why_not_as_it_was(then, stat(1000, mtime_ns, ctime_ns=2**62)) is None
    assert "had 1000 bytes" in str(why_not_as_it_was(then, stat(1001, mtime_ns)))
    for other in (mtime_ns - 1_000_000, mtime_ns + 1_000_000):
        assert "modified since" in str(why_not_as_it_was(then, stat(1000, other)))


@pytest.mark.parametrize("metadata", [None, {}, "text", {"filesize": 1000}, {**NOTED, "filesize": "1000"}])
def test_else_nothing_of_it_may_be_younger_than_the_document(metadata: Any) -> None:
    then = fit(metadata=metadata, timestamp="2024-05-01T12:00:00+00:00")
    indexed_ns = 1_714_564_800 * 10**9
    assert why_not_as_it_was(then, stat(mtime_ns=indexed_ns, ctime_ns=indexed_ns)) is None
    for mtime_ns, ctime_ns in ((indexed_ns + 1000, indexed_ns), (0, indexed_ns + 1000)):
        assert "after it was indexed" in str(why_not_as_it_was(then, stat(mtime_ns=mtime_ns, ctime_ns=ctime_ns)))


@pytest.mark.parametrize("timestamp", [None, 17, "yesterday", ""])
def test_where_nothing_says_what_it_was_it_is_not_taken(timestamp: Any) -> None:
    assert "nothing says" in str(why_not_as_it_was(fit(timestamp=timestamp), stat()))


@pytest.mark.parametrize("zone", ["UTC-2", "UTC+5", "UTC"])
def test_a_time_without_a_zone_is_read_as_the_earlier_of_here_and_utc(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        noon = 1_714_564_800
        assert fit().indexed_at == (noon - 7200 if zone == "UTC-2" else noon)
    finally:
        monkeypatch.undo()
        time.tzset()


# --------------------------------------------------------------------------------------- where is it?

ROOTS = {"photos": [b"/srv/photos", b"/mnt/disk/photos"], "inner": [b"/srv/photos/inner/"]}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"/srv/photos/a.jpg", ("photos", b"a.jpg")),
        (b"/srv//photos/./2024/a.jpg", ("photos", b"2024/a.jpg")),
        (b"/mnt/disk/photos/a.jpg", ("photos", b"a.jpg")),
        (b"/srv/photos/inner/a.jpg", ("inner", b"a.jpg")),
        (b"/data/in/2024/a.jpg", ("photos", b"2024/a.jpg")),
        (b"/data/in/deep/a.jpg", ("photos", b"other/a.jpg")),
    ],
)
def test_a_path_is_found_in_the_innermost_root_under_each_of_its_names(path: bytes, found: tuple[str, bytes]) -> None:
    moved = [(b"/data/in", b"/srv/photos/"), (b"/data/in/deep/", b"/srv/photos/other")]
    assert placed(path, ROOTS, moved) == PhotoPath(*found)


@pytest.mark.parametrize(
    "path",
    [b"/srv/photos", b"/srv/photosets/a.jpg", b"/srv/photos/../photos/a.jpg", b"a.jpg", b"http://x/a.jpg", b"/data/in/a",
     b"/srv/photos/a\0b"],
)  # fmt: skip
def test_s9_what_lies_in_no_root_is_in_none(path: bytes) -> None:
    assert placed(path, ROOTS, []) is None


def test_the_whole_file_system_may_be_a_root() -> None:
    assert placed(b"/a/b.jpg", {"all": [b"/"]}, []) == PhotoPath("all", b"a/b.jpg")

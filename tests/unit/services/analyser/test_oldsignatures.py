"""What is known of an old index while it is taken over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.analyser.inheritance import Inherited, Unfit
from services.analyser.oldsignatures import OldSignatures, OldSignaturesFailure
from shared.paths import PhotoPath
from tests.support.index import signature_of


@pytest.fixture
def old(tmp_path: Path) -> Iterator[OldSignatures]:
    made = OldSignatures(tmp_path / "old.sqlite")
    yield made
    made.close()
    assert list(tmp_path.iterdir()) == []


def path(number: int) -> PhotoPath:
    return PhotoPath("photos", b"\xff/%d.jpg" % number)


def entry(number: int, *, indexed_at: float | None = 1.5) -> Inherited:
    signature = signature_of(number)
    return Inherited(path=path(number).rel, signature=signature, size=7, mtime=0.25, indexed_at=indexed_at)


def test_what_was_kept_is_found_again(old: OldSignatures) -> None:
    old.keep([(path(1), entry(1)), (path(2), entry(2, indexed_at=None))], [])
    assert old.of(path(1)) == entry(1)
    assert old.of(path(2)) == entry(2, indexed_at=None)
    assert old.of(path(3)) is None


def test_of_two_documents_of_a_file_the_younger_counts_in_any_order(old: OldSignatures) -> None:
    young, aged = replace(entry(2), path=path(1).rel, indexed_at=9.0), entry(1, indexed_at=8.0)
    old.keep([(path(1), young), (path(1), aged)], [])
    assert old.of(path(1)) == young
    old.keep([(path(1), replace(aged, indexed_at=10.0))], [])
    assert old.of(path(1)) == replace(aged, indexed_at=10.0)


def test_what_became_of_each_is_counted_and_what_was_left_is_listed(old: OldSignatures) -> None:
    old.keep([(path(n), entry(n)) for n in range(5)], [Unfit(path="/x", reason="wrong-signature", explanation="why")])
    old.take(path(0))
    old.leave(path(1), "changed", "because")
    old.leave(path(2), "there", "")
    assert list(old.unheard_of(1)) == [[path(3)], [path(4)]]
    for batch in old.unheard_of(1):
        old.leave(batch[0], "gone", "nowhere")
    assert list(old.left()) == [
        (path(1), "changed", "because"),
        (path(3), "gone", "nowhere"),
        (path(4), "gone", "nowhere"),
        ("/x", "wrong-signature", "why"),
    ]
    assert old.counts() == {"taken": 1, "there": 1, "changed": 1, "gone": 2, "wrong-signature": 1}


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OldSignaturesFailure, match=r"old\.sqlite: unable to open"):
        OldSignatures(tmp_path / "nowhere" / "old.sqlite")

"""Who may stand for a last copy: live, of an allowed class, and near everything that it stood for. (S1, S5, S11, S22)"""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.resolver.clustering import Bounds
from services.resolver.standins import stand_in_for
from shared.messages.base import FileRef
from shared.messages.outcomes import ItemDue
from shared.signature import distance
from tests.support.model import FLAT, RULES, candidate, policy, sha_of, signature

NEAR, FURTHER = candidate("near.jpg", content="near"), candidate("further.jpg", content="further")
SIGNATURES = {
    sha_of("item"): signature(1),
    NEAR.sha256: signature(1, 4),
    FURTHER.sha256: signature(1, 8),
    sha_of("older"): signature(1, 26),
    sha_of("far"): signature(2),
    sha_of("flat"): FLAT,
}
BOTH = frozenset({"same-bytes", "similar"})
DELETING = policy(action="delete", classes=BOTH)


def due(*stands_for: str, **facts) -> ItemDue:
    values = {
        "item_id": "i1",
        "file": FileRef(root="photos", path="small.jpg"),
        "sha256": sha_of("item"),
        "mtime_ns": NEAR.stat.mtime_ns,
        "stands_for": stands_for,
        "asked_at": 1.0,
    }
    return ItemDue(**(values | facts))


def chosen(question: ItemDue, *files, given=DELETING, busy=()) -> str | None:
    found = stand_in_for(question, files, SIGNATURES, given, busy)
    return None if found is None else found.file.path.rel.decode()


def test_the_nearest_stands_for_it_and_equal_bytes_before_all() -> None:
    assert chosen(due(), FURTHER, NEAR) == "near.jpg"
    assert chosen(due(), FURTHER, NEAR, candidate("same.jpg", content="item")) == "same.jpg"


def test_s1_it_is_measured_directly_against_everything_the_item_stood_for() -> None:
    near, further = (distance(SIGNATURES[f.sha256], SIGNATURES[sha_of("older")]) for f in (NEAR, FURTHER))
    assert near > 0.1 > further, "the nearest is too far from what came before"
    assert chosen(due(sha_of("older")), NEAR, FURTHER) == "further.jpg"
    found = stand_in_for(due(sha_of("older")), [FURTHER], SIGNATURES, DELETING)
    assert found is not None and [c.sha256 for c in found.covers] == [sha_of("older")]
    assert found.covers[0].distance == pytest.approx(further, abs=1e-6)


@pytest.mark.parametrize("stands_for", ["far", "flat", "never decoded"])
def test_s1_what_cannot_be_measured_or_is_far_is_covered_by_nothing(stands_for: str) -> None:
    assert chosen(due(sha_of(stands_for)), NEAR, FURTHER) is None
    assert chosen(due(sha_of(stands_for)), candidate("same.jpg", content="item")) == "same.jpg"


def test_s11_an_item_that_was_never_decoded_here_or_is_flat_has_no_look_alike() -> None:
    assert chosen(due(sha256=sha_of("unknown")), NEAR) is None
    assert chosen(due(sha256=sha_of("flat")), NEAR, candidate("flat.jpg", content="flat 2")) is None


def test_s5_only_allowed_classes_release() -> None:
    exact, similar = policy(action="delete"), policy(action="delete", classes=frozenset({"similar"}))
    same = candidate("same.jpg", content="item")
    assert chosen(due(), NEAR, given=exact) is None
    assert chosen(due(), NEAR, same, given=exact) == "same.jpg"
    assert chosen(due(), NEAR, same, given=similar) == "near.jpg"


@pytest.mark.parametrize("action", ["propose", "move"])
def test_s6_where_deleting_is_not_allowed_nothing_is_released(action: str) -> None:
    assert chosen(due(), NEAR, given=replace(DELETING, action=action)) is None


def test_s3_a_file_that_may_go_itself_stands_for_nothing() -> None:
    assert chosen(due(), NEAR, FURTHER, busy={NEAR.file_id}) == "further.jpg"


def test_s15_a_file_in_doubt_stands_for_nothing() -> None:
    assert chosen(due(), replace(NEAR, doubt="zeros at its end")) is None


def test_s22_roles_and_roots() -> None:
    across = replace(DELETING, bounds=Bounds(max_distance=0.1, across_roots=True, rules=RULES))
    elsewhere = candidate("near.jpg", content="near", root="other")
    assert chosen(due(), elsewhere) is None
    assert chosen(due(), elsewhere, given=across) == "near.jpg"
    for role, here, there in (
        ("library", "near.jpg", "near.jpg"),
        ("reference", "near.jpg", "near.jpg"),
        ("incoming", "near.jpg", None),
        ("backup", None, None),
    ):
        assert chosen(due(), replace(NEAR, role=role), given=across) == here
        assert chosen(due(), replace(elsewhere, role=role), given=across) == there


def test_a_modification_time_beyond_the_limit_is_no_stand_in() -> None:
    limited = replace(DELETING, max_mtime_difference_ns=10)
    assert chosen(due(mtime_ns=NEAR.stat.mtime_ns + 11), NEAR, given=limited) is None
    assert chosen(due(mtime_ns=NEAR.stat.mtime_ns + 10), NEAR, given=limited) == "near.jpg"

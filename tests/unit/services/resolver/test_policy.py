"""The settings in the words of the decisions."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from services.resolver.policy import (
    candidates_of,
    fingerprint_of,
    managed_places,
    policy_of,
    policy_of_request,
    refusal_of,
)
from shared.config import Deduplication, Root, Settings
from shared.messages.requests import ApplyRequested
from tests.support.model import candidate, content, document, signature

ROOTS = (Root(name="photos", path=Path("/srv/photos")), Root(name="phone", path=Path("/srv/phone"), role="incoming"))


def settings(**changes) -> Settings:
    return Settings(roots=ROOTS, **changes)


def apply(**changes) -> ApplyRequested:
    facts = {"action": "move", "classes": ("similar",), "roots": ("photos",), "target": "/t", "at_most": 1}
    return ApplyRequested(request_id="r", **(facts | changes))


def test_what_the_settings_say_is_what_is_decided_by() -> None:
    found = Deduplication(max_distance=0.2, across_roots=True, max_modification_time_difference=timedelta(seconds=2))
    policy = policy_of(settings(deduplication=found, action="move", target="/t"))
    assert (policy.bounds.max_distance, policy.bounds.across_roots) == (0.2, True)
    assert policy.max_mtime_difference_ns == 2_000_000_000
    assert (policy.action, policy.target, policy.classes) == ("move", "/t", {"same-bytes"})


def test_s6_dry_run_always_wins() -> None:
    assert policy_of(settings(action="move", target="/t", dry_run=True)).action == "propose"
    assert "dry_run" in str(refusal_of(apply(), settings(target="/t", dry_run=True)))


def test_a_request_allows_what_a_person_said_and_no_more() -> None:
    policy = policy_of_request(apply(), policy_of(settings(target="/t")))
    assert (policy.action, policy.classes, policy.roots) == ("move", {"similar"}, {"photos"})
    assert policy.confirmed
    assert refusal_of(apply(), settings(target="/t")) is None


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"action": "delete"}, "allow_delete"),
        ({"target": "/elsewhere"}, "/elsewhere"),
        ({"target": None}, "none"),
        ({"roots": ("photos", "unknown")}, "unknown"),
    ],
)
def test_s6_a_request_beyond_the_settings_is_refused_with_the_reason(wrong, word) -> None:
    assert word in str(refusal_of(apply(**wrong), settings(target="/t")))


def test_delete_needs_its_second_permission() -> None:
    assert refusal_of(apply(action="delete", target=None), settings(allow_delete=True)) is None


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("photos:Lightroom/x", {("photos", b"Lightroom/x")}),
        ("/srv/photos/Lightroom", {("photos", b"Lightroom")}),
        ("/srv/photos", {("photos", b"")}),
        ("/srv", {("photos", b""), ("phone", b"")}),
        ("/elsewhere", set()),
        ("/srv/photos2", set()),
    ],
)
def test_s24_managed_folders_are_places_below_the_roots(text, places) -> None:
    assert set(managed_places(settings(managed_folders=(text,)))) == places


def test_the_fingerprint_changes_with_what_decides_and_with_nothing_else() -> None:
    base = fingerprint_of(settings())
    assert base == fingerprint_of(settings(stats_port=9))
    assert base != fingerprint_of(settings(deduplication=Deduplication(max_distance=0.2)))
    assert base != fingerprint_of(settings(action="move", target="/t"))
    assert base != fingerprint_of(Settings(roots=ROOTS[:1]))


def test_s22_files_of_roots_that_are_not_configured_are_nobodys_candidates() -> None:
    mine, strange = candidate("a.jpg"), candidate("b.jpg", root="strange")
    contents = {f.sha256: content(f, signature(1)) for f in (mine, strange)}
    roots = {root.name: root for root in ROOTS}
    assert candidates_of([document(mine), document(strange)], contents, roots) == [mine]

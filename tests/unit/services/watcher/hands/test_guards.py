"""The rules before an act, as hypothesis sees them: any single reason refuses, and only the right one is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.watcher.hands.evidence import (
    ContentFacts,
    Looked,
    PlaceFacts,
    differs,
    judge_contents,
    judge_places,
    untouched,
)
from services.watcher.hands.guards import CLOCK_TOLERANCE, OrderFacts, RootStanding, judge_order
from services.watcher.hands.refusals import Refusal
from shared.messages.base import FileRef, FileStat
from shared.messages.commands import Evidence, TakeFile
from shared.paths import PhotoPath

NOW = 1_000_000.0
MINE = RootStanding(role="library", not_ours=None, overlaps=None, doubt=None)
FACTS = OrderFacts(
    now=NOW,
    acting="move",
    automatic_classes=("same-bytes",),
    target="/target",
    expiry_seconds=3600,
    keeper_age_seconds=3600,
    keeper_known_since=NOW - 3600,
    roots={"a": MINE, "b": MINE},
    restored_pair=False,
    open_files={},
    stands_for=frozenset(),
    victim_known_since=0.0,
    history_unknown_before=0.0,
    breaker=None,
)
STAT = FileStat(size=5, mtime_ns=6, ctime_ns=7, dev=1, ino=2)
OTHER = FileStat(size=5, mtime_ns=6, ctime_ns=7, dev=1, ino=3)


def evidence(root: str = "a", rel: bytes = b"v.jpg", stat: FileStat = STAT, sha256: str = "x") -> Evidence:
    return Evidence(
        file=FileRef.of(PhotoPath(root, rel)),
        size=stat.size,
        mtime_ns=stat.mtime_ns,
        ctime_ns=stat.ctime_ns,
        sha256=sha256,
        dev=stat.dev,
        ino=stat.ino,
        version=1,
    )


def command(**more: Any) -> TakeFile:
    values: dict[str, Any] = {
        "decision_id": "d",
        "batch_id": "b",
        "action": "move",
        "victim": evidence(),
        "keeper": evidence("b", b"k.jpg", OTHER),
        "match_class": "same-bytes",
        "distance": 0.0,
        "expires_at": NOW + 60,
        "target": "/target",
    }
    return TakeFile(**(values | more))


def test_what_nothing_stands_against_passes() -> None:
    assert judge_order(command(), FACTS) is None


NOT_OURS = Refusal(code="not-the-owner", explanation="another")
AGAINST: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("not-allowed-to-act", {"acting": "propose"}, {}),
    ("not-allowed-to-act", {"acting": "delete"}, {}),
    ("target-not-mine", {"target": None}, {}),
    ("target-not-mine", {}, {"target": "/elsewhere"}),
    ("target-not-mine", {}, {"target": None}),
    ("expired", {}, {"expires_at": NOW}),
    ("expired", {}, {"expires_at": NOW + 3600 + CLOCK_TOLERANCE + 1}),
    ("not-my-root", {"roots": {"b": MINE}}, {}),
    ("keeper-out-of-reach", {"roots": {"a": MINE}}, {}),
    ("not-the-owner", {"roots": {"a": replace(MINE, not_ours=NOT_OURS), "b": MINE}}, {}),
    ("not-the-owner", {"roots": {"a": MINE, "b": replace(MINE, not_ours=NOT_OURS)}}, {}),
    ("root-unknown", {"roots": {"a": MINE, "b": replace(MINE, doubt="empty")}}, {}),
    ("roots-overlap", {"roots": {"a": replace(MINE, overlaps="b"), "b": MINE}}, {}),
    ("victim-protected", {"roots": {"a": replace(MINE, role="reference"), "b": MINE}}, {}),
    ("victim-protected", {"roots": {"a": replace(MINE, role="backup"), "b": MINE}}, {}),
    ("keeper-not-live", {"roots": {"a": MINE, "b": replace(MINE, role="backup")}}, {}),
    ("keeper-not-live", {"roots": {"a": MINE, "b": replace(MINE, role="incoming")}}, {}),
    ("same-file", {}, {"keeper": evidence()}),
    ("class-not-allowed", {}, {"match_class": "similar"}),
    ("not-same-bytes", {}, {"keeper": evidence("b", b"k.jpg", OTHER, "y")}),
    ("restored-by-a-person", {"restored_pair": True}, {}),
    ("victim-is-keeper", {"open_files": {PhotoPath("a", b"v.jpg").file_id: "keeper"}}, {}),
    ("victim-elsewhere", {"open_files": {PhotoPath("a", b"v.jpg").file_id: "victim"}}, {}),
    ("keeper-elsewhere", {"open_files": {PhotoPath("b", b"k.jpg").file_id: "victim"}}, {}),
    (
        "history-unknown",
        {"history_unknown_before": NOW, "automatic_classes": ("same-bytes", "similar")},
        {"match_class": "similar", "keeper": evidence("b", b"k.jpg", OTHER, "y")},
    ),
    ("keeper-too-young", {"keeper_known_since": None}, {}),
    ("keeper-too-young", {"keeper_known_since": NOW - 3599}, {}),
    ("breaker-open", {"breaker": "too many"}, {}),
]
#: what a person's confirmation of a batch overrides; everything else stands for everyone
CONFIRMABLE = {"class-not-allowed", "restored-by-a-person", "keeper-too-young", "breaker-open"}


@pytest.mark.parametrize(("code", "facts", "order"), AGAINST)
def test_each_reason_alone_refuses_and_is_named_with_a_sentence(
    code: str, facts: dict[str, Any], order: dict[str, Any]
) -> None:
    refusal = judge_order(command(**order), replace(FACTS, **facts))
    assert refusal is not None
    assert refusal.code == code
    assert len(refusal.explanation) > 5 or code == "breaker-open"


@pytest.mark.parametrize(("code", "facts", "order"), AGAINST)
def test_s13_a_persons_word_overrides_exactly_four_rules(
    code: str, facts: dict[str, Any], order: dict[str, Any]
) -> None:
    refusal = judge_order(command(**order, confirmed=True), replace(FACTS, **facts))
    assert (refusal is None) == (code in CONFIRMABLE)


def _of_one_class(one: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """What is said of the class, and which are allowed, holds for every reason beside it."""
    return {**one, **{name: whole[name] for name in ("match_class", "automatic_classes") if name in whole}}


@example([20, 24], False)
@given(st.lists(st.sampled_from(range(len(AGAINST))), min_size=1, max_size=6, unique=True), st.booleans())
def test_no_combination_of_reasons_passes(which: list[int], confirmed: bool) -> None:
    facts: dict[str, Any] = {}
    order: dict[str, Any] = {}
    for n in which:
        facts |= AGAINST[n][1]
        order |= AGAINST[n][2]
    refusal = judge_order(command(**order, confirmed=confirmed), replace(FACTS, **facts))
    singly = [
        judge_order(
            command(**_of_one_class(AGAINST[n][2], order), confirmed=confirmed),
            replace(FACTS, **_of_one_class(AGAINST[n][1], facts)),
        )
        for n in which
    ]
    overridden = len(facts) + len(order) < sum(len(AGAINST[n][1]) + len(AGAINST[n][2]) for n in which)
    if any(singly) and not overridden:
        assert refusal is not None
        assert refusal.code in {r.code for r in singly if r}


@given(st.frozensets(st.sampled_from("xyzw")), st.sampled_from("xy"), st.sampled_from("xy"))
def test_s1_a_victim_stands_only_for_what_its_keeper_is_measured_against(
    stands_for: frozenset[str], victim: str, keeper: str
) -> None:
    """The keeper was measured against the victim: the contents of the two are all that it can stand for unasked."""
    order = command(
        victim=evidence(sha256=victim),
        keeper=evidence("b", b"k.jpg", OTHER, keeper),
        match_class="similar",
        confirmed=True,
    )
    refusal = judge_order(order, replace(FACTS, stands_for=stands_for))
    assert (refusal is None) == (victim == keeper or stands_for <= {victim, keeper})


# ---- what the disk says -----------------------------------------------------------------------------------------

PLACES = PlaceFacts(
    victim=Looked(stat=STAT),
    keeper=Looked(stat=OTHER),
    victim_place=None,
    keeper_place=None,
    managed=None,
    unit=None,
    victim_names=1,
    maybe_one_file=False,
)


@pytest.mark.parametrize(
    ("code", "facts"),
    [
        (None, {}),
        ("not-live", {"victim_place": "trash"}),
        ("not-live", {"keeper_place": "trash"}),
        ("managed-folder", {"managed": "a:x"}),
        ("part-of-a-unit", {"unit": "v.CR2"}),
        ("victim-gone", {"victim": Looked(stat=None)}),
        ("keeper-gone", {"keeper": Looked(stat=None)}),
        ("victim-unreadable", {"victim": Looked(stat=None, problem="a link")}),
        ("keeper-unreadable", {"keeper": Looked(stat=OTHER, problem="EIO")}),
        ("victim-in-use", {"victim": Looked(stat=STAT, in_use=True)}),
        ("keeper-in-use", {"keeper": Looked(stat=OTHER, in_use=True)}),
        ("maybe-one-file", {"maybe_one_file": True}),
        ("victim-has-other-names", {"victim_names": 2}),
        ("victim-has-other-names", {"victim_names": 0}),
    ],
)
def test_s8_what_the_disk_says_is_named(code: str | None, facts: dict[str, Any]) -> None:
    refusal = judge_places(command(), replace(PLACES, **facts))
    assert (refusal and refusal.code) == code


def test_s4_one_inode_is_one_file() -> None:
    order = command(keeper=evidence("b", b"k.jpg", STAT))
    refusal = judge_places(order, replace(PLACES, keeper=Looked(stat=STAT)))
    assert refusal is not None
    assert refusal.code == "same-file"


@given(st.sampled_from(["size", "mtime_ns", "ctime_ns"]), st.integers(-3, 3))
def test_s8_any_difference_in_stat_is_a_mismatch(field: str, by: int) -> None:
    now = STAT.model_copy(update={field: getattr(STAT, field) + by})
    assert (differs(evidence(), now) is None) == (by == 0)
    assert untouched(STAT, now) == (by == 0)


@given(st.integers(1, 3), st.integers(1, 3))
def test_s8_device_and_inode_mean_something_within_one_mount_only(dev: int, ino: int) -> None:
    """After a remount the device is another one: then the inode is read anew; within an act both must stay."""
    now = STAT.model_copy(update={"dev": dev, "ino": ino})
    assert (differs(evidence(), now) is None) == (dev != STAT.dev or ino == STAT.ino)
    assert untouched(STAT, now) == ((dev, ino) == (STAT.dev, STAT.ino))


@given(st.sampled_from("xy"), st.sampled_from("xy"))
def test_s2_s8_only_the_very_bytes_pass(victim: str, keeper: str) -> None:
    refusal = judge_contents(command(), ContentFacts(victim_sha256=victim, keeper_sha256=keeper))
    assert (refusal is None) == ((victim, keeper) == ("x", "x"))

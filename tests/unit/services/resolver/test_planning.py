"""What the settings and the past make of a star; and the rules that no plan breaks, over random models."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.resolver.checks import PlanBroken, check_parts, check_plan
from services.resolver.planning import LARGEST_DECISION, Decision, Past, Verdict, decision_id, plan
from services.resolver.ranking import Candidate
from shared.bus.topology import LONGEST_STORED
from shared.messages.resolution import GroupDecided
from shared.signature import Signature, distance
from tests.support.messages import envelope_of
from tests.support.model import FLAT, candidate, names, policy, sha_of, signature

NOTHING = Past()
SAME = frozenset({"same-bytes"})
BOTH = frozenset({"same-bytes", "similar"})


def only(decisions: list[Decision]) -> Verdict:
    (decision,) = decisions
    (verdict,) = decision.verdicts
    return verdict


def pair(**changes) -> tuple[list[Candidate], dict[str, Signature]]:
    """A keeper and an exact copy of it."""
    keeper = candidate("a.jpg", content="x")
    return [keeper, candidate("b.jpg", content="x", **changes)], {keeper.sha256: signature(1)}


def similar_pair(**changes) -> tuple[list[Candidate], dict[str, Signature]]:
    keeper, other = candidate("a.jpg"), candidate("b.jpg", pixels=(9, 9), **changes)
    return [keeper, other], {keeper.sha256: signature(1), other.sha256: signature(1, 4)}


def test_the_default_proposes_and_says_why_the_keeper_is_better() -> None:
    verdict = only(plan(*similar_pair(), policy(), NOTHING))
    assert (verdict.action, verdict.match_class, verdict.decided_by) == ("propose", "similar", "higher-pixel-count")
    assert "4000 x 3000 pixels" in verdict.reason


def test_s5_only_allowed_classes_are_acted_on() -> None:
    assert only(plan(*pair(), policy(action="move"), NOTHING)).action == "move"
    refused = only(plan(*similar_pair(), policy(action="move"), NOTHING))
    assert refused.action == "propose"
    assert "not among the classes" in refused.reason
    assert only(plan(*similar_pair(), policy(action="delete", classes=BOTH), NOTHING)).action == "delete"


def test_s23_a_pair_of_two_watchers_is_proposed_only_and_says_why() -> None:
    keeper = candidate("a.jpg", content="x")
    files = [keeper, candidate("b.jpg", content="x", root="attic")]
    signatures = {keeper.sha256: signature(1)}
    same = policy(action="move", across_roots=True, watchers={"photos": "nas", "attic": "nas"})
    assert only(plan(files, signatures, same, NOTHING)).action == "move"
    other = replace(same, watchers={"photos": "nas", "attic": "box"})
    verdict = only(plan(files, signatures, other, NOTHING))
    assert verdict.action == "propose"
    assert verdict.reason.startswith("keeper-out-of-reach: another watcher has root ")
    assert only(plan(files, signatures, replace(other, confirmed=True), NOTHING)).action == "propose"


def test_s23_a_plan_that_acts_across_watchers_is_refused() -> None:
    keeper = candidate("a.jpg", content="x")
    files = [keeper, candidate("b.jpg", content="x", root="attic")]
    signatures = {keeper.sha256: signature(1)}
    decisions = plan(files, signatures, policy(action="move", across_roots=True), NOTHING)
    told = policy(action="move", across_roots=True, watchers={"photos": "nas", "attic": "box"})
    with pytest.raises(PlanBroken, match="S23"):
        check_plan(decisions, signatures, told)


@pytest.mark.parametrize("whose", ["keeper", "victim"])
def test_s15_a_file_in_doubt_is_only_proposed(whose: str) -> None:
    (keeper, victim), signatures = pair()
    files = [
        replace(f, doubt="zeros at its end") if f is (keeper if whose == "keeper" else victim) else f
        for f in (keeper, victim)
    ]
    verdict = only(plan(files, signatures, policy(action="move"), NOTHING))
    assert verdict.action == "propose"
    assert "zeros at its end" in verdict.reason


def test_a_file_modified_too_far_from_its_keeper_is_kept_and_shown() -> None:
    files, signatures = pair(mtime=1_600_000_000.0 - 7_200)
    limit = round(timedelta(hours=1).total_seconds() * 1e9)
    verdict = only(plan(files, signatures, policy(action="move", max_mtime_difference_ns=limit), NOTHING))
    assert verdict.action == "propose"
    assert verdict.reason == "kept: modified 7200 s from the keeper, the limit is 3600 s"
    assert (
        only(plan(files, signatures, policy(action="move", max_mtime_difference_ns=limit * 2), NOTHING)).action
        == "move"
    )


def test_s24_a_managed_folder_is_only_proposed() -> None:
    keeper, victim = candidate("a.jpg", content="x"), candidate("sync/phone/b.jpg", content="x")
    signatures = {keeper.sha256: signature(1)}
    for managed, action in (
        (("photos", b"sync"), "propose"),
        (("photos", b"syn"), "move"),
        (("photos", b""), "propose"),
    ):
        assert (
            only(plan([keeper, victim], signatures, policy(action="move", managed=(managed,)), NOTHING)).action
            == action
        )


@pytest.mark.parametrize(
    ("managed", "allowed", "action"),
    [
        ([b""], [], "propose"),
        ([b""], [b""], "move"),
        ([b""], [b"sync"], "move"),
        ([b""], [b"sync/phone"], "move"),
        ([b""], [b"other"], "propose"),
        ([b"sync"], [b"sync"], "move"),
        ([b"sync"], [b""], "propose"),
        ([b"", b"sync"], [b""], "propose"),
        ([b"", b"sync"], [b"", b"sync"], "move"),
        ([b"", b"sync"], [b"sync"], "move"),
        ([b"sync", b"sync/phone"], [b"sync"], "propose"),
    ],
)
def test_s24_a_word_opens_its_folder_and_no_managed_one_inside(managed, allowed, action) -> None:
    keeper, victim = candidate("a.jpg", content="x"), candidate("sync/phone/b.jpg", content="x")
    places = {"managed": [("photos", f) for f in managed], "allowed": [("photos", f) for f in allowed]}
    given = policy(action="move", managed=tuple(places["managed"]), allowed=frozenset(places["allowed"]))
    found = plan([keeper, victim], {keeper.sha256: signature(1)}, given, NOTHING)
    assert only(found).action == action


def test_only_files_of_the_roots_in_the_request_are_acted_on() -> None:
    files, signatures = pair()
    there = only(plan(files, signatures, policy(action="move", roots=frozenset({"photos"})), NOTHING))
    elsewhere = only(plan(files, signatures, policy(action="move", roots=frozenset({"other"})), NOTHING))
    assert (there.action, elsewhere.action) == ("move", "propose")


def test_s22_a_file_that_ranks_above_its_reference_is_not_acted_on() -> None:
    reference = candidate("r.jpg", root="archive", role="reference", pixels=(100, 100))
    better = candidate("b.jpg", pixels=(4_000, 3_000))
    signatures = {reference.sha256: signature(1), better.sha256: signature(1, 4)}
    acting = policy(action="move", classes=BOTH, across_roots=True)
    verdict = only(plan([reference, better], signatures, acting, NOTHING))
    assert (verdict.action, verdict.decided_by) == ("propose", "role")


def test_s12_what_a_person_put_back_is_only_proposed_until_a_person_asks() -> None:
    files, signatures = pair()
    past = Past(restored=frozenset({(files[1].sha256, files[0].sha256)}))
    assert only(plan(files, signatures, policy(action="move"), past)).action == "propose"
    assert only(plan(files, signatures, policy(action="move", confirmed=True), past)).action == "move"


class TestS1OverTime:
    """A keeper stands for every victim it ever replaced."""

    acting = policy(action="move", classes=BOTH)

    def verdict(self, place_of_keeper: int, replaced_at: int, **changes) -> Verdict:
        victim = candidate("v.jpg", pixels=(9, 9))
        keeper = candidate("k.jpg")
        signatures = {victim.sha256: signature(1, 16), keeper.sha256: signature(1, place_of_keeper)}
        past = Past(replaced={victim.sha256: {sha_of("earlier"): signature(1, replaced_at)}})
        return only(plan([victim, keeper], signatures, replace(self.acting, **changes), past))

    def test_s1_the_new_keeper_is_near_the_earlier_victim_too(self) -> None:
        assert self.verdict(place_of_keeper=8, replaced_at=4).action == "move"

    def test_s1_the_new_keeper_is_far_from_the_earlier_victim(self) -> None:
        verdict = self.verdict(place_of_keeper=30, replaced_at=4)
        assert verdict.action == "propose"
        assert "taken earlier" in verdict.reason

    def test_s1_a_person_cannot_confirm_it_away(self) -> None:
        assert self.verdict(place_of_keeper=30, replaced_at=4, confirmed=True).action == "propose"

    def test_s1_the_same_bytes_stand_for_the_same(self) -> None:
        files, signatures = pair()
        past = Past(replaced={files[1].sha256: {sha_of("earlier"): signature(2)}}, unknown_before=99.0)
        assert only(plan(files, signatures, policy(action="move"), past)).action == "move"

    def test_s1_what_is_not_remembered_is_only_proposed(self) -> None:
        files, signatures = similar_pair(known_since=50.0)
        acting = policy(action="move", classes=BOTH)
        assert only(plan(files, signatures, acting, Past(unknown_before=51.0))).action == "propose"
        assert only(plan(files, signatures, acting, Past(unknown_before=50.0))).action == "move"


class TestSplitForActing:
    """Exact copies of each other in a star in which they are only similar to the keeper (S3)."""

    def files(self) -> tuple[list[Candidate], dict[str, Signature]]:
        keeper = candidate("k.jpg", pixels=(8_000, 6_000))
        v1 = candidate("v1.jpg")
        v2, v3 = candidate("v2.jpg", content="v"), candidate("v3.jpg", content="v")
        signatures = {keeper.sha256: signature(1), v1.sha256: signature(1, 4), v2.sha256: signature(1, 8)}
        return [keeper, v1, v2, v3], signatures

    def parts(self, action: str, classes: frozenset[str]) -> dict[str, list[str]]:
        decisions = plan(*self.files(), policy(action=action, classes=classes), NOTHING)
        return {names([d.keeper])[0]: names(v.file for v in d.verdicts) for d in decisions}

    def test_s3_exact_copies_get_a_keeper_of_their_own(self) -> None:
        assert self.parts("move", SAME) == {"k.jpg": ["v1.jpg"], "v2.jpg": ["v3.jpg"]}

    def test_a_proposal_shows_the_whole_star(self) -> None:
        assert self.parts("propose", SAME) == {"k.jpg": ["v1.jpg", "v2.jpg", "v3.jpg"]}

    def test_where_similar_is_allowed_the_star_stays_whole(self) -> None:
        assert self.parts("move", BOTH) == {"k.jpg": ["v1.jpg", "v2.jpg", "v3.jpg"]}


def test_the_same_decision_has_the_same_id_and_a_changed_one_another() -> None:
    files, signatures = pair()

    def base(*, version: int = 1, **changes) -> str:
        changed = [files[0], replace(files[1], version=version)]
        (decision,) = plan(changed, signatures, policy(**changes), NOTHING)
        return decision.base_id

    assert base() == base()
    assert len({base(), base(version=2), base(action="move")}) == 3
    assert decision_id(base(), 0) != decision_id(base(), 1)


def test_a_group_too_large_for_a_message_is_told_in_several_with_one_keeper() -> None:
    files = [candidate(b"\x01\xff" * 1_500 + b"%04d" % n, content="x") for n in range(120)]
    decisions = plan(files, {files[0].sha256: signature(1)}, policy(), NOTHING)
    assert len(decisions) > 1
    assert len({d.keeper.file_id for d in decisions}) == 1
    assert sum(len(d.verdicts) for d in decisions) == 119
    check_plan(decisions, {files[0].sha256: signature(1)}, policy())
    for decision in decisions:
        encoded = envelope_of(decision.message("d", 0.0)).model_dump_json().encode()
        assert len(encoded) < LONGEST_STORED
        assert len(encoded) < LARGEST_DECISION * 1.2


def test_a_decision_is_a_message_with_all_that_was_decided() -> None:
    (decision,) = plan(*similar_pair(), policy(), NOTHING)
    message = decision.message("d1", 5.0)
    assert GroupDecided.model_validate_json(message.model_dump_json()) == message
    assert message.keeper.file.path == "a.jpg"
    assert message.duplicates[0].distance == pytest.approx(0.05, abs=0.03)


class TestCheckPlan:
    """It objects to what a plan must never be (each rule broken by hand)."""

    def broken(self, keeper: Candidate, victim: Candidate, *, acting=None, signatures=None, **changes) -> None:
        facts = {"distance": 0.0, "match_class": "same-bytes", "decided_by": "path", "action": "propose", "reason": ""}
        decision = Decision(keeper=keeper, verdicts=(Verdict(file=victim, **(facts | changes)),))
        check_plan([decision], signatures or {}, acting or policy(across_roots=True))

    def test_s1_a_class_that_is_not_true(self) -> None:
        with pytest.raises(PlanBroken, match="S1"):
            self.broken(candidate("a.jpg"), candidate("b.jpg"))

    def test_s1_a_distance_beyond_the_threshold_whatever_the_plan_says(self) -> None:
        a, b = candidate("a.jpg"), candidate("b.jpg")
        with pytest.raises(PlanBroken, match="S1"):
            self.broken(a, b, match_class="similar", signatures={a.sha256: signature(1), b.sha256: signature(2)})

    def test_s1_a_flat_picture(self) -> None:
        a, b = candidate("a.jpg"), candidate("b.jpg")
        everything = policy(max_distance=1.0)
        with pytest.raises(PlanBroken, match="S1"):
            self.broken(a, b, match_class="similar", acting=everything, signatures={a.sha256: FLAT, b.sha256: FLAT})

    @pytest.mark.parametrize(
        ("keeper_role", "victim_role"),
        [("library", "reference"), ("library", "backup"), ("backup", "library"), ("incoming", "library")],
    )
    def test_s22_roles(self, keeper_role, victim_role) -> None:
        keeper = candidate("a.jpg", root="one", role=keeper_role, content="x")
        with pytest.raises(PlanBroken, match="S22"):
            self.broken(keeper, candidate("b.jpg", root="two", role=victim_role, content="x"))

    def test_s22_roots_that_are_not_joined(self) -> None:
        keeper, victim = candidate("a.jpg", root="one", content="x"), candidate("b.jpg", root="two", content="x")
        with pytest.raises(PlanBroken, match="S22"):
            self.broken(keeper, victim, acting=policy())

    def test_s4_one_file(self) -> None:
        with pytest.raises(PlanBroken, match="S4"):
            self.broken(candidate("a.jpg", content="x", ino=1), candidate("b.jpg", content="x", ino=1))

    def test_s5_a_class_that_is_not_allowed(self) -> None:
        a, b = candidate("a.jpg"), candidate("b.jpg")
        same = {a.sha256: signature(1), b.sha256: signature(1)}
        with pytest.raises(PlanBroken, match="S5"):
            self.broken(a, b, match_class="similar", action="move", acting=policy(action="move"), signatures=same)

    def test_s2_an_empty_list(self) -> None:
        with pytest.raises(PlanBroken, match="S2"):
            check_plan([Decision(keeper=candidate("a.jpg"), verdicts=())], {}, policy())

    @pytest.mark.parametrize(
        "parts",
        [
            [("a", ["b"]), ("b", ["c"])],
            [("b", ["c"]), ("a", ["b"])],
            [("a", ["c"]), ("b", ["c"])],
            [("a", ["c", "c"])],
            [("a", ["a"])],
        ],
    )
    def test_s3_a_file_in_two_parts(self, parts) -> None:
        with pytest.raises(PlanBroken, match="S3"):
            check_parts(parts)

    def test_one_keeper_may_stand_in_several_decisions(self) -> None:
        check_parts([("a", ["b"]), ("a", ["c"])])


# random models

ROLES = {"lib": "library", "ref": "reference", "inc": "incoming", "bak": "backup"}


@st.composite
def models(draw) -> tuple[list[Candidate], dict[str, Signature]]:
    """Files of a few contents on a line, in roots of every role, some in doubt, some hard links."""
    files, signatures = [], {}
    for n in range(draw(st.integers(2, 10))):
        place = draw(st.sampled_from([0, 0, 8, 16, 24, 32, 40, 200]))
        root = draw(st.sampled_from(["lib", "lib", "lib2", "ref", "inc", "bak"]))
        files.append(
            candidate(
                f"{n}.jpg",
                content=f"{place}",
                root=root,
                role=ROLES.get(root, "library"),
                pixels=(draw(st.integers(1, 3)), 1),
                mtime=draw(st.sampled_from([1_000.0, 9_000.0])),
                doubt=draw(st.sampled_from([None, None, None, "odd"])),
                ino=draw(st.sampled_from([n, n, n, 0])),
            )
        )
        signatures[sha_of(f"{place}")] = FLAT if place == 200 else signature(1, place)
    return files, signatures


policies = st.builds(
    policy,
    max_distance=st.sampled_from([0.0, 0.06, 0.10, 0.2, 1.0]),
    across_roots=st.booleans(),
    action=st.sampled_from(["propose", "move", "delete"]),
    classes=st.sampled_from([SAME, BOTH, frozenset()]),
    max_mtime_difference_ns=st.sampled_from([None, 10**12]),
    confirmed=st.booleans(),
)


@settings(max_examples=1_000, deadline=None)
@given(models(), policies, st.randoms(use_true_random=False))
def test_s1_s2_s3_s22_no_plan_breaks_a_rule_whatever_the_files_and_their_order(model, allowed, random) -> None:
    files, signatures = model
    shuffled = random.sample(files, len(files))
    decisions = plan(shuffled, signatures, allowed, NOTHING)
    check_plan(decisions, signatures, allowed)
    assert [d.base_id for d in decisions] == [d.base_id for d in plan(files, signatures, allowed, NOTHING)]


@settings(max_examples=500, deadline=None)
@given(models(), policies)
def test_s2_every_photo_that_is_acted_on_keeps_a_live_file_near_it(model, allowed) -> None:
    """Not by the plan's own word: simulate the acts, then look for what is left."""
    files, signatures = model
    taken = {
        v.file.file_id: (v.file, d.keeper)
        for d in plan(files, signatures, allowed, NOTHING)
        for v in d.verdicts
        if v.action != "propose"
    }
    left = {f.file_id for f in files} - set(taken)
    for victim, keeper in taken.values():
        assert keeper.file_id in left
        assert victim.role in ("library", "incoming")
        assert victim.sha256 == keeper.sha256 or (
            distance(signatures[victim.sha256], signatures[keeper.sha256]) <= allowed.bounds.max_distance
            and not signatures[victim.sha256].is_featureless
        )


arrivals = st.lists(st.tuples(st.sampled_from([0, 8, 16, 24, 32]), st.integers(1, 9)), min_size=2, max_size=7)


@settings(max_examples=500, deadline=None)
@given(arrivals)
def test_s1_over_time_every_photo_ever_taken_keeps_a_file_near_it(places_and_pixels) -> None:
    """Files arrive one by one, and every plan is carried out at once; nothing may drift along a chain."""
    acting = policy(action="move", classes=BOTH)
    signatures = {sha_of(str(place)): signature(1, place) for place, _ in places_and_pixels}
    replaced: dict[str, dict[str, Signature]] = {}
    present: list[Candidate] = []
    taken: list[Candidate] = []
    for n, (place, pixels) in enumerate(places_and_pixels):
        present.append(candidate(f"{n}.jpg", content=str(place), pixels=(pixels, 1)))
        for decision in plan(present, signatures, acting, Past(replaced=replaced)):
            for file in (v.file for v in decision.verdicts if v.action == "move"):
                present = [f for f in present if f.file_id != file.file_id]
                taken.append(file)
                mine = replaced.setdefault(decision.keeper.sha256, {})
                mine[file.sha256] = signatures[file.sha256]
                mine |= replaced.get(file.sha256, {})
    for file in taken:
        gaps = [distance(signatures[other.sha256], signatures[file.sha256]) for other in present]
        assert min(gaps) <= acting.bounds.max_distance

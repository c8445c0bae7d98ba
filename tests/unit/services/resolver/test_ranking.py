"""Every rule under its name, with the right sense; a total order."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.resolver.ranking import (
    BY_PATH,
    BY_ROLE,
    RULES,
    UnknownRule,
    decided_by,
    rank,
    rules_named,
    why,
)
from shared.settings_rules import DEFAULT_RULES, RULE_NAMES
from tests.support.model import candidate, names

BASE = candidate("a.jpg")

#: rule: what the keeper has, what the other has
SENSES = {
    "higher-pixel-count": (candidate("z.jpg", pixels=(4_000, 3_000)), candidate("a.jpg", pixels=(3_000, 3_000))),
    "lower-pixel-count": (candidate("z.jpg", pixels=(3_000, 3_000)), candidate("a.jpg", pixels=(4_000, 3_000))),
    "more-exif-data": (candidate("z.jpg", exif=11), candidate("a.jpg", exif=10)),
    "less-exif-data": (candidate("z.jpg", exif=9), candidate("a.jpg", exif=10)),
    "bigger-file-size": (candidate("z.jpg", size=11), candidate("a.jpg", size=10)),
    "smaller-file-size": (candidate("z.jpg", size=9), candidate("a.jpg", size=10)),
    "newer-file-modification-date": (candidate("z.jpg", mtime=2_000), candidate("a.jpg", mtime=1_000)),
    "older-file-modification-date": (candidate("z.jpg", mtime=1_000), candidate("a.jpg", mtime=2_000)),
    "smaller-distance": (candidate("z.jpg", distance=0.01), candidate("a.jpg", distance=0.02)),
    "bigger-distance": (candidate("z.jpg", distance=0.02), candidate("a.jpg", distance=0.01)),
    "doesnt-contain-copy-in-file-name": (candidate("z.jpg"), candidate("a - Copy.jpg")),
    "contains-copy-in-file-name": (candidate("z.jpg"), candidate("a - COPY.jpg")),
    "longer-file-name": (candidate("z-edited.jpg"), candidate("a.jpg")),
    "shorter-file-name": (candidate("z.jpg"), candidate("a-edited.jpg")),
    "longer-folder-path": (candidate("2019/07/z.jpg"), candidate("2019/abcdefgh.jpg")),
    "shorter-folder-path": (candidate("z/zzzzzzzzzz.jpg"), candidate("a/b/c.jpg")),
    "longer-path": (candidate("z/zz.jpg"), candidate("a/a.jpg")),
    "shorter-path": (candidate("z/z.jpg"), candidate("a/aa.jpg")),
    "higher-score": (candidate("z.jpg", distance=0.01), candidate("a.jpg", distance=0.02)),
    "lower-score": (candidate("z.jpg", distance=0.02), candidate("a.jpg", distance=0.01)),
}


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_keeps_what_its_name_says(name: str) -> None:
    keeper, other = SENSES[name]
    rules = rules_named([name])
    assert rank([other, keeper], rules)[0] is keeper
    assert decided_by(keeper, other, rules) == name
    assert name in why(keeper, other, rules)


def test_every_setting_has_its_rule_and_its_example() -> None:
    assert set(RULES) == set(RULE_NAMES) == set(SENSES)


def test_what_is_equal_for_one_rule_is_left_to_the_next() -> None:
    keeper, other = candidate("z.jpg", size=11, exif=5), candidate("a.jpg", size=10, exif=9)
    assert decided_by(keeper, other, rules_named(["higher-pixel-count", "bigger-file-size"])) == "bigger-file-size"
    assert rank([other, keeper], rules_named(["more-exif-data", "bigger-file-size"]))[0] is other


def test_the_path_decides_last() -> None:
    a, b = candidate("a.jpg", ino=1), candidate("b.jpg", ino=2)
    assert names(rank([b, a], rules_named(DEFAULT_RULES))) == ["a.jpg", "b.jpg"]
    assert decided_by(a, b, rules_named(DEFAULT_RULES)) == BY_PATH
    assert "path" in why(a, b, rules_named(DEFAULT_RULES))


def test_s22_the_root_has_the_word_before_any_rule() -> None:
    reference = candidate("small.jpg", root="archive", role="reference", pixels=(100, 100))
    library = candidate("large.jpg", root="photos")
    incoming = candidate("larger.jpg", root="phone", role="incoming", pixels=(9_000, 9_000))
    ranked = rank([incoming, library, reference], rules_named(DEFAULT_RULES))
    assert names(ranked) == ["small.jpg", "large.jpg", "larger.jpg"]
    assert decided_by(reference, library, rules_named(DEFAULT_RULES)) == BY_ROLE
    assert "reference" in why(reference, library, rules_named(DEFAULT_RULES))


def test_the_rule_is_named_where_it_agrees_with_the_role() -> None:
    reference = candidate("a.jpg", root="archive", role="reference", pixels=(5_000, 5_000))
    assert decided_by(reference, candidate("b.jpg"), rules_named(DEFAULT_RULES)) == "higher-pixel-count"


def test_lengths_are_counted_in_characters_not_bytes() -> None:
    accents, plain = candidate("ééé.jpg"), candidate("abcde.jpg")
    assert rank([accents, plain], rules_named(["longer-file-name"]))[0] is plain


def test_a_folder_path_is_as_long_as_a_person_sees_it() -> None:
    deep = candidate("a.jpg", root="one", root_folder=b"/mnt/a/very/long/way/down")
    flat = candidate("x/b.jpg", root="two", root_folder=b"/srv")
    assert rank([deep, flat], rules_named(["shorter-folder-path"]))[0] is flat


def test_a_modification_time_outside_the_calendar_is_still_said() -> None:
    odd = replace(BASE, stat=BASE.stat.model_copy(update={"mtime_ns": 10**21}))
    assert "9999" in why(odd, candidate("b.jpg"), rules_named(["newer-file-modification-date"]))


def test_two_times_in_one_second_are_told_apart_by_what_is_shown() -> None:
    rules = rules_named(["newer-file-modification-date"])
    newer = replace(BASE, stat=BASE.stat.model_copy(update={"mtime_ns": 1_700_000_000_250_000_000}))
    older = replace(candidate("b.jpg"), stat=BASE.stat.model_copy(update={"mtime_ns": 1_700_000_000_000_000_009}))
    assert why(newer, older, rules) == (
        "newer-file-modification-date: the keeper has modification time 2023-11-14 22:13:20.250000000 UTC, "
        "this one modification time 2023-11-14 22:13:20.000000009 UTC"
    )
    much_older = replace(older, stat=BASE.stat.model_copy(update={"mtime_ns": 1_600_000_000 * 10**9}))
    assert "2023-11-14 22:13:20 UTC, this one modification time 2020-09-13 12:26:40 UTC" in why(
        newer, much_older, rules
    )


@given(st.sampled_from(["smaller-distance", "higher-score"]), st.integers(1, 10**6))
def test_what_decides_is_never_shown_as_the_same(name: str, billionths: int) -> None:
    near, far = replace(BASE, distance=0.05), replace(candidate("b.jpg"), distance=0.05 + billionths * 1e-9)
    keeper, other = rank([near, far], rules_named([name]))
    mine, its = why(keeper, other, rules_named([name])).split("the keeper has ")[1].split(", this one ")
    assert mine != its


def test_one_tag_is_one_tag() -> None:
    said = why(candidate("a.jpg", exif=1), candidate("b.jpg", exif=0), rules_named(["more-exif-data"]))
    assert said.endswith("the keeper has 1 EXIF tag, this one 0 EXIF tags")


def test_an_unknown_rule_is_named_with_those_that_exist() -> None:
    with pytest.raises(UnknownRule, match=r"nicest-photo.*higher-pixel-count"):
        rules_named(["nicest-photo"])


FEW = st.integers(0, 2)


@given(
    st.lists(st.tuples(FEW, FEW, FEW, FEW, st.sampled_from(["", "copy", "é"])), min_size=2, max_size=5),
    st.permutations(sorted(RULES)).map(lambda names: names[:6]),
    st.randoms(use_true_random=False),
)
def test_the_same_files_in_any_order_give_the_same_keeper(features, rule_names, random) -> None:
    files = [
        candidate(f"{'d' * d}/{n}{i}.jpg" if d else f"{n}{i}.jpg", pixels=(p + 1, 1), exif=e, size=s)
        for i, (p, e, s, d, n) in enumerate(features)
    ]
    rules = rules_named(rule_names)
    expected = names(rank(files, rules))
    for order in itertools.permutations(files) if len(files) <= 4 else [random.sample(files, len(files))]:
        assert names(rank(order, rules)) == expected


@given(st.permutations(sorted(RULES)))
def test_who_ranks_first_is_preferred_by_the_rule_that_is_named(rule_names) -> None:
    rules = rules_named(rule_names)
    files = [*SENSES["longer-file-name"], *SENSES["doesnt-contain-copy-in-file-name"], *SENSES["more-exif-data"]]
    ranked = rank({f.file_id: f for f in files}.values(), rules)
    for keeper, other in itertools.combinations(ranked, 2):
        name = decided_by(keeper, other, rules)
        assert name == BY_PATH or RULES[name].key(keeper) < RULES[name].key(other)

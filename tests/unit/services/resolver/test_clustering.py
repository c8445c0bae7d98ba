"""Stars, never chains; bytes, roles and names of one file."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.resolver.clustering import Geometry, Star, may_stand_for, stars, with_distances
from services.resolver.ranking import Candidate
from shared.signature import Signature, distance
from tests.support.model import FLAT, bounds, candidate, names, sha_of, signature


def found(files: list[Candidate], signatures: dict[str, Signature], **limits) -> dict[str, list[str]]:
    """Keeper's name -> followers' names."""
    result = stars(files, signatures, bounds(**limits))
    return {names([s.keeper])[0]: names(f.file for f in s.followers) for s in result}


def on_a_line(*places: int, **changes) -> tuple[list[Candidate], dict[str, Signature]]:
    """Pictures of one scene; two are near (0.10) where their places differ by at most 17. Earlier ones rank better."""
    files = [
        candidate(f"{i}-at-{place}.jpg", content=f"at-{place}", pixels=(1_000 - i, 100), **changes)
        for i, place in enumerate(places)
    ]
    return files, {sha_of(f"at-{place}"): signature(1, place) for place in places}


def test_s1_a_chain_keeps_both_ends() -> None:
    files, signatures = on_a_line(0, 16, 32)
    assert distance(signatures[files[0].sha256], signatures[files[1].sha256]) <= 0.10
    assert distance(signatures[files[0].sha256], signatures[files[2].sha256]) > 0.10
    assert found(files, signatures) == {"0-at-0.jpg": ["1-at-16.jpg"]}


def test_s1_the_middle_of_a_chain_may_keep_both_neighbours() -> None:
    files, signatures = on_a_line(16, 0, 32)
    assert found(files, signatures) == {"0-at-16.jpg": ["1-at-0.jpg", "2-at-32.jpg"]}


def test_what_is_left_of_a_group_forms_stars_of_its_own() -> None:
    files, signatures = on_a_line(0, 16, 32, 48)
    assert found(files, signatures) == {"0-at-0.jpg": ["1-at-16.jpg"], "2-at-32.jpg": ["3-at-48.jpg"]}


def test_two_scenes_are_two_groups() -> None:
    a, b = candidate("a.jpg", pixels=(9, 9)), candidate("b.jpg")
    c, d = candidate("c.jpg", pixels=(9, 9)), candidate("d.jpg")
    signatures = {a.sha256: signature(1), b.sha256: signature(1, 4), c.sha256: signature(2), d.sha256: signature(2, 4)}
    assert found([a, b, c, d], signatures) == {"b.jpg": ["a.jpg"], "d.jpg": ["c.jpg"]}


def test_the_threshold_itself_is_within() -> None:
    files, signatures = on_a_line(0, 9)
    gap = distance(*signatures.values())
    assert found(files, signatures, max_distance=gap)
    assert not found(files, signatures, max_distance=np.nextafter(gap, 0))


def test_equal_bytes_are_a_class_of_their_own_at_distance_zero() -> None:
    files, signatures = on_a_line(0, 0, 9)
    (star,) = stars(files, signatures, bounds())
    assert [(f.match_class, f.distance > 0) for f in star.followers] == [("same-bytes", False), ("similar", True)]


def test_equal_pictures_in_other_bytes_are_similar() -> None:
    a, b = candidate("a.jpg"), candidate("b.jpg")
    (star,) = stars([a, b], {a.sha256: signature(1), b.sha256: signature(1)}, bounds(max_distance=0.0))
    assert [(f.match_class, f.distance) for f in star.followers] == [("similar", 0.0)]


def test_flat_pictures_match_by_bytes_alone_at_any_threshold() -> None:
    a, b, other = candidate("a.jpg", content="f"), candidate("b.jpg", content="f"), candidate("c.jpg")
    photo = candidate("d.jpg")
    signatures = {a.sha256: FLAT, other.sha256: FLAT, photo.sha256: signature(1)}
    assert found([a, b, other, photo], signatures, max_distance=1.0) == {"a.jpg": ["b.jpg"]}


def test_s4_two_names_of_one_file_are_no_duplicates_of_each_other() -> None:
    a, b = candidate("a.jpg", content="x", ino=7), candidate("b.jpg", content="x", ino=7)
    assert found([a, b], {a.sha256: signature(1)}) == {}
    third = candidate("c.jpg", content="x", ino=8)
    assert found([a, b, third], {a.sha256: signature(1)}) == {"a.jpg": ["c.jpg"]}


def test_roots_keep_to_themselves_unless_they_are_joined() -> None:
    a, b = candidate("a.jpg", root="one", content="x"), candidate("b.jpg", root="two", content="x")
    signatures = {a.sha256: signature(1)}
    assert found([a, b], signatures) == {}
    assert found([a, b], signatures, across_roots=True) == {"a.jpg": ["b.jpg"]}


def test_a_mean_distance_knows_nothing_of_roots_that_are_not_joined() -> None:
    files, signatures = on_a_line(0, 9)
    stranger = candidate("s.jpg", root="other", content="at-20")
    signatures[stranger.sha256] = signature(1, 20)
    alone = stars(files, signatures, bounds())
    assert stars([*files, stranger], signatures, bounds()) == alone


def test_s22_a_reference_is_a_keeper_and_never_a_duplicate() -> None:
    reference = candidate("r.jpg", root="archive", role="reference", content="x", pixels=(10, 10))
    twin = candidate("t.jpg", root="archive", role="reference", content="x", pixels=(10, 10))
    library = candidate("l.jpg", content="x")
    signatures = {library.sha256: signature(1)}
    assert found([library, twin, reference], signatures, across_roots=True) == {"r.jpg": ["l.jpg"]}
    assert found([twin, reference], signatures, across_roots=True) == {}


def test_s22_a_backup_is_neither() -> None:
    backup = candidate("b.jpg", root="backup", role="backup", content="x")
    other = candidate("c.jpg", root="backup", role="backup", content="x")
    library = candidate("l.jpg", content="x")
    assert found([backup, other, library], {library.sha256: signature(1)}, across_roots=True) == {}


def test_s22_an_incoming_file_keeps_only_what_came_with_it() -> None:
    upload = {"root": "phone", "role": "incoming", "content": "x"}
    one, two = candidate("1.jpg", **upload), candidate("2.jpg", **upload)
    library = candidate("l.jpg", content="x")
    other_phone = candidate("o.jpg", root="tablet", role="incoming", content="x")
    signatures = {library.sha256: signature(1)}
    assert found([one, two], signatures, across_roots=True) == {"1.jpg": ["2.jpg"]}
    assert found([one, library], signatures, across_roots=True) == {"l.jpg": ["1.jpg"]}
    assert found([one, other_phone], signatures, across_roots=True) == {}


def test_mean_distances_are_over_the_other_files_of_the_group() -> None:
    files, signatures = on_a_line(0, 0, 16)
    gap = distance(*signatures.values())
    ranked = with_distances(files, Geometry(signatures, signatures))
    assert [f.distance for f in ranked] == [round(gap / 2, 9), round(gap / 2, 9), round(gap, 9)]


def test_the_geometry_is_the_reference_distance() -> None:
    signatures = {sha_of(str(n)): signature(n % 3, n) for n in range(20)} | {sha_of("flat"): FLAT}
    geometry = Geometry(signatures, signatures)
    rows = geometry.rows(np.arange(len(signatures)))
    for i, a in enumerate(geometry.hashes):
        for j, b in enumerate(geometry.hashes):
            flat = FLAT in (signatures[a], signatures[b])
            expected = 0.0 if i == j else np.inf if flat else distance(signatures[a], signatures[b])
            assert rows[i, j] == expected


def test_a_group_of_thousands_is_whole_and_quick() -> None:
    files, signatures = [], {}
    rng = np.random.default_rng(5)
    centre = signature(1).values
    for n in range(3_000):
        values = centre.copy()
        values[rng.integers(0, 272, 4)] = 0
        file = candidate(f"{n:04}.jpg", pixels=(10_000 - n, 10))
        files.append(file)
        signatures[file.sha256] = Signature(values.tobytes())
    began = time.monotonic()
    (star,) = stars(files, signatures, bounds(max_distance=0.2))
    assert len(star.followers) == 2_999
    assert time.monotonic() - began < 20


@given(st.lists(st.integers(0, 70), min_size=2, max_size=7), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(places: list[int], random) -> None:
    files, signatures = on_a_line(*places)
    shuffled = random.sample(files, len(files))
    assert stars(shuffled, signatures, bounds()) == stars(files, signatures, bounds())


@given(st.lists(st.integers(0, 70), min_size=2, max_size=9))
def test_s1_every_follower_is_near_its_own_keeper_and_stands_once(places: list[int]) -> None:
    files, signatures = on_a_line(*places)
    result = stars(files, signatures, bounds())
    parts = [f.file_id for s in result for f in (s.keeper, *(x.file for x in s.followers))]
    assert len(parts) == len(set(parts))
    for star in result:
        for follower in star.followers:
            gap = distance(signatures[star.keeper.sha256], signatures[follower.file.sha256])
            assert gap <= 0.10
            assert follower.distance == round(gap, 9)


@given(st.lists(st.integers(0, 70), min_size=2, max_size=9))
def test_nothing_that_could_be_a_duplicate_is_left_out(places: list[int]) -> None:
    """Whoever is in no star, or is a keeper, is near no keeper."""
    files, signatures = on_a_line(*places)
    result = stars(files, signatures, bounds())
    taken = {f.file.file_id for s in result for f in s.followers}
    kept = [f for f in files if f.file_id not in taken]
    for i, a in enumerate(kept):
        for b in kept[i + 1 :]:
            assert a.sha256 != b.sha256
            assert distance(signatures[a.sha256], signatures[b.sha256]) > 0.10


def test_a_file_never_stands_for_itself() -> None:
    file = candidate("a.jpg")
    assert not may_stand_for(file, file, bounds())


def test_a_star_reads_the_same_every_time() -> None:
    files, signatures = on_a_line(0, 9, 4, 4)
    (star,) = stars(files, signatures, bounds())
    assert isinstance(star, Star)
    assert [f.distance for f in star.followers] == sorted(f.distance for f in star.followers)

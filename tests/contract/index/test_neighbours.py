"""I4: what ``neighbours`` says is what comparing with every signature one by one says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.index.port import Index, Neighbours
from shared.signature import COMPACT, Signature, distances
from tests.contract.index.conftest import NewPlace
from tests.support.index import content, hash_of, signature_of

FEATURELESS = Signature(bytes(COMPACT))


def by_brute_force(query: Signature, stored: list[Signature], max_distance: float) -> dict[str, float]:
    if query.is_featureless or not stored:
        return {}
    found = distances(query, np.stack([signature.values for signature in stored]))
    return {
        hash_of(n): float(distance)
        for n, (signature, distance) in enumerate(zip(stored, found, strict=True))
        if distance <= max_distance and not signature.is_featureless
    }


def same(answer: Neighbours, expected: dict[str, float]) -> bool:
    far = [distance for _, distance in answer.hits]
    return dict(answer.hits) == expected and len(answer.hits) == len(expected) and far == sorted(far)


@st.composite
def families(draw: st.DrawFn) -> list[Signature]:
    """Signatures with relatives at every distance, exact copies, featureless ones and extreme norms among them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    seeds = [random.integers(-2, 3, COMPACT) for _ in range(draw(st.integers(1, 3)))]
    made = []
    for kind in draw(st.lists(st.sampled_from(["relative", "copy", "faint", "strong", "flat", "int8"]), max_size=40)):
        values = seeds[random.integers(len(seeds))].copy()
        if kind == "relative":
            changed = random.random(COMPACT) < random.random()
            values[changed] = random.integers(-2, 3, COMPACT)[changed]
        elif kind == "faint":
            values[random.random(COMPACT) < 0.97] = 0
        elif kind == "strong":
            values = np.sign(values) * 2
        elif kind == "flat":
            values[:] = 0
        elif kind == "int8":
            values = random.choice([-128, -2, 0, 2, 127], COMPACT)
        made.append(Signature(values.astype(np.int8).tobytes()))
    return made


@settings(max_examples=60, deadline=None)
@given(stored=families(), others=families(), max_distance=st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 2.0]))
async def test_neighbours_are_those_of_a_brute_force_comparison(
    new_place: NewPlace, stored: list[Signature], others: list[Signature], max_distance: float
) -> None:
    queries = [*stored[::2], *others, FEATURELESS]
    with new_place() as place:
        async with place.opened() as index:
            await index.put([], [content(n, signature=signature) for n, signature in enumerate(stored)])
            await index.refresh()
            answers = await index.neighbours(queries, max_distance)
            for query, answer in zip(queries, answers, strict=True):
                assert not answer.truncated
                assert same(answer, by_brute_force(query, stored, max_distance))


async def test_the_threshold_is_inclusive_to_the_last_bit(index: Index) -> None:
    query = signature_of(0)
    stored = [signature_of(0, changed=changed) for changed in range(0, COMPACT, 3)]
    await index.put([], [content(n, signature=signature) for n, signature in enumerate(stored)])
    await index.refresh()
    for n, distance in enumerate(distances(query, np.stack([s.values for s in stored]))):
        for threshold, inside in (
            (distance, True),
            (math.nextafter(distance, 1), True),
            (math.nextafter(distance, -1), False),
        ):
            [answer] = await index.neighbours([query], float(threshold))
            assert same(answer, by_brute_force(query, stored, threshold))
            assert (hash_of(n) in dict(answer.hits)) is inside


async def test_a_list_cut_at_the_limit_says_so_and_holds_the_nearest(index: Index) -> None:
    stored = [signature_of(0, changed=changed) for changed in range(0, 200, 2)]
    await index.put([], [content(n, signature=signature) for n, signature in enumerate(stored)])
    await index.refresh()
    every = by_brute_force(stored[0], stored, 1.0)
    nearest = sorted(every.values())
    for limit in (1, 37, 99):
        [answer] = await index.neighbours([stored[0]], 1.0, limit=limit)
        assert answer.truncated
        assert [distance for _, distance in answer.hits] == nearest[:limit]
    for limit in (100, 101):
        [answer] = await index.neighbours([stored[0]], 1.0, limit=limit)
        assert not answer.truncated
        assert same(answer, every)


async def test_a_hundred_queries_answer_as_each_of_them_alone(index: Index) -> None:
    stored = [signature_of(n // 3, changed=n % 3 * 10) for n in range(300)]
    await index.put([], [content(n, signature=signature) for n, signature in enumerate(stored)])
    await index.refresh()
    together = await index.neighbours(stored[:100], 0.3)
    alone = [(await index.neighbours([query], 0.3))[0] for query in stored[:100]]
    assert together == alone
    assert all(len(answer.hits) >= 2 for answer in together)


async def test_the_featureless_match_nothing(index: Index) -> None:
    await index.put([], [content(0, signature=FEATURELESS), content(1)])
    await index.refresh()
    flat, other = await index.neighbours([FEATURELESS, signature_of(1)], 1.0)
    assert flat.hits == ()
    assert other.hits == ((hash_of(1), 0.0),)
    assert (await index.contents([hash_of(0)]))[hash_of(0)].signature == FEATURELESS


@pytest.mark.parametrize(("count", "max_distance"), [*itertools.product([0, 1, 5], [-0.1, 0.0, 0.5, math.nan])])
async def test_odd_questions_have_answers(index: Index, count: int, max_distance: float) -> None:
    assert (
        await index.neighbours([signature_of(n) for n in range(count)], max_distance) == [Neighbours(hits=())] * count
    )

"""What an answer is worth: which of it is settled, and what is asked next. No server is needed to know that."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.index.elastic.codec import LOTS, lot_of, steps
from shared.index.elastic.questions import (
    EXACT_UP_TO,
    LONGEST,
    Hits,
    Question,
    answered,
    settled,
)
from shared.signature import COMPACT, Signature, distance
from tests.support.index import hash_of, signature_of


class Server:
    """Ranks by cosine and cuts, as Elasticsearch's answer says it did; in single precision."""

    def __init__(self, stored: list[Signature]) -> None:
        self.stored = {hash_of(n): s for n, s in enumerate(stored) if not s.is_featureless}

    def answer(self, question: Question) -> dict[str, Any]:
        knn = question.body["knn"]
        first, end = question.lots
        scored = [(sha, s, score(question.query, s)) for sha, s in self.stored.items() if first <= lot_of(sha) < end]
        least = (1 + knn.get("similarity", -1.1)) / 2
        best = sorted((each for each in scored if each[2] >= least), key=lambda each: -each[2])[: knn["k"]]
        hits = [
            {"_id": sha, "_score": float(s), "_source": {"signature": b64encode(signature.compact).decode()}}
            for sha, signature, s in best
        ]
        return {"hits": {"hits": hits}}


def score(a: Signature, b: Signature) -> np.float32:
    x, y = a.values.astype(np.float32), b.values.astype(np.float32)
    return np.float32((1 + x @ y / np.sqrt((x @ x) * (y @ y))) / 2)


def asked(server: Server, question: Question) -> list[Hits]:
    hits = settled(question, server.answer(question))
    return [hits] if hits is not None else [part for deeper in question.deeper() for part in asked(server, deeper)]


signatures = st.builds(
    lambda seed, changed, scale: Signature((signature_of(seed, changed=changed).values * scale).astype(np.int8).tobytes()),
    st.integers(0, 2), st.integers(0, 200), st.sampled_from([1, 1, 2, 20]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    stored=st.lists(signatures, max_size=60),
    query=signatures,
    max_distance=st.sampled_from([0.0, 0.1, 0.3, 0.45, 0.7, 1.0, 2.0]),
    limit=st.sampled_from([1, 3, 10, 1000]),
    k=st.sampled_from([1, 2, 7, 100]),
)
def test_the_nearest_by_distance_are_found_though_the_server_ranks_by_cosine(
    stored: list[Signature], query: Signature, max_distance: float, limit: int, k: int
) -> None:
    server = Server(stored)
    question = Question(query=query, max_distance=max_distance, limit=limit, count=len(stored), k=k)
    answer = answered(asked(server, question), limit)
    within = sorted((d, sha) for sha, s in server.stored.items() if (d := distance(query, s)) <= max_distance)
    assert [(d, sha) for sha, d in answer.hits] == within[:limit]
    assert answer.truncated == (len(within) > limit)


def test_beyond_the_longest_list_every_content_falls_into_one_part() -> None:
    whole = Question(query=signature_of(1), max_distance=1.0, limit=10, count=10, k=LONGEST)
    parts = [part.lots for part in whole.deeper()]
    assert parts == [(0, LOTS // 2), (LOTS // 2, LOTS)]
    [range_] = whole.deeper()[1].body["knn"]["filter"]
    assert range_ == {"range": {"lot": {"gte": LOTS // 2, "lt": LOTS}}}


def test_a_small_index_is_compared_whole_and_a_large_one_by_words_or_by_steps() -> None:
    def knn(max_distance: float, count: int) -> dict[str, Any]:
        body: dict[str, Any] = Question(query=signature_of(1), max_distance=max_distance, limit=10, count=count).body[
            "knn"
        ]
        return body

    assert knn(0.1, EXACT_UP_TO).keys() == {"field", "query_vector", "k", "num_candidates", "similarity"}
    [words] = knn(0.1, EXACT_UP_TO + 1)["filter"]
    assert words["bool"]["minimum_should_match"] == 8
    assert "filter" not in knn(0.4, EXACT_UP_TO + 1)
    assert knn(0.4, EXACT_UP_TO + 1)["field"] == "steps"
    assert "similarity" not in knn(1.0, 5)


def test_a_picture_of_few_words_is_asked_for_by_few() -> None:
    faint = np.zeros(COMPACT, dtype=np.int8)
    faint[40] = 1
    question = Question(query=Signature(faint.tobytes()), max_distance=0.1, limit=10, count=EXACT_UP_TO + 1)
    [words] = question.body["knn"]["filter"]
    assert words["bool"]["minimum_should_match"] == 1


@given(st.integers(0, 99), st.integers(0, 99))
def test_as_many_bits_differ_as_the_values_are_steps_apart(a: int, b: int) -> None:
    one, other = signature_of(a), signature_of(b)
    differing = (int(steps(one), 16) ^ int(steps(other), 16)).bit_count()
    assert differing == int(np.abs(one.values - other.values).sum())


def test_a_list_ranked_by_steps_is_asked_deeper_when_a_third_of_it_is_near() -> None:
    query = signature_of(0)
    question = Question(query=query, max_distance=0.4, limit=1_000, count=EXACT_UP_TO + 1, k=30)

    def answer(near: int) -> dict[str, Any]:
        return Server([query] * near + [signature_of(n + 1) for n in range(40)]).answer(question)

    assert len(settled(question, answer(10)) or ()) == 10
    assert settled(question, answer(11)) is None
    assert [deeper.k for deeper in question.deeper()] == [240]
    few = replace(question, limit=9)
    assert len(settled(few, answer(11)) or ()) == 11, "ten are enough for nine and the word that there are more"

"""Any order of puts, refreshes, closings and openings gives what a dictionary would give."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from shared.index.port import ContentDoc, FileDoc
from shared.signature import distances
from tests.contract.index.conftest import NewPlace
from tests.support.index import all_of, content, photo_file, signature_of

numbers = st.integers(0, 7)
#: close to each other, so that there is something to find
like = st.builds(lambda seed, changed: signature_of(seed, changed=changed), st.integers(0, 1), st.integers(0, 60))


def machine(new_place: NewPlace) -> type[RuleBasedStateMachine]:
    class AnIndex(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.open_things = contextlib.ExitStack()
            self.runner = self.open_things.enter_context(asyncio.Runner())
            self.place = self.open_things.enter_context(new_place())
            self.index = self.runner.run(self.place.open())
            self.reader = self.runner.run(self.place.open(writable=False))
            self.files: dict[str, FileDoc] = {}
            self.contents: dict[str, ContentDoc] = {}
            self.visible: dict[str, ContentDoc] = {}

        @rule(
            puts=st.lists(
                st.tuples(numbers, numbers, st.integers(1, 9), st.sampled_from(["analysed", "gone"])), max_size=5
            ),
            contents=st.lists(
                st.builds(lambda n, signature: content(n, signature=signature), numbers, like), max_size=4
            ),
        )
        def put(self, puts: list[tuple[int, int, int, str]], contents: list[ContentDoc]) -> None:
            docs = [replace(photo_file(n, of=of, version=v), state=state) for n, of, v, state in puts]
            stored = self.runner.run(self.index.put(docs, contents))
            assert stored.written == sum(self._keep(doc) for doc in docs)
            assert all(self.files[file_id].version >= version for file_id, version in stored.stale.items())
            for doc in contents:
                self.contents.setdefault(doc.sha256, doc)

        def _keep(self, doc: FileDoc) -> bool:
            there = self.files.get(doc.path.file_id)
            if there is not None and there.version >= doc.version:
                return False
            self.files[doc.path.file_id] = doc
            return True

        @rule()
        def refresh(self) -> None:
            self.runner.run(self.reader.refresh())
            self.visible = dict(self.contents)

        @rule(query=like, max_distance=st.sampled_from([0.0, 0.1, 0.3]))
        def search(self, query, max_distance) -> None:  # type: ignore[no-untyped-def]
            [answer] = self.runner.run(self.reader.neighbours([query], max_distance))
            near = {
                sha: float(distances(query, np.stack([doc.signature.values]))[0]) for sha, doc in self.contents.items()
            }
            near = {sha: distance for sha, distance in near.items() if distance <= max_distance}
            found = dict(answer.hits)
            assert found.items() <= near.items()
            assert found.keys() >= near.keys() & self.visible.keys()

        @rule()
        def reopen(self) -> None:
            self.runner.run(self.index.close())
            self.index = self.runner.run(self.place.open())

        @precondition(lambda self: self.contents)
        @rule()
        def reopen_the_reader(self) -> None:
            self.runner.run(self.reader.close())
            self.reader = self.runner.run(self.place.open(writable=False))
            self.visible = dict(self.contents)

        @invariant()
        def documents_are_those_of_the_model(self) -> None:
            assert self.runner.run(all_of(self.reader)) == self.files
            assert self.runner.run(self.index.contents([content(n).sha256 for n in range(8)])) == self.contents

        def teardown(self) -> None:
            self.runner.run(self.reader.close())
            self.runner.run(self.index.close())
            self.open_things.close()

    return AnIndex


@pytest.mark.timeout(300)
def test_an_index_does_what_a_dictionary_does(new_place: NewPlace) -> None:
    run_state_machine_as_test(
        machine(new_place), settings=settings(max_examples=25, stateful_step_count=20, deadline=None)
    )

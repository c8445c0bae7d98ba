"""Elasticsearch away in the middle of a scan: photosift waits, says so once, and nothing is lost or doubled."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.elasticsearch import own_node
from tests.support.elasticsearch_server import Node
from tests.support.photos import small_library, write_photo
from tests.support.program import photosift, scan
from tests.unit.shared.index.elastic.test_opening import call

PHOTOS = 60
AWAY_SECONDS = 25.0


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with own_node() as node:
        yield node


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "Pictures"
    small_library(folder)
    for n in range(PHOTOS):
        write_photo(folder / f"more/{n:03}.jpg", 1_000 + n)
    return folder


def frozen(node: Node) -> None:
    """Long enough for requests to be given up."""
    node.stop()
    time.sleep(AWAY_SECONDS)
    node.resume()


def restarted(node: Node) -> None:
    node.kill()
    node.start()


def indexed(node: Node, name: str) -> int:
    try:
        call(f"{node.url}/{name}-files/_refresh", "POST")
        return int(call(f"{node.url}/{name}-files/_count")["count"])
    except OSError:
        return 0


def in_the_middle(node: Node, name: str, happens: Callable[[Node], None]) -> threading.Thread:
    """A thread in which it happens once the scan has stored some files, and has many left."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while indexed(node, name) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        happened.append(indexed(node, name))
        happens(node)

    happened: list[int] = []
    thread = threading.Thread(target=wait)
    thread.happened = happened  # type: ignore[attr-defined]
    thread.start()
    return thread


def groups_of(report: dict[str, Any]) -> dict[str, set[tuple[str, str]]]:
    return {g["keeper"]["path"]: {(d["path"], d["class"]) for d in g["duplicates"]} for g in report["groups"]}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("happens", [frozen, restarted])
def test_a_scan_waits_for_elasticsearch_and_loses_nothing(
    node: Node, photos: Path, tmp_path: Path, happens: Callable[[Node], None]
) -> None:
    quick = {"PHOTOSIFT_WATCH__SETTLE_SECONDS": "0", "PHOTOSIFT_ANALYSIS__THREADS": "1"}
    expected = scan(photos, state=tmp_path / "alone", **quick)
    name = f"test-{happens.__name__}"
    trouble = in_the_middle(node, name, happens)
    try:
        done = photosift(
            "scan", photos, "--format", "json", "-v", state=tmp_path / "state", timeout=200,
            PHOTOSIFT_INDEX_URL=node.url, PHOTOSIFT_INDEX_NAME=name, **quick,
        )  # fmt: skip
    finally:
        trouble.join()
    [before] = trouble.happened  # type: ignore[attr-defined]
    assert 5 <= before < PHOTOS, "it happened in the middle"
    found = json.loads(done.stdout)
    assert groups_of(found) == groups_of(expected)
    assert found["counts"] == expected["counts"]
    assert sorted(found["unique"]) == sorted(expected["unique"])
    assert indexed(node, name) == PHOTOS + 9
    said = [line for line in done.stderr.splitlines() if "[warning" in line or "[error" in line or "Node <" in line]
    assert len(said) == 1, done.stderr[-3000:]
    assert "index.unavailable" in said[0]

"""The first scan of many small photos as a whole: all services on Elasticsearch, beside the embedded index.

Run by ``make bench``; ``--photos 2000`` is the small form. The files are variants of real photos, 320 pixels a side
(some 20 kB), so that the way from the file to the decision counts more than decoding. Every scan has a new state folder
and new indices; the two are measured in turn. The server is one of its own with 1 GB of heap, on the same processors.
Goal: at least 0.8 of the photos a second of the embedded index.

    .venv/bin/python -m benchmarks.bench_first_scan [--photos 100000] [--rounds 1] [--json]
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.bench_scan import DATA, PHOTOSIFT, PROCESSES, REPOSITORY, environment, until_settled
from tests.support import elasticsearch_server
from tests.support.elasticsearch import remove_indices

#: pixels of the long side, and of it what a variant shows
SIDE, SHOWN = 480, 320
GOAL = 0.8
#: files of one folder
FOLDER = 1_000
Result = dict[str, Any]


# --------------------------------------------------------------------------------------------- the photos


@cache
def source(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        opened.draft("RGB", (SIDE, SIDE))
        picture = opened.convert("RGB")
    picture.thumbnail((SIDE, SIDE))
    return np.asarray(picture)


def variant(path: Path, number: int) -> bytes:
    """A piece of the photo from a place of its own, turned over or not: mostly unlike all others, seldom alike."""
    rng = np.random.default_rng(number)
    pixels = np.roll(source(path), rng.integers(0, SIDE, 2), axis=(0, 1))[:SHOWN, :SHOWN]
    pixels = pixels[:, ::-1] if number % 2 else pixels
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=int(rng.integers(70, 95)))
    return buffer.getvalue()


def make(paths: list[Path], numbers: range, folder: Path) -> None:
    for number in numbers:
        to = folder / f"{number // FOLDER:04}" / f"{number:06}.jpg"
        if not to.exists():
            to.parent.mkdir(exist_ok=True)
            to.write_bytes(variant(paths[number % len(paths)], number))


def library(count: int) -> Path:
    """Made once and kept in the cache; one photo in a hundred is an exact copy of another."""
    folder = REPOSITORY / ".cache" / "bench" / f"small-photos-{count}"
    if (folder / "whole").exists():
        return folder / "photos"
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    sources = sorted((DATA / "photos" / "distractors").glob("*.[jJ][pP]*[gG]"))
    parts = [
        (sources, range(start, min(start + FOLDER, count)), folder / "photos") for start in range(0, count, FOLDER)
    ]
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        pool.starmap(make, parts, 1)
    for number in range(99, count, 100):
        first, copy = (folder / "photos" / f"{n // FOLDER:04}" / f"{n:06}.jpg" for n in (number - 99, number))
        copy.write_bytes(first.read_bytes())
    until_settled(folder / "photos" / "0000")
    (folder / "whole").touch()
    return folder / "photos"


# --------------------------------------------------------------------------------------------- the scans


def scan(folder: Path, more: dict[str, str]) -> tuple[float, Result]:
    """Wall seconds of a first scan with everything, and its report without the lists."""
    with tempfile.TemporaryDirectory() as state:
        started = time.perf_counter()
        done = subprocess.run(
            [PHOTOSIFT, "scan", folder, "--format", "json"],
            env={**environment(Path(state)), **more},
            capture_output=True,
            check=False,
        )
        seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"photosift scan ended with {done.returncode}: {done.stderr[-2000:].decode()}")
    report = json.loads(done.stdout)
    return seconds, {"counts": report["counts"], "seconds": report["seconds"]}


def on_elasticsearch(folder: Path, url: str, name: str) -> tuple[float, Result]:
    try:
        return scan(folder, {"PHOTOSIFT_INDEX_URL": url, "PHOTOSIFT_INDEX_NAME": name})
    finally:
        remove_indices(url, name)


def measure(folder: Path, photos: int, rounds: int, url: str) -> Result:
    seconds: dict[str, list[float]] = {"embedded": [], "elasticsearch": []}
    reports: dict[str, list[Result]] = {"embedded": [], "elasticsearch": []}
    for n in range(rounds):
        for place, spent in seconds.items():
            took, report = scan(folder, {}) if place == "embedded" else on_elasticsearch(folder, url, f"first-{n}")
            spent.append(took)
            reports[place].append(report)
    counts = [each["counts"] for place in reports.values() for each in place]
    middle = {place: statistics.median(took) for place, took in seconds.items()}
    return {
        "photos": photos,
        "rounds": rounds,
        "seconds": middle,
        "phases": {place: reports[place][-1]["seconds"] for place in reports},
        "counts": counts[0],
        "alike": all(each == counts[0] for each in counts),
        "ratio": middle["embedded"] / middle["elasticsearch"],
        "load_average": os.getloadavg()[1],
    }


def table(result: Result) -> Iterator[str]:
    many = f"{result['photos']:,} small photos, {PROCESSES} processes, medians of {result['rounds']} rounds"
    yield f"\nfirst scan of {many}"
    for place, seconds in result["seconds"].items():
        phases = ", ".join(f"{name} {took:.1f}" for name, took in result["phases"][place].items() if took >= 0.1)
        yield f"  {place:14}{seconds:8.1f} s {result['photos'] / seconds:8.1f} photos/s   ({phases})"
    yield f"  ratio         {result['ratio']:8.2f}     goal {GOAL}"
    yield f"  the same counts: {'yes' if result['alike'] else 'NO'} {result['counts']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--heap", default="1g")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if not (DATA / "photos" / "distractors").is_dir():
        print(f"bench_first_scan: skipped, no photos in {DATA / 'photos' / 'distractors'}")
        return 0
    folder = library(chosen.photos)
    elasticsearch_server.HEAP = chosen.heap
    with tempfile.TemporaryDirectory(prefix="photosift-bench-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o755)
        try:
            with elasticsearch_server.node(Path(home) / "node", name="bench") as node:
                result = measure(folder, chosen.photos, chosen.rounds, node.url)
        except elasticsearch_server.Missing as why:
            print(f"bench_first_scan: skipped, {why}")
            return 0
    print(json.dumps(result) if chosen.json else "\n".join(table(result)))
    return 0 if result["alike"] else 1


if __name__ == "__main__":
    sys.exit(main())

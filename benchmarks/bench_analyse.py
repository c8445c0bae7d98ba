"""Analysing one camera JPEG on one core, beside image-match's algorithm as published and beside the floor.

The floor is what no program can go below that decodes and hashes: read, SHA-256, and luma at the reduced scale of the
cosine transform. Goals: 14 times faster than image-match's algorithm, at most 1.3 times the floor. The three are
measured in turn, round after round, so that a busy moment of the machine hits them all; medians of one run.

    .venv/bin/python -m benchmarks.bench_analyse [--rounds 7] [--json]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from services.analyser import goldberg
from services.analyser.examining import Options, examine
from services.analyser.results import Examined, Task

DATA = Path(os.environ.get("PHOTOSIFT_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
GOALS = {"image-match": 14.0, "floor": 1.3}
OPTIONS = Options(mode="canonical", use_exif=True, memory_limit=1 << 30)


def ours(photo: Path) -> None:
    """Everything a worker does with a file."""
    result = examine(Task(folder=bytes(photo.parent), rel=os.fsencode(photo.name), expected=None), OPTIONS)
    assert isinstance(result, Examined), result


def as_published(photo: Path) -> None:
    """image-match 1.1.2: every pixel decoded, grey in float64, differences over the whole picture; nothing hashed."""
    with Image.open(photo) as picture:
        colours = np.multiply(np.asarray(picture), 1.0 / 255, dtype=np.float64)
    goldberg.exact(colours @ np.array([0.2125, 0.7154, 0.0721]))


def floor(photo: Path) -> None:
    """Scaled luma decoding and SHA-256, nothing else."""
    data = photo.read_bytes()
    hashlib.sha256(data).digest()
    picture = Image.open(io.BytesIO(data))
    short = min(picture.size)
    picture.draft("L", tuple(-(-side * goldberg.CANONICAL_SIDE // short) for side in picture.size))
    picture.load()


WAYS: dict[str, Callable[[Path], None]] = {"photosift": ours, "image-match": as_published, "floor": floor}


def measure(photos: list[Path], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds, medians over the rounds: photo -> way -> ms."""
    taken: dict[str, dict[str, list[float]]] = {p.name: {way: [] for way in WAYS} for p in photos}
    for number in range(rounds + 1):  # the first warms up
        for photo in photos:
            for way, do in WAYS.items():
                started = time.perf_counter()
                do(photo)
                if number:
                    taken[photo.name][way].append((time.perf_counter() - started) * 1e3)
    return {name: {way: statistics.median(times) for way, times in ways.items()} for name, ways in taken.items()}


def ratios(measured: dict[str, dict[str, float]]) -> dict[str, float]:
    """Median over the photos: how many times faster than image-match, how many times the floor."""
    faster = statistics.median(m["image-match"] / m["photosift"] for m in measured.values())
    above = statistics.median(m["photosift"] / m["floor"] for m in measured.values())
    return {"image-match": faster, "floor": above}


def show(measured: dict[str, dict[str, float]]) -> None:
    print(f"{'photo':44}{'photosift':>12}{'image-match':>14}{'floor':>9}{'faster':>9}{'above floor':>13}")
    for name, ms in measured.items():
        row = f"{name[-42:]:44}{ms['photosift']:9.1f} ms{ms['image-match']:11.1f} ms{ms['floor']:6.1f} ms"
        print(f"{row}{ms['image-match'] / ms['photosift']:8.1f}x{ms['photosift'] / ms['floor']:12.2f}x")
    found = ratios(measured)
    print(f"median: {found['image-match']:.1f} times faster than image-match (goal {GOALS['image-match']:g})")
    print(f"median: {found['floor']:.2f} times the floor (goal at most {GOALS['floor']:g})")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    photos = sorted(p for p in (DATA / "speed").glob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    if not photos:
        print(f"no camera photos in {DATA / 'speed'}: nothing measured")
        return 0
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    measured = measure(photos, arguments.rounds)
    if arguments.json:
        print(json.dumps({"milliseconds": measured, "ratios": ratios(measured)}))
    else:
        show(measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A whole scan of camera photos, beside the floor: scaled luma decoding and SHA-256, spread over two processes.

Run by ``make bench``; ``--photos 60`` is the small form. Prints medians of this run and their ratios; and the memory of
the whole all-in-one (PSS of photosift, its workers and its nats-server) at its peak and at rest.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PHOTOSIFT_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
PHOTOSIFT = Path(sys.executable).with_name("photosift")
PROCESSES = 2
#: seconds, somewhat more than the default of ``watch.settle_seconds``
SETTLED_AFTER = 6.0


def variant(source: Path, number: int, to: Path) -> None:
    """The photo rolled by an amount of its own: other bytes and another signature, the same work to decode."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
        rng = np.random.default_rng(number)
        pixels = np.roll(np.asarray(picture), rng.integers(0, min(picture.size), 2), axis=(0, 1))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    to.write_bytes(buffer.getvalue())


def library(count: int) -> Path:
    """``count`` variants of the speed set, made once and kept in the cache."""
    folder = REPOSITORY / ".cache" / "bench" / f"photos-{count}"
    sources = sorted((DATA / "speed").glob("*.[jJ][pP][gG]"))
    missing = [n for n in range(count) if not (folder / f"{n:05}.jpg").exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        pool.starmap(variant, [(sources[n % len(sources)], n, folder / f"{n:05}.jpg") for n in missing], 4)
    until_settled(folder)
    return folder


def until_settled(folder: Path) -> None:
    """A scan would wait for photos that were written just now, and report that wait apart."""
    youngest = max(each.stat().st_ctime for each in folder.iterdir())
    time.sleep(max(0.0, youngest + SETTLED_AFTER - time.time()))


def luma_and_hash(path: Path) -> None:
    """What nobody can do without: read once, hash, decode luma at the scale that is still 512 or more."""
    content = path.read_bytes()
    hashlib.sha256(content).digest()
    with Image.open(io.BytesIO(content)) as picture:
        short = min(picture.size)
        scale = 512 / short
        picture.draft("L", (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
        picture.load()


def floor(paths: list[Path]) -> float:
    """Seconds, without the start of the processes."""
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        pool.map(len, [()] * PROCESSES)
        started = time.perf_counter()
        pool.map(luma_and_hash, paths, 4)
        return time.perf_counter() - started


def environment(state: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PHOTOSIFT_STATE_DIR": str(state),
        "PHOTOSIFT_STATS_PORT": "0",
        "PHOTOSIFT_ANALYSIS__THREADS": str(PROCESSES),
    }


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    children = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        children += [int(child) for child in task.read_text().split()]
    return [pid, *(each for child in children for each in family(child))]


def memory_mb(pid: int) -> float:
    total = 0
    for each in family(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def scan(folder: Path) -> tuple[float, float]:
    """Wall seconds of a first scan, and its peak memory in MB."""
    peak, over = 0.0, threading.Event()
    with tempfile.TemporaryDirectory() as state:
        started = time.perf_counter()
        process = subprocess.Popen(
            [PHOTOSIFT, "scan", folder, "--format", "json"],
            env=environment(Path(state)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def watch() -> None:
            nonlocal peak
            while not over.wait(0.25):
                try:
                    peak = max(peak, memory_mb(process.pid))
                except OSError:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        seconds = time.perf_counter() - started
        over.set()
        watcher.join()
    if code:
        raise SystemExit(f"photosift scan ended with {code}")
    return seconds, peak


def at_rest(folder: Path) -> float:
    """Memory in MB of ``photosift run`` half a minute after its first pass over an indexed library."""
    with tempfile.TemporaryDirectory() as state:
        subprocess.run(
            [PHOTOSIFT, "analyse", folder],
            env=environment(Path(state)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        process = subprocess.Popen(
            [PHOTOSIFT, "run", folder],
            env=environment(Path(state)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(20)
        used = memory_mb(process.pid)
        process.send_signal(signal.SIGTERM)
        process.wait()
    return used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    if not (DATA / "speed").is_dir():
        print(f"bench_scan: skipped, no camera photos in {DATA / 'speed'}")
        return
    folder = library(chosen.photos)
    paths = sorted(folder.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as empty:
        floors, scans, starts, peaks = [], [], [], []
        floor(paths)  # the files come into the page cache for everybody
        for _ in range(chosen.rounds):
            floors.append(floor(paths))
            seconds, peak = scan(folder)
            scans.append(seconds)
            peaks.append(peak)
            starts.append(scan(Path(empty))[0])
    low, whole, start = statistics.median(floors), statistics.median(scans), statistics.median(starts)
    print(f"\nscan of {len(paths)} camera photos, {PROCESSES} processes, medians of {chosen.rounds} rounds")
    print(f"  floor (scaled luma + SHA-256)        {low:7.2f} s   {len(paths) / low:6.1f} photos/s")
    print(f"  photosift scan, first, with start-up {whole:7.2f} s   {len(paths) / whole:6.1f} photos/s")
    print(f"  start-up (scan of an empty folder)   {start:7.2f} s")
    print(f"  ratio without start-up               {(whole - start) / low:7.2f}     goal 1.3")
    print(f"  ratio with start-up                  {whole / low:7.2f}     goal 1.6")
    print(f"  memory at its peak                   {statistics.median(peaks):7.0f} MB")
    print(f"  memory at rest                       {at_rest(folder):7.0f} MB")


if __name__ == "__main__":
    main()

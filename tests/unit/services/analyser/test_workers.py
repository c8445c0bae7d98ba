from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from services.analyser.results import Examined, Refused, Result
from services.analyser.workers import WorkerPool
from shared.config import Analysis
from shared.paths import PhotoPath
from tests.support.data import DATA, needs_data
from tests.support.photos import write_photo
from tests.support.pictures import encoded, grainy, hollowed

QUICK = Analysis(threads=2, seconds_per_file=60)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for n in range(4):
        write_photo(tmp_path / f"{n}.jpg", n)
    return tmp_path


async def ask(pool: WorkerPool, folder: Path, name: str) -> Result:
    return await pool.analyse(PhotoPath("photos", name.encode()), folder, None)


async def test_a_picture_comes_back_with_all_that_is_known_of_it(photos: Path) -> None:
    async with WorkerPool(QUICK) as pool:
        result = await ask(pool, photos, "1.jpg")
    assert isinstance(result, Examined)
    assert (result.facts.width, result.facts.height, result.facts.format) == (640, 480, "JPEG")
    assert result.facts.bytes == result.stat.size == (photos / "1.jpg").stat().st_size
    assert not result.signature.is_featureless


async def test_s17_a_worker_killed_in_the_middle_costs_its_file_and_no_other(photos: Path) -> None:
    async with WorkerPool(QUICK) as pool:
        stopped = pool.pids[0]
        os.kill(stopped, signal.SIGSTOP)  # whatever it is given, it is in the middle of it
        asked = [asyncio.create_task(ask(pool, photos, f"{n}.jpg")) for n in range(4)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        os.kill(stopped, signal.SIGKILL)
        results = await asyncio.gather(*asked)
        assert Counter(r.reason if isinstance(r, Refused) else "fine" for r in results) == {"fine": 3, "worker-died": 1}
        assert stopped not in pool.pids
        again = await asyncio.gather(*(ask(pool, photos, f"{n}.jpg") for n in range(4)))
        assert all(isinstance(r, Examined) for r in again)


async def test_s17_what_ended_a_worker_is_said(photos: Path) -> None:
    async with WorkerPool(Analysis(threads=1)) as pool:
        os.kill(pool.pids[0], signal.SIGSTOP)
        asked = asyncio.create_task(ask(pool, photos, "0.jpg"))
        await asyncio.sleep(0)
        os.kill(pool.pids[0], signal.SIGSEGV)
        os.kill(pool.pids[0], signal.SIGCONT)
        result = await asked
    assert isinstance(result, Refused)
    assert (result.reason, "SIGSEGV" in result.explanation) == ("worker-died", True)


async def test_s17_a_file_that_hangs_is_given_up_after_its_time(photos: Path) -> None:
    async with WorkerPool(Analysis(threads=1, seconds_per_file=0.3)) as pool:
        hanging = pool.pids[0]
        os.kill(hanging, signal.SIGSTOP)
        result = await ask(pool, photos, "0.jpg")
        assert isinstance(result, Refused)
        assert result.reason == "timeout"
        assert isinstance(await ask(pool, photos, "0.jpg"), Examined)
        assert hanging not in pool.pids


async def test_a_worker_that_died_idle_costs_no_file(photos: Path) -> None:
    async with WorkerPool(Analysis(threads=1)) as pool:
        os.kill(pool.pids[0], signal.SIGKILL)
        while pool.pids:  # noqa: ASYNC110  the loop itself learns of a child's end
            await asyncio.sleep(0.005)
        assert isinstance(await ask(pool, photos, "0.jpg"), Examined)


async def test_one_who_stops_waiting_leaves_the_pool_whole(photos: Path) -> None:
    async with WorkerPool(Analysis(threads=1)) as pool:
        os.kill(pool.pids[0], signal.SIGSTOP)
        asked = asyncio.create_task(ask(pool, photos, "0.jpg"))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert isinstance(await ask(pool, photos, "1.jpg"), Examined)


async def test_s17_a_picture_beyond_the_memory_limit_is_refused_by_name(tmp_path: Path) -> None:
    Image.new("RGB", (6000, 6000), "red").save(tmp_path / "large.png")
    async with WorkerPool(Analysis(threads=1, memory_mb=128)) as pool:
        pid = pool.pids
        result = await ask(pool, tmp_path, "large.png")
        assert isinstance(result, Refused)
        assert result.reason == "too-large"
        assert "6000 x 6000" in result.explanation
        assert pool.pids == pid  # refused before anything was allocated: the worker lives


def test_s17_memory_that_no_header_declared_is_refused_too() -> None:
    ask = (
        "from services.analyser import worker\nworker._limit_memory(64 << 20)\n"
        "try: bytearray(512 << 20)\nexcept MemoryError: print('refused')"
    )
    asked = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=60, check=True)
    assert asked.stdout == "refused\n"


async def test_ctrl_c_is_for_the_parent(photos: Path) -> None:
    async with WorkerPool(Analysis(threads=1)) as pool:
        pid = pool.pids[0]
        assert os.getpgid(pid) != os.getpgid(0)
        os.kill(pid, signal.SIGINT)
        assert isinstance(await ask(pool, photos, "0.jpg"), Examined)
        assert pool.pids == [pid]


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    program = (
        "import asyncio, json\nfrom services.analyser.workers import WorkerPool\nfrom shared.config import Analysis\n"
        "async def main():\n"
        "    async with WorkerPool(Analysis(threads=2)) as pool:\n"
        "        print(json.dumps(pool.pids), flush=True)\n        await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=tmp_path) as parent:
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline())
        watched = [os.pidfd_open(pid) for pid in pids]
        parent.kill()
    for pidfd in watched:
        ended, _, _ = select.select([pidfd], [], [], 10)
        os.close(pidfd)
        assert ended
    assert len(pids) == 2


async def test_a_folder_called_services_where_the_program_runs_is_not_taken_for_ours(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "services").mkdir()
    (photos / "services" / "__init__.py").write_text("raise SystemExit('a stranger')")
    monkeypatch.chdir(photos)
    async with WorkerPool(Analysis(threads=1)) as pool:
        assert isinstance(await ask(pool, photos, "0.jpg"), Examined)


def resident_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))


async def test_memory_stays_flat_over_many_files(tmp_path: Path) -> None:
    for n, kind in enumerate(["jpeg", "png", "webp", "tiff", "gif", "bmp", "avif"]):
        (tmp_path / f"{n}.x").write_bytes(encoded(kind, grainy(n, (320, 240))))
    (tmp_path / "7.x").write_bytes(hollowed((tmp_path / "0.x").read_bytes(), 0.3))
    async with WorkerPool(Analysis(threads=1)) as pool:
        for _ in range(15):
            await asyncio.gather(*(ask(pool, tmp_path, f"{n}.x") for n in range(8)))
        before = resident_mb(pool.pids[0])
        for _ in range(60):
            await asyncio.gather(*(ask(pool, tmp_path, f"{n}.x") for n in range(8)))
        assert resident_mb(pool.pids[0]) - before < 8


@needs_data
async def test_s17_of_all_the_real_and_the_hostile_files_none_costs_the_others_anything() -> None:
    """Each gives a result or a reason, and no worker is lost on the way."""
    folder = DATA / "photos"
    names = sorted(
        os.path.relpath(os.path.join(at, name), bytes(folder))
        for at, _, found in os.walk(bytes(folder))
        for name in found
    )
    async with WorkerPool(QUICK) as pool:
        pids = pool.pids
        results = await asyncio.gather(*(pool.analyse(PhotoPath("photos", name), folder, None) for name in names))
        assert pool.pids == pids
    outcome = Counter(r.reason if isinstance(r, Refused) else "fine" for r in results)
    assert len(results) == len(names)
    assert outcome["fine"] >= 770, outcome
    assert outcome.keys() <= {"fine", "empty", "not-a-picture", "unsupported", "truncated", "corrupt", "too-large"}
    for name, result in zip(names, results, strict=True):
        if isinstance(result, Refused):
            assert result.explanation, name
            assert result.explanation.isprintable(), name
    refused = {
        name.rpartition(b"/")[2]: r.reason for name, r in zip(names, results, strict=True) if isinstance(r, Refused)
    }
    assert refused[b"jpeg-decoder__max_size.jpg"] in ("too-large", "truncated")
    assert refused[b"libvips__17000x17000.avif"] == "too-large"
    assert refused[b"jpeg-decoder__empty.jpg"] == "empty"

"""``photosift run`` as it is seen from outside: by a plain NATS client, on the stats port, in the log, in the index.

Nothing of photosift's own speaks to the bus here: nats-py alone, with what ``photosift audit`` prints.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
from nats.aio.msg import Msg
from prometheus_client.parser import text_string_to_metric_families

from shared.index.embedded import EmbeddedIndex
from shared.index.port import FileDoc
from tests.support.photos import jpeg, scene
from tests.support.program import photosift, running

#: seconds: short, so that tests are quick
SETTLE = 0.4
#: seconds that anything may take on a machine with other things to do; nobody waits for it where all is well
PATIENCE = 60.0
#: the seeds of probes, beyond those of the tests
_PROBES = 9_000


@dataclass(frozen=True)
class Event:
    """A message on ``photosift.>``, read as anybody would."""

    subject: str
    #: the stream's sequence, which the server adds (``Nats-Stream``, ``Nats-Sequence``)
    stored: tuple[str, int]
    envelope: dict[str, Any]

    @property
    def kind(self) -> str:
        """``file.settled``, ``outcome.command-done``, …"""
        return str(self.envelope["type"]).removeprefix("photosift.").removesuffix(".v1")

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.envelope["data"]
        return data

    @property
    def correlation(self) -> str:
        return str(self.envelope["correlationid"])

    @property
    def path(self) -> str | None:
        """Path of the file that it is about, below its root."""
        file = self.data.get("file") or self.data.get("victim")
        return None if not file else str(file.get("file", file)["path"])


class Overheard:
    """Everything that was heard, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()

    async def take(self, raw: Msg) -> None:
        headers = raw.headers or {}
        stored = (headers.get("Nats-Stream", ""), int(headers.get("Nats-Sequence", "0")))
        self.events.append(Event(raw.subject, stored, json.loads(raw.data)))
        self._news.set()

    def of(self, kind: str, path: str | None = None) -> list[Event]:
        return [e for e in self.events if e.kind == kind and path in (None, e.path)]

    def about(self, path: str) -> list[str]:
        """Kinds of what was said of a file by watcher and analyser, in order; dead letters say it again."""
        return [e.kind for e in self.events if e.path == path and e.kind.startswith(("file.", "analysis."))]

    def paths(self, *kinds: str) -> set[str | None]:
        return {e.path for e in self.events if e.kind in kinds}

    async def until(self, done: Callable[[Overheard], object], *, within: float = PATIENCE) -> None:
        deadline = time.monotonic() + within
        while not done(self):
            left = deadline - time.monotonic()
            assert left > 0, f"heard only {[(e.kind, e.path) for e in self.events]}"
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)

    async def until_analysed(self, *paths: str) -> None:
        await self.until(lambda h: set(paths) <= h.paths("analysis.analysed"))


@dataclass(kw_only=True)
class Watched:
    """A running ``photosift run`` and the folder that it watches."""

    photos: Path
    state: Path
    process: subprocess.Popen[str]
    heard: Overheard
    #: of the stats port
    url: str
    #: where the bus is, and whose password may listen there, as ``photosift audit`` told it
    access: dict[str, str]
    _probes: Iterator[int] = field(default_factory=lambda: iter(range(_PROBES, 2 * _PROBES)))

    @property
    def log(self) -> list[str]:
        return _log_of(self.state).read_text().splitlines()

    async def look_around(self) -> None:
        """Returns when a photo that came after all that was done so far is analysed.

        It had to be quiet for the settle time first, so whatever came before it has had longer than that.
        """
        name = f"probes/{next(self._probes)}.jpg"
        write(self.photos / name, tiny(int(Path(name).stem)))
        await self.heard.until_analysed(name)

    def get(self, path: str) -> tuple[int, str]:
        """What the stats port answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Every sample by its name and its labels' values, labels in order: ``("photosift_watcher_files", "Pictures")``."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        samples = [s for family in families for s in family.samples if s.name.startswith("photosift_")]
        return {(s.name, *(value for _, value in sorted(s.labels.items()))): s.value for s in samples}

    async def until_metric(self, *name: str, reaches: Callable[[float], bool]) -> float:
        deadline = time.monotonic() + PATIENCE
        while not reaches(found := (await asyncio.to_thread(self.metrics)).get(name, 0.0)):
            assert time.monotonic() < deadline, f"{name} is {found}"
            await asyncio.sleep(0.1)
        return found

    async def index(self) -> dict[str, FileDoc]:
        """What the index knows of every file, by its path below the root."""
        index = EmbeddedIndex.open(self.state / "analyser", writable=False, mode="canonical")
        try:
            return {os.fsdecode(doc.path.rel): doc async for doc in index.walk(self.photos.name)}
        finally:
            await index.close()


@contextlib.asynccontextmanager
async def watched(folder: Path, *, photos: Path | None = None, **settings: str) -> AsyncIterator[Watched]:
    """``photosift run`` on a folder (``Pictures`` unless given), heard by an auditor before the first photo comes."""
    photos, state = photos or folder / "Pictures", folder / "state"
    photos.mkdir(exist_ok=True)
    ours = {
        "PHOTOSIFT_WATCH__SETTLE_SECONDS": str(SETTLE),
        "PHOTOSIFT_WATCH__POLLING_SECONDS": "0.5",  # how often a root that is away is looked for
        "PHOTOSIFT_ANALYSIS__THREADS": "1",
    }
    with running("run", photos, "-v", state=state, **{**ours, **settings}) as process:
        url = await asyncio.to_thread(_stats_url, process, state)  # the bus is there before anybody can scrape
        access = await asyncio.to_thread(_access, state)
        heard = Overheard()
        auditor = await nats.connect(
            access["NATS_URL"], user=access["NATS_USER"], password=access["NATS_PASSWORD"], allow_reconnect=False
        )
        try:
            await auditor.subscribe("photosift.>", cb=heard.take)
            await auditor.flush(timeout=int(PATIENCE))
            yield Watched(photos=photos, state=state, process=process, heard=heard, url=url, access=access)
        finally:
            await auditor.close()


def _access(state: Path) -> dict[str, str]:
    """What ``photosift audit`` prints, as a shell reads it."""
    words = [shlex.split(line) for line in photosift("audit", state=state).stdout.splitlines()]
    return dict(word.split("=", 1) for export, word in words if export == "export")


def _stats_url(process: subprocess.Popen[str], state: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while (found := re.search(r"bootstrap\.stats_served\s.*url=(\S+)", _log_of(state).read_text())) is None:
        assert process.poll() is None, _log_of(state).read_text()
        assert time.monotonic() < deadline, _log_of(state).read_text()
        time.sleep(0.05)
    return found.group(1)


def _log_of(state: Path) -> Path:
    return state.parent / "run.log"


def tiny(seed: int) -> bytes:
    """A small photo unlike that of any other seed."""
    return jpeg(scene(seed, (120, 90)))


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path

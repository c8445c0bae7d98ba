"""What the all-in-one is put together from, and the report that only somebody who has all of it can make."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from services.leftout import left_out
from services.reconciling import Queues, Reconciling, ReconcilingOnce
from services.report import build
from services.resolver.service import ResolverService
from services.watcher.eyes.service import Eyes
from services.watcher.hands.breaker import limit
from shared.bus.jetstream import Steward
from shared.bus.port import Bus
from shared.config import Settings
from shared.index.port import FileDoc, Index
from shared.lifecycle import Service
from shared.telemetry.health import Health


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Everything of the all-in-one, put together and not yet working."""

    settings: Settings
    person: Bus
    steward: Steward
    eyes: Eyes
    resolver: ResolverService
    index: Index
    reconciling: Reconciling
    health: Health
    #: what runs beside the eyes, whose part differs: ``run`` watches, ``scan`` makes one pass
    services: tuple[Service, ...]
    #: ids of the batches that a person asks for here; with ``apply`` the executor takes no others
    batches: set[str] = field(default_factory=set)

    @property
    def watching(self) -> tuple[Service, ...]:
        """What ``run`` has beside ``services``: eyes that stay open, and a comparison once they have seen all."""
        queues = queues_of(self.steward)
        return (self.eyes, ReconcilingOnce(reconciling=self.reconciling, eyes=self.eyes, queues=queues))

    @property
    def target(self) -> str | None:
        return None if self.settings.target is None else str(self.settings.target)

    def breaker_limit(self) -> int:
        """How many files may go without ``--yes`` (S13)."""
        files = sum(self.eyes.file_count(root.name) for root in self.settings.roots)
        return limit(files, self.settings.breaker)

    async def report(self, *, since: float, seconds: Mapping[str, float], folders_removed: int = 0) -> dict[str, Any]:
        """The object of ``scan --format json``; what was done since then (seconds since the epoch) is part of it."""
        roots = {root.name: root.path for root in self.settings.roots}
        files = [doc async for doc in _walk_all(self.index, roots)]
        hashes = sorted({doc.sha256 for doc in files if doc.sha256})
        return build(
            files=files,
            contents=await self.index.contents(hashes),
            decisions=await self.resolver.open_decisions(),
            acted=await self.resolver.outcomes(since),
            skipped=left_out(self.eyes, roots),
            seconds=seconds,
            roots=roots,
            version=version(),
            folders_removed=folders_removed,
            batches=sorted(self.batches),
        )


async def _walk_all(index: Index, roots: Mapping[str, Path]) -> AsyncIterator[FileDoc]:
    for root in roots:
        async for doc in index.walk(root):
            yield doc


def version() -> str:
    """The version of photosift that is installed."""
    return metadata.version("photosift")


def queues_of(steward: Steward) -> Queues:
    """What the bus says of its queues."""
    return Queues(last_event=partial(steward.last_seq, "FS"), is_idle=steward.is_idle)

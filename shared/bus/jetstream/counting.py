"""What the server says of its streams and consumers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from shared.bus.jetstream.link import Link
from shared.bus.topology import Consumer

#: seconds that a backlog is good for, where nothing is concluded from its being empty
GOOD_FOR = 0.5


class Counter:
    """Backlogs and sequences, over one connection."""

    def __init__(self, link: Link, *, good_for: float = GOOD_FOR) -> None:
        self._link, self._good_for = link, good_for
        self._known: dict[str, tuple[float, dict[str, dict[str, Any]]]] = {}

    async def backlog(self, consumers: Sequence[Consumer]) -> int:
        """Messages not yet acknowledged, summed. All of them belong to one stream. Raises ``BusUnavailable``."""
        infos = await self._cached(consumers[0].stream)
        return sum(unfinished(infos[c.name]) for c in consumers if c.name in infos)

    async def last_seq(self, stream: str) -> int:
        return int((await self.stream(stream))["state"]["last_seq"])

    async def stream(self, stream: str) -> dict[str, Any]:
        return await self._link.call(f"$JS.API.STREAM.INFO.{stream}")

    async def consumers(self, stream: str) -> dict[str, dict[str, Any]]:
        """All consumers' information by name; the server lists them in pages."""
        found: dict[str, dict[str, Any]] = {}
        while True:
            page = await self._link.call(f"$JS.API.CONSUMER.LIST.{stream}", {"offset": len(found)})
            found.update({c["name"]: c for c in page["consumers"]})
            if not page["consumers"] or len(found) >= page["total"]:
                return found

    async def _cached(self, stream: str) -> dict[str, dict[str, Any]]:
        now = asyncio.get_running_loop().time()
        asked, infos = self._known.get(stream, (float("-inf"), {}))
        if now - asked >= self._good_for:
            infos = await self.consumers(stream)
            self._known[stream] = (now, infos)
        return infos


def unfinished(info: dict[str, Any]) -> int:
    return int(info["num_pending"]) + int(info["num_ack_pending"])

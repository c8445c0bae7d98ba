"""A process with an index open: reads commands as JSON lines, answers each with a line.

``{"do": "open", "writable": true}`` first; then ``put`` (numbers), ``refresh``, ``neighbours`` (number, max_distance) or
``put-forever`` (size): puts batch after batch and prints the number of each that ``put`` returned from, until killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count
from typing import Any

import structlog

from shared.index.port import Index
from tests.support.index import Place, batch, place_of, signature_of


async def put_forever(index: Index, size: int) -> None:
    for number in count():
        await index.put(*batch(range(number * size, (number + 1) * size)))
        print(number, flush=True)


async def answer(index: Index, command: dict[str, Any]) -> Any:
    match command["do"]:
        case "put":
            return (await index.put(*batch(command["numbers"]))).written
        case "refresh":
            return await index.refresh()
        case "neighbours":
            found = await index.neighbours([signature_of(command["number"])], command["max_distance"])
            return found[0].hits
        case "put-forever":
            await put_forever(index, command["size"])


async def main(place: Place) -> None:
    opening = json.loads(sys.stdin.readline())
    async with place.opened(writable=opening["writable"]) as index:
        print("null", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await answer(index, json.loads(line))), flush=True)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for answers
    asyncio.run(main(place_of(sys.argv[1:])))

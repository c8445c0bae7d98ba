"""Messages that are stored already, read again by those who may (``STREAM.MSG.GET``)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from typing import Any

from shared.bus.jetstream.answers import NoMessage
from shared.bus.jetstream.hearing import opened
from shared.bus.jetstream.link import Link
from shared.messages.base import Message
from shared.messages.envelope import Envelope


async def last_on(link: Link, stream: str, subject: str) -> tuple[int, Message] | None:
    """The last message on a subject, with its sequence; None where there is none, or it does not decode."""
    found = await _get(link, stream, {"last_by_subj": subject})
    message = None if found is None else _opened(found)
    return None if found is None or message is None else (int(found["seq"]), message[1])


async def from_then_on(link: Link, stream: str, after: int, until: int) -> AsyncIterator[tuple[int, Envelope, Message]]:
    """What lies between two sequences, ``until`` included. One that does not decode is left out, and said."""
    while after < until:
        found = await _get(link, stream, {"seq": after + 1, "next_by_subj": ">"})
        if found is None:
            return
        after = int(found["seq"])
        if after <= until and (message := _opened(found)) is not None:
            yield (after, *message)


async def _get(link: Link, stream: str, which: dict[str, Any]) -> dict[str, Any] | None:
    try:
        answer = await link.call(f"$JS.API.STREAM.MSG.GET.{stream}", which)
    except NoMessage:
        return None
    message: dict[str, Any] = answer["message"]
    return message


def _opened(found: dict[str, Any]) -> tuple[Envelope, Message] | None:
    return opened(found["subject"], b64decode(found.get("data", "")))

"""[pure] What JetStream answers, in photosift's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.bus.port import BusUnavailable
from shared.errors import PermanentError

#: the server's error numbers for: stream full (messages, bytes), storage or memory used up, too many of anything
_FULL = {10077, 10047, 10023, 10028, 10026, 10027}
_NOT_FOUND = {10014, 10059}
_TOO_LONG = 10054


class TooLong(PermanentError):
    """The message is longer than its stream takes."""

    code = "message-too-long"


class NotDeclared(BusUnavailable):
    """The stream or consumer is not declared on the server."""

    code = "not-declared"


def checked(answer: bytes, subject: str) -> dict[str, Any]:
    """The answer's JSON; its ``error`` in photosift's words."""
    try:
        found: dict[str, Any] = json.loads(answer)
    except ValueError as error:
        raise BusUnavailable(f"{subject}: no JSON in the answer") from error
    if complaint := found.get("error"):
        raise translated(complaint, subject)
    return found


def translated(complaint: Mapping[str, Any], subject: str) -> Exception:
    """JetStream's error as photosift's: full and not declared may pass, the rest does not."""
    number, text = complaint.get("err_code"), f"{subject}: {complaint.get('description')}"
    if number in _FULL:
        return BusUnavailable(f"full: {text}")
    if number in _NOT_FOUND:
        return NotDeclared(text)
    if number == _TOO_LONG:
        return TooLong(text)
    if complaint.get("code", 500) >= 500:
        return BusUnavailable(text)
    return PermanentError(text)

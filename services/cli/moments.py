"""[pure] A moment as a person says it: ``30m``, ``2h``, ``1:30:00`` ago, or a date."""

from __future__ import annotations

import re
import time
from datetime import datetime

from shared.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d)")


def moment(text: str, now: float | None = None) -> float:
    """Seconds since the epoch; a date without an offset is local time. Raises ``UsageError``."""
    now = time.time() if now is None else now
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return now - float(ago[1]) * _UNITS[ago[2]]
    clock = _CLOCK.fullmatch(text.strip())
    if clock:
        return now - (int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3]))
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--since: '{text}' is no moment; allowed: 30m, 2h, 1d, H:MM:SS, 2024-05-01T14:00") from error


def moment_text(seconds: float) -> str:
    """A moment as ``moment`` reads it, in local time, rounded down to the second."""
    return datetime.fromtimestamp(int(seconds)).astimezone().isoformat()

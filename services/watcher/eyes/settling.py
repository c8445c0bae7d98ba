"""[pure] When has a file become quiet? One small state machine a file, asked with every look at it. (S15)

Two ways lead to *settled*: the file's own times are older than the settle time (nothing touched it for so long), or it
was watched for that long and neither changed nor was heard of. The second needs no trust in its times: an mtime in
the future, or a clock that is set back, delays a file by one settle time and never for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

_NS = 1_000_000_000


class Moment(NamedTuple):
    """A reading of both clocks."""

    #: seconds since the epoch; may step
    wall: float
    #: seconds that only grow
    steady: float


class Look(NamedTuple):
    """What tells that a file changed: of these each one, or a new inode, starts the waiting anew."""

    size: int
    mtime_ns: int
    ctime_ns: int
    ino: int


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A file that is not known to be quiet yet."""

    #: what it looked like; None before the first look
    look: Look | None = None
    #: steady time since when it has looked like this
    unchanged_since: float = 0.0
    #: steady time of the last event about it
    heard_at: float | None = None
    #: steady time when the waiting began
    began: float = 0.0
    #: steady time of the first look that did not find it
    gone_since: float | None = None

    def missed(self, now: Moment) -> Waiting:
        """It was not there just now; it is looked for once more."""
        return replace(self, gone_since=now.steady)


@dataclass(frozen=True)
class Settled:
    """Quiet: it may be read."""


@dataclass(frozen=True)
class Wait:
    """Look again at ``until`` (steady time), with ``state``."""

    until: float
    state: Waiting


@dataclass(frozen=True)
class Gone:
    """It is not there (any more)."""


Verdict = Settled | Wait | Gone


def is_old_enough(look: Look, now: Moment, settle: float) -> bool:
    """Both its times are further back than the settle time: a scan need not wait for it."""
    newest = max(look.mtime_ns, look.ctime_ns)
    return newest <= now.wall * _NS - settle * _NS


def heard(state: Waiting | None, now: Moment) -> Waiting:
    """An event about the file came in."""
    return replace(state or Waiting(began=now.steady), heard_at=now.steady)


def settle(state: Waiting, look: Look | None, now: Moment, seconds: float, *, being_written: bool = False) -> Verdict:
    """What a look at the file (None: it is not there) says after what was known before.

    ``being_written``: a program has it open for writing, where that can be seen.
    """
    if look is None:
        return Gone()
    state = replace(state, gone_since=None)
    if look != state.look:
        state = replace(state, look=look, unchanged_since=now.steady)
        silent = state.heard_at is None or now.steady >= state.heard_at + seconds
        if silent and is_old_enough(look, now, seconds) and not being_written:
            return Settled()
    quiet_at = max(state.unchanged_since, state.heard_at or 0.0) + seconds
    if being_written:
        return Wait(now.steady + max(seconds, 0.05), state)
    return Settled() if now.steady >= quiet_at else Wait(quiet_at, state)

"""[pure] The breaker: when automatic acting stops by itself, and how it goes on. (S13)

The journal counts; this module says what the counts mean. Confirmed batches are a person's word: they are recorded,
but neither stopped nor counted here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.config import Breaker
from shared.words import counted, were

#: the sliding window, in seconds
DAY = 86_400.0

#: refusals that come from a setting, a rule or the time: they say nothing of a world that is not as it was thought
EXPECTED = frozenset(
    {
        "not-allowed-to-act",
        "class-not-allowed",
        "target-not-mine",
        "expired",
        "batch-stopped",
        "keeper-out-of-reach",
        "not-my-root",
        "not-the-owner",
        "older-journal",
        "not-adopted",
        "roots-overlap",
        "root-unknown",
        "victim-protected",
        "keeper-not-live",
        "not-live",
        "managed-folder",
        "part-of-a-unit",
        "history-unknown",
        "restored-by-a-person",
        "breaker-open",
        "keeper-too-young",
    }
)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What the journal counted, without what a person confirmed."""

    #: automatic acts and removals in the sliding day and since the last confirmation, by root
    acts: dict[str, int] = field(default_factory=dict)
    #: surprising refusals and undone acts since the last act that went well, or the last confirmation
    refusals_in_a_row: int = 0

    @property
    def total(self) -> int:
        return sum(self.acts.values())


def limit(files: int, settings: Breaker) -> int:
    """How many files may be acted on in a day: the share of ``files``, within the two bounds; the upper one wins."""
    return min(max(int(settings.share * files), settings.at_least), settings.at_most)


def is_surprising(code: str | None) -> bool:
    """Whether a refusal counts towards the run that opens the breaker."""
    return code not in EXPECTED


def why_open(root: str, *, counts: Counts, files: dict[str, int], settings: Breaker) -> str | None:
    """Why no automatic act or removal in ``root`` may follow now, and how to go on; None while it may."""
    if counts.refusals_in_a_row >= settings.refusals:
        return f"{counts.refusals_in_a_row} refused or undone acts in a row; {_go_on(None)}"
    in_root = counts.acts.get(root, 0)
    if in_root >= limit(files.get(root, 0), settings):
        return f"{counted(in_root, 'file')} of root {root} were acted on within a day; {_go_on(root)}"
    if counts.total >= limit(sum(files.values()), settings):
        return f"{were(counts.total, 'file')} acted on within a day; {_go_on(None)}"
    return None


def _go_on(root: str | None) -> str:
    which = f" --root {root}" if root else ""
    return f"look at what was done, then say `photosift confirm breaker{which}`"

"""What the hands ask the eyes: plain functions, so that neither imports the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.paths import PhotoPath


def _unknown_age(_photo: PhotoPath) -> float | None:
    return None


def _unknown_number(_root: str) -> int:
    return 0


def _no_doubt(_root: str) -> str | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What the eyes know; asked from the executor's thread."""

    #: since when (seconds since the epoch) this file is known with its content at its place; None: not known (S15)
    known_since: Callable[[PhotoPath], float | None] = _unknown_age
    #: number of files known in a root; 0: not known (S13)
    files_in: Callable[[str], int] = _unknown_number
    #: why nothing can be said about a root now, else None (S14)
    doubt: Callable[[str], str | None] = _no_doubt

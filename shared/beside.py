"""A database of SQLite, read beside the process that writes it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def read_beside(file: Path, ask: Callable[[sqlite3.Connection], T]) -> T | None:
    """What ``ask`` finds there; None where there is no such file. Raises ``sqlite3.Error``."""
    if not file.exists():
        return None
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
        return ask(db)

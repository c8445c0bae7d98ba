"""[pure] Numbers with their nouns, as a person writes them."""

from __future__ import annotations


def counted(n: int, one: str, many: str | None = None) -> str:
    """``1 file``, ``2 files``; ``many`` where an s does not make the plural."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def verb(n: int, one: str, many: str) -> str:
    """``is`` or ``are``, after a number."""
    return one if n == 1 else many


def are(n: int, one: str) -> str:
    """``1 file is``, ``2 files are``."""
    return f"{counted(n, one)} {verb(n, 'is', 'are')}"


def were(n: int, one: str) -> str:
    """``1 file was``, ``2 files were``."""
    return f"{counted(n, one)} {verb(n, 'was', 'were')}"

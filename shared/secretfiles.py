"""Files that only their owner may read: passwords, and what is made of them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path


def new_password() -> str:
    """192 random bits, in letters that need no quoting anywhere."""
    return secrets.token_urlsafe(24)


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    fresh.replace(path)


def written(files: Mapping[Path, str]) -> Iterator[Path]:
    """Write each as ``write_private``, in folders that only their owner may enter."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, text)
        yield path


def missing(files: Mapping[Path, str]) -> dict[Path, str]:
    """Those that are not there yet."""
    return {path: text for path, text in files.items() if not path.exists()}

"""The state folder: one locked part a service, so that two of a kind never share one (flock, holder's pid inside)."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from shared.errors import StateInUse, UsageError
from shared.paths import printable

#: which parts exist; ``run`` and ``scan`` take the first four, ``import-index`` all
PARTS = ("watcher", "analyser", "resolver", "nats", "import")


class StatePart:
    """One service's folder below the state folder, held until ``release`` (or the process ends)."""

    def __init__(self, state_dir: Path, part: str) -> None:
        """Raises ``StateInUse``, and ``UsageError`` where the folder cannot be made or written."""
        self.folder = state_dir / part
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(state_dir, error) from error
        self._take()

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._lock)
            raise _held(self.folder, holder) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.close(self._lock)


def holder_of(state_dir: Path, part: str) -> int | None:
    """The pid that holds a part, or None. Does not take it. Raises ``UsageError`` where that cannot be known."""
    path = state_dir / part / "lock"
    if not path.exists():
        return None
    try:
        probe = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(state_dir, error) from error
    try:
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(probe, 32, 0).decode() or 0)
    else:
        return None
    finally:
        os.close(probe)


def require_free(state_dir: Path) -> None:
    """For a command that takes all parts: it writes and says nothing where it would be refused. Raises ``StateInUse``.

    Each part is taken all the same later on; this only comes before.
    """
    for part in PARTS:
        holder = holder_of(state_dir, part)
        if holder is not None:
            raise _held(state_dir / part, str(holder))


def _held(folder: Path, holder: str) -> StateInUse:
    return StateInUse(f"{folder} is held by process {holder}; stop it, or name another state folder")


def _unusable(state_dir: Path, error: OSError) -> UsageError:
    return UsageError(f"state folder {printable(os.fsencode(state_dir))}: cannot be used: {error.strerror}")

"""The passwords of the bus on disk: each file for its owner alone (0600), whole or not at all. (S21)"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.bus.accounts import GRANTS, Credential
from shared.errors import UsageError
from shared.secretfiles import write_private

CREDENTIALS_FILE = "credentials.json"


def write_credentials(folder: Path, url: str, credentials: Mapping[str, Credential]) -> None:
    """Leave url and passwords for the other processes of the same user."""
    users = {name: c.password for name, c in credentials.items()}
    write_private(folder / CREDENTIALS_FILE, json.dumps({"url": url, "users": users}, indent=1))


def read_credentials(folder: Path, only: Sequence[str] = ()) -> tuple[str, dict[str, Credential]]:
    """Url (may be empty) and credentials from a folder: ``credentials.json``, or a file of each user's name.

    Raises ``UsageError`` where there are none, or one of ``only`` is missing.
    """
    try:
        url, passwords = _read_passwords(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"no passwords of the bus in {folder}: {error}") from error
    missing = [user for user in only or () if user not in passwords]
    if missing or not passwords:
        raise UsageError(f"no password of {', '.join(missing) or 'anyone'} in {folder}")
    return url, {user: Credential(user, password) for user, password in passwords.items()}


def _read_passwords(folder: Path) -> tuple[str, dict[str, str]]:
    together = folder / CREDENTIALS_FILE
    if together.exists():
        found = json.loads(together.read_text())
        return str(found["url"]), {str(k): str(v) for k, v in found["users"].items()}
    files = {g.user: folder / g.user for g in GRANTS}
    return "", {user: path.read_text().strip() for user, path in files.items() if path.is_file()}

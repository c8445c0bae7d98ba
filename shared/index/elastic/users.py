"""The index's users of a deployment: who they are, and their passwords, in the files of Elasticsearch's file realm.

What each may do stands in ``deploy/elasticsearch``: ``roles.yml``, and ``users_roles``, which names these users. A
password is a file of its service's; the server is given hashes.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from shared.secretfiles import missing, new_password, written

#: each is called as the service whose user it is
USERS = ("watcher", "analyser", "resolver", "person", "steward")
#: a service's password of the index, in the folder of its passwords
PASSWORD_FILE = "index"
#: what Elasticsearch reads as ``config/users``
USERS_FILE = Path("elasticsearch") / "users"
#: one of the costs that Elasticsearch knows; a password of 192 random bits needs none
ROUNDS = 10_000


def make_users(folder: Path) -> list[Path]:
    """Make the passwords that are missing, and the users' file of the server; each for its owner alone (0600).

    What is there is kept. Returns the new files. Raises ``OSError``.
    """
    found = {user: folder / user / PASSWORD_FILE for user in USERS}
    made = list(written(missing({path: f"{new_password()}\n" for path in found.values()})))
    passwords = {user: path.read_text().strip() for user, path in found.items()}
    # always anew: it follows from the others
    return [*made, *written({folder / USERS_FILE: users_file(passwords)})]


def users_file(passwords: Mapping[str, str]) -> str:
    """``config/users``: a line each, the user and the hash of the password."""
    return "".join(f"{user}:{hashed(password)}\n" for user, password in passwords.items())


def hashed(password: str) -> str:
    """As Elasticsearch's ``pbkdf2``: HMAC-SHA512, 32 bytes of salt, 256 bits of hash."""
    salt = os.urandom(32)
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS, dklen=32)
    return f"{{PBKDF2}}{ROUNDS}${b64encode(salt).decode()}${b64encode(made).decode()}"

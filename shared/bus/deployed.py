"""The nats-server of a deployment: its configuration, which is the repository's, and its passwords, which are not.

``python -m shared.bus.deployed`` prints ``deploy/nats/server.conf``; a test keeps that file true. It includes
``passwords.conf``, one of the files that ``make_secrets`` makes: each service is given its own passwords and no
others (S20).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.bus.accounts import SERVICE_USERS, Credential, new_credentials, server_settings
from shared.bus.passwords import read_credentials
from shared.bus.topology import declared
from shared.errors import UsageError
from shared.secretfiles import missing, new_password, written

PASSWORDS_FILE = "passwords.conf"
#: secrets that are no users of the bus, by the name of their file
OTHER_SECRETS = ("stats-token", "elasticsearch-password")

_HEAD = """\
# The server of a deployment, for: nats-server --config server.conf --store_dir /data
# Written by `python -m shared.bus.deployed`; a test keeps it true. Who may do what is said in shared/bus/accounts.py.
#
# The passwords stand in passwords.conf beside this file, made by: photosift setup --passwords FOLDER
# Passwords cross the network readable: for services on other hosts start tls.conf instead.

include "passwords.conf"

# for health checks from inside the container alone
http: "127.0.0.1:8222"
"""
_VARIABLE = re.compile(r'"(\$PASSWORD_\w+)"')


def server_conf() -> str:
    """``deploy/nats/server.conf``."""
    placeholders = {user: Credential(user, f"${variable_of(user)}") for user in new_credentials()}
    found = server_settings(placeholders, declared(), store=None, listen="0.0.0.0:4222", sync="always")
    lines = (f"{name}: {json.dumps(value, indent=2)}\n" for name, value in found.items())
    return _HEAD + _VARIABLE.sub(r"\1", "".join(lines))  # a variable in quotes would be a text


def variable_of(user: str) -> str:
    """The name under which ``passwords.conf`` says a user's password."""
    return f"PASSWORD_{user.upper().replace('-', '_')}"


def passwords_conf(credentials: Mapping[str, Credential]) -> str:
    """What ``server.conf`` includes."""
    lines = (f'{variable_of(user)}: "{one.password}"\n' for user, one in sorted(credentials.items()))
    return "# Made by photosift setup. Secret.\n" + "".join(lines)


def make_secrets(folder: Path) -> list[Path]:
    """Make the files that are missing, each for its owner alone (0600); what is there is kept. Returns the new ones.

    ``<service>/<user>`` for the services, ``nats/passwords.conf`` for the server, and ``OTHER_SECRETS``.
    Raises ``OSError``.
    """
    credentials = new_credentials() | _kept(folder)
    wanted = {
        folder / service / user: f"{credentials[user].password}\n"
        for service, users in SERVICE_USERS.items()
        for user in users
    }
    others = {folder / name: f"{new_password()}\n" for name in OTHER_SECRETS}
    made = list(written(missing(wanted | others)))
    # always anew: it follows from the others
    made += written({folder / "nats" / PASSWORDS_FILE: passwords_conf(credentials)})
    return made


def _kept(folder: Path) -> dict[str, Credential]:
    found: dict[str, Credential] = {}
    for service in SERVICE_USERS:
        try:
            found |= read_credentials(folder / service)[1]
        except UsageError:
            continue  # there are none yet
    return found


if __name__ == "__main__":
    sys.stdout.write(server_conf())

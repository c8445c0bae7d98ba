"""Configuration and passwords for a nats-server that somebody else runs (containers, another host).

``python -m shared.bus.external FOLDER`` writes ``FOLDER/server.conf`` for the server and ``FOLDER/<service>/<user>``
for each service (its ``nats_credentials_dir``): it is given its own passwords and no others (S20). Passwords that are
there are kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from shared.bus.accounts import (
    SERVICE_USERS,
    Credential,
    Sync,
    configuration,
    new_credentials,
    read_credentials,
    write_private,
)
from shared.bus.topology import declared
from shared.errors import UsageError


def prepare(folder: Path, *, listen: str, store: Path, sync: Sync = "always") -> None:
    """Write what is missing, and the configuration anew. Passwords that exist stay as they are."""
    credentials = new_credentials()
    for service, users in SERVICE_USERS.items():
        credentials.update(_kept(folder / service))
        (folder / service).mkdir(parents=True, exist_ok=True, mode=0o700)
        for user in users:
            write_private(folder / service / user, credentials[user].password + "\n")
    config = configuration(credentials, declared(), store=store, listen=listen, sync=sync)
    write_private(folder / "server.conf", config)


def _kept(folder: Path) -> dict[str, Credential]:
    try:
        return read_credentials(folder)[1]
    except UsageError:
        return {}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m shared.bus.external", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--listen", default="127.0.0.1:4222", help="address and port (default: %(default)s)")
    parser.add_argument("--store", type=Path, default=Path("/data"), help="the server's data (default: %(default)s)")
    parser.add_argument("--sync", choices=("always", "fast"), default="always")
    options = parser.parse_args(arguments)
    prepare(options.folder, listen=options.listen, store=options.store, sync=options.sync)


if __name__ == "__main__":
    main()

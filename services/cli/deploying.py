"""For servers of one's own: their passwords, streams and indices, and whether a service is well."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated

import typer

from services.cli.exits import STOPPED, complain, run_or_give_up, run_until_signal
from services.cli.options import Config, Verbose, examples, start_log


def add_to(app: typer.Typer) -> None:
    """Make these commands known."""
    app.command(
        epilog=examples(
            "photosift setup --passwords secrets",
            "PHOTOSIFT_NATS_URL=tls://nas:4222 photosift setup",
            "photosift setup --stay",
        )
    )(setup)
    app.command(epilog=examples("photosift health", "photosift health --ready"))(health)


def setup(
    *,
    passwords: Annotated[
        Path | None,
        typer.Option("--passwords", metavar="DIR", help="Only make the password files that are missing."),
    ] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="Stay, and clear the streams of what every service has read.")
    ] = False,
    config: Config = None,
    verbose: Verbose = 0,
) -> None:
    """Declare streams at nats_url and make the indices at index_url. Or, before a first start, make the passwords."""
    from shared.settings_sources import load

    if passwords is not None:
        return _make_secrets(passwords)
    settings = load(config=config)
    start_log(verbose + stay)
    from services import bootstrap, busplaces, indexplaces

    topology = run_or_give_up(lambda: busplaces.declare(settings))
    typer.echo(f"declared: {len(topology.streams)} streams, {len(topology.consumers)} consumers")
    if settings.index_url:
        patience = math.inf if stay else indexplaces.PATIENCE
        run_or_give_up(lambda: indexplaces.prepared_index(settings, patience))
        typer.echo(f"the indices {settings.index_name}-* are there")
    if stay:
        run_until_signal(lambda stop: bootstrap.run_service("steward", settings, stop=stop))


def _make_secrets(folder: Path) -> None:
    from shared.bus.deployed import make_secrets
    from shared.index.elastic.users import make_users
    from shared.paths import printable

    for path in (*make_secrets(folder), *make_users(folder)):
        typer.echo(f"made: {printable(os.fsencode(path))}")


def health(
    *,
    ready: Annotated[bool, typer.Option("--ready", help="Not only alive, but with all that it needs.")] = False,
    config: Config = None,
) -> None:
    """Ask the photosift of these settings whether it is well. Exit code 3 when it is not, or does not answer."""
    from services.stats import ask_health
    from shared.settings_sources import load

    wrong = ask_health(load(config=config), ready=ready)
    if wrong is not None:
        complain(wrong)
        raise typer.Exit(STOPPED)
    typer.echo("ready" if ready else "alive")

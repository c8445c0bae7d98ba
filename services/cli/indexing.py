"""``photosift migrate-index``: the indices on Elasticsearch, carried over to the format of this version."""

from __future__ import annotations

import typer

from services.cli.exits import run_or_give_up
from services.cli.options import Config, Verbose, examples, known_settings, start_log


def add_to(app: typer.Typer) -> None:
    """Make the command known."""
    app.command(name="migrate-index", epilog=examples("photosift migrate-index --config nas.yaml"))(migrate_index)


def migrate_index(config: Config = None, verbose: Verbose = 0) -> None:
    """Carry the indices on Elasticsearch over to this version's format. Stop the services first; no photo is read."""
    settings = known_settings(config)
    start_log(verbose)

    async def work() -> list[str]:
        from services.indexplaces import migrated_index

        return await migrated_index(settings)

    for line in run_or_give_up(work) or ["nothing to do: the indices have the present format"]:
        typer.echo(line)

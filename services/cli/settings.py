"""``photosift config``: the annotated file, what is in force, and what py-image-dedup had."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from services.cli.exits import Command, CommandGroup, complain
from services.cli.options import Config, examples

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="See, check and import settings.",
    epilog=examples("photosift config reference > photosift.yaml", "photosift config check"),
)

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write there instead of standard output; never over a file."),
]


@app.command(cls=Command, epilog=examples("photosift config reference > photosift.yaml"))
def reference(output: Output = None) -> None:
    """Write the annotated settings file. Every setting with its meaning, its default and what is allowed."""
    from shared.settings_reference import reference as text

    _write(text(), output)


@app.command(cls=Command, epilog=examples("photosift config check", "PHOTOSIFT_CONFIG=nas.yaml photosift config check"))
def check(config: Config = None) -> None:
    """Print what is in force, and where each value came from."""
    from shared.paths import printable
    from shared.settings_reference import in_force
    from shared.settings_sources import load_with_origins

    loaded = load_with_origins(config=config)
    file = printable(os.fsencode(loaded.file.absolute())) if loaded.file else "none"
    typer.echo(f"# settings file: {file}")
    for line in in_force(loaded.settings, loaded.origins):
        typer.echo(line)


@app.command(
    cls=Command,
    name="import",
    epilog=examples(
        "photosift config import py_image_dedup.yaml > photosift.yaml", "photosift config import env -o photosift.yaml"
    ),
)
def import_(
    source: Annotated[
        str, typer.Argument(metavar="FILE|env", help="py_image_dedup.yaml, or env for PY_IMAGE_DEDUP_*.")
    ],
    output: Output = None,
) -> None:
    """Carry over the settings of py-image-dedup. Acting is never turned on; what has no place here is listed."""
    from shared.ancestor_import import import_file, import_variables

    imported = import_variables(os.environ, Path.cwd()) if source == "env" else import_file(Path(source))
    _write(imported.text, output)
    for line in imported.carried:
        complain(f"carried over: {line}")
    for line in imported.left:
        complain(f"not carried over: {line}")
    complain(imported.acting)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    from shared.errors import UsageError
    from shared.paths import printable

    try:
        with output.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        raise UsageError(f"{printable(os.fsencode(output))}: is there already, and is not written over") from error
    except OSError as error:
        raise UsageError(f"{printable(os.fsencode(output))}: cannot be written: {error.strerror}") from error

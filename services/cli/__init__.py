"""``photosift``: the command line. It never touches a photo: it asks the services that may.

Exit codes: 0 ran to its end, whatever was unreadable, skipped or refused; 2 wrong usage or settings; 3 stopped before
its end. Whatever is slow to import is imported where it is used, so that ``--help`` is there at once.
"""

from __future__ import annotations

import sys

import typer

from services.cli import asking, deploying, importing, indexing, looking, settings
from services.cli.exits import CommandGroup, to_its_end

app = typer.Typer(
    name="photosift",
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"photosift {version('photosift')}")
        raise typer.Exit


@app.callback(
    epilog="\b\nExamples:\n"
    "  photosift scan ~/Pictures                 one look: what is there twice, and which copy is best\n"
    "  photosift run ~/Pictures                  one full pass, then stays and watches\n"
    "  photosift config reference > photosift.yaml\n"
    "\n\b\nExit codes:\n"
    "  0  ran to its end, whatever was unreadable, skipped or refused\n"
    "  2  wrong usage or settings\n"
    "  3  stopped before its end\n"
)
def _photosift(
    _version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Sift near-duplicate photos. Nothing is touched until you allow it."""


looking.add_to(app)
asking.add_to(app)
indexing.add_to(app)
importing.add_to(app)
deploying.add_to(app)
app.add_typer(settings.app, name="config")


def main() -> None:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):
        # a name that the terminal's encoding has no letters for is escaped, not a crash
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(to_its_end(app))

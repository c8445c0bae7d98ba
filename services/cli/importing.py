"""``photosift import-index``: what image-match or py-image-dedup computed, taken over instead of computed again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.exits import STOPPED, Command, complain, run_until_signal
from services.cli.options import Config, Threads, Verbose, decoding_overrides, examples, settings_for, start_log
from shared.words import counted

if TYPE_CHECKING:
    from services.importing import Imported
    from services.indexplaces import OldIndex
    from shared.config import Settings


def add_to(app: typer.Typer) -> None:
    """Make the command known."""
    app.command(
        cls=Command,
        name="import-index",
        epilog=examples(
            "photosift import-index http://nas:9200 images ~/Pictures",
            "photosift import-index https://nas:9200 images --user old --password-file secret --ca-file ca.pem",
            "photosift import-index http://nas:9200 images --map /mnt/source=/srv/photos --config nas.yaml",
        ),
    )(import_index)


def import_index(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Elasticsearch (any since 6) that holds the old index, http or https.")
    ],
    index: Annotated[str, typer.Argument(metavar="INDEX", help="Its name; py-image-dedup's is images.")],
    folders: Annotated[
        list[str] | None,
        typer.Argument(metavar="DIR", help="Folders of photos; else the roots of the settings.", show_default=False),
    ] = None,
    *,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OLD=NEW",
            help="The index saw a folder as OLD, and here it is NEW (containers). May be given again.",
            show_default=False,
        ),
    ] = None,
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="User of that server.", show_default=False)] = "",
    password_file: Annotated[
        Path | None, typer.Option("--password-file", metavar="FILE", help="File with the user's password.")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option("--api-key-file", metavar="FILE", help="File with an API key, instead of a user.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates (PEM) that vouch for the server.")
    ] = None,
    plaintext: Annotated[
        bool, typer.Option("--plaintext", help="The secret may cross a network readable (http:// beyond this host).")
    ] = False,
    threads: Threads = None,
    config: Config = None,
    verbose: Verbose = 0,
) -> None:
    """Take over the signatures of an image-match or py-image-dedup index. Files are read and hashed, not decoded.

    Needs analysis.signature: exact. The old index is only read. What cannot be taken over is listed with its reason,
    and the next scan reads it. May be stopped: the next one does what is missing.
    """
    from services.indexplaces import OldIndex

    old = OldIndex(
        url=_checked(url),
        index=index,
        user=user,
        password_file=password_file,
        api_key_file=api_key_file,
        ca_file=ca_file,
        plaintext=plaintext,
    )
    moved = _pairs(map_ or ())
    settings = settings_for(folders, config, decoding_overrides(None, threads, False))
    imported = _imported(settings, old, moved, verbose)
    for line in lines_of(imported):
        typer.echo(line)
    if not imported.finished:
        complain("stopped before its end; the next one goes on where this one stopped")
        raise typer.Exit(STOPPED)


def _imported(settings: Settings, old: OldIndex, moved: list[tuple[bytes, bytes]], verbose: int) -> Imported:
    from services import importing
    from services.terminal import shown_progress

    with shown_progress(sys.stderr) as progress:
        start_log(verbose)
        return run_until_signal(
            lambda stop: importing.import_index(settings, old, moved=moved, progress=progress, stop=stop)
        )


def _checked(url: str) -> str:
    """Raises ``UsageError``; a password in the URL is not repeated (S21)."""
    from pydantic import TypeAdapter, ValidationError

    from shared.errors import UsageError
    from shared.settings_values import IndexUrl

    try:
        checked: str = TypeAdapter(IndexUrl).validate_python(url)
    except ValidationError as error:
        raise UsageError(f"URL: {error.errors()[0]['msg']}") from None
    if not checked:
        raise UsageError("URL: no server is named")
    return checked


def _pairs(given: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """Raises ``UsageError``."""
    from shared.errors import UsageError

    pairs = [text.partition("=") for text in given]
    for old, _, new in pairs:
        if not (old.startswith("/") and new.startswith("/")):
            raise UsageError(f"--map: {old}={new}: two absolute folders, OLD=NEW")
    return [(os.fsencode(old), os.fsencode(new)) for old, _, new in pairs]


def lines_of(imported: Imported) -> Iterator[str]:
    """[pure] What was not taken over, a line each; then how much of what."""
    from shared.paths import printable

    for one in imported.left:
        yield f"{printable(one.path)}: {one.reason}: {printable(one.explanation)}"
    counts = dict(imported.counts)
    taken, there = counts.pop("taken", 0), counts.pop("there", 0)
    yield f"{counted(imported.documents, 'document')} in the old index"
    yield f"{counted(taken, 'file')} taken over, {there} known already"
    if counts:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
        yield f"{counted(sum(counts.values()), 'file')} not taken over: {reasons}"

"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.exits import complain

if TYPE_CHECKING:
    from shared.config import Settings
    from shared.settings_sources import Override

Folders = Annotated[list[str] | None, typer.Argument(metavar="DIR", help="Folders of photos.", show_default=False)]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Settings file; see docs/settings.md for where else it is looked for."
    ),
]
Verbose = Annotated[
    int, typer.Option("-v", "--verbose", count=True, help="Say what happens; -vv: everything.", show_default=False)
]
MaxDistance = Annotated[
    float | None,
    typer.Option(
        "--max-distance", metavar="NUMBER", help="Signature distance, 0 to 1, up to which photos are similar."
    ),
]
Threads = Annotated[
    int | None, typer.Option("--threads", "-t", metavar="N", help="Worker processes that decode; 0: one a CPU.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Nothing is written below a folder, whatever else is said.")]


class Format(StrEnum):
    """What standard output holds."""

    TEXT = "text"
    JSON = "json"


def examples(*lines: str) -> str:
    """The end of a command's help; not wrapped, so that it can be copied."""
    return "\b\nExamples:\n" + "".join(f"  {line}\n" for line in lines)


def start_log(verbose: int) -> None:
    from shared.telemetry.logs import configure

    configure(verbose=verbose)


def decoding_overrides(max_distance: float | None, threads: int | None, dry_run: bool) -> list[Override]:
    """What the options that ``run``, ``scan`` and ``analyse`` share say about the settings."""
    from shared.settings_sources import Override

    found = []
    if max_distance is not None:
        key = "deduplication.max_distance"
        found.append(Override(key=key, value=max_distance, option="--max-distance"))
    if threads is not None:
        found.append(Override(key="analysis.threads", value=threads, option="--threads"))
    if dry_run:
        found.append(Override(key="dry_run", value=True, option="--dry-run"))
    return found


def settings_for(
    folders: Sequence[str] | None, config: Path | None, overrides: Sequence[Override] = (), *, alone: bool = True
) -> Settings:
    """The settings in force, with the folders named on the command line as the roots. Raises ``UsageError``.

    ``alone``: the command needs the whole state folder for itself.
    """
    from shared.errors import UsageError
    from shared.settings_roots import chosen_and_remembered, existing_folder
    from shared.settings_sources import Override, load
    from shared.statefolder import require_free

    resolved = [existing_folder(folder) for folder in folders or ()]
    settings = load(config=config, overrides=overrides)
    if alone:
        require_free(_state_dir(settings))
    if not resolved:
        if not settings.roots:
            raise UsageError("no folder of photos: name one (DIR), or set roots in the settings")
        return settings
    chosen = chosen_and_remembered(resolved, settings.roots, _state_dir(settings))
    for note in chosen.notes:
        complain(note)
    return load(config=config, overrides=[*overrides, Override(key="roots", value=chosen.roots, option="DIR")])


def known_settings(config: Path | None, overrides: Sequence[Override] = ()) -> Settings:
    """The settings in force, with the folders that commands named before as further roots: for a person's questions."""
    from shared.settings_roots import all_known_roots, remembered_names
    from shared.settings_sources import Override, load

    settings = load(config=config, overrides=overrides)
    there = {path: name for path, name in remembered_names(_state_dir(settings)).items() if path.is_dir()}
    roots = all_known_roots(settings, there)
    return load(config=config, overrides=[*overrides, Override(key="roots", value=roots, option="DIR")])


def remember_folder(folder: Path, settings: Settings) -> None:
    """From now on it is a known root, under a name of its own. Raises ``UsageError``."""
    from shared.settings_roots import chosen_and_remembered

    chosen_and_remembered([folder], settings.roots, _state_dir(settings))


def _state_dir(settings: Settings) -> Path:
    """Always known after loading."""
    return Path(os.fspath(settings.state_dir or ""))

"""Commands that look at photos: ``scan``, ``run``, ``analyse``, ``demo``, and each service by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from services.cli.exits import STOPPED, WRONG_USAGE, Command, complain, run_until_signal
from services.cli.moments import moment_text
from services.cli.options import (
    Config,
    DryRun,
    Folders,
    Format,
    MaxDistance,
    Threads,
    Verbose,
    decoding_overrides,
    examples,
    settings_for,
    start_log,
)
from shared.words import counted

if TYPE_CHECKING:
    from services.question import Asker
    from services.terminal import ApplyChoice
    from shared.config import Settings
    from shared.settings_sources import Override


ApplyAction = Literal["move", "delete"]


class ApplyClass(StrEnum):
    """The classes of match; an enum, because Typer knows no list of literals."""

    SAME_BYTES = "same-bytes"
    SIMILAR = "similar"


def add_to(app: typer.Typer) -> None:
    """Make these commands known."""
    app.command(
        cls=Command,
        epilog=examples(
            "photosift scan ~/Pictures",
            "photosift scan ~/Pictures --format json > report.json",
            "photosift scan ~/Pictures --apply move --target ~/Duplicates",
            "photosift scan ~/Pictures --apply delete --allow-delete",
        ),
    )(scan)
    app.command(cls=Command, epilog=examples("photosift run ~/Pictures", "photosift run --config nas.yaml"))(run)
    app.command(cls=Command, epilog=examples("photosift analyse ~/Pictures -t 2"))(analyse)
    app.command(cls=Command, epilog=examples("photosift demo"))(demo)
    for service in (watcher, analyser, resolver):
        app.command(cls=Command, epilog=examples(f"PHOTOSIFT_NATS_URL=tls://nas:4222 photosift {service.__name__}"))(
            service
        )


def scan(
    folders: Folders = None,
    *,
    output: Annotated[
        Format, typer.Option("--format", metavar="text|json", help="A table for people, or one JSON object.")
    ] = Format.TEXT,
    max_distance: MaxDistance = None,
    threads: Threads = None,
    dry_run: DryRun = False,
    apply: Annotated[
        ApplyAction | None, typer.Option("--apply", metavar="move|delete", help="Act on what was found, after asking.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="DIR", help="Where --apply move puts files.")
    ] = None,
    allow_delete: Annotated[bool, typer.Option("--allow-delete", help="What --apply delete also needs.")] = False,
    apply_class: Annotated[
        list[ApplyClass] | None,
        typer.Option(
            "--apply-class",
            metavar="same-bytes|similar",
            help="Which copies --apply takes: same-bytes (the default); similar takes those too, and bursts may be "
            "among them.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; wanted without a terminal.")] = False,
    config: Config = None,
    verbose: Verbose = 0,
) -> None:
    """Look at folders once and print every group of copies. Without --apply nothing is touched."""
    from services.cli.applying import check_target, choice_of, overrides_of

    given = choice_of(apply, apply_class, yes=yes, dry_run=dry_run, target=target)
    overrides = [
        *decoding_overrides(max_distance, threads, dry_run),
        *overrides_of(apply, apply_class, target, allow_delete),
    ]
    settings = settings_for(folders, config, overrides)
    check_target(settings)
    if given and settings.dry_run:
        complain("dry run: nothing will be moved")
    _scan(settings, None if settings.dry_run else given, output, verbose)


def _scan(settings: Settings, choice: ApplyChoice | None, output: Format, verbose: int) -> None:
    from services import standalone
    from services.terminal import shown_progress

    started = time.time()
    with shown_progress(sys.stderr) as progress:
        start_log(verbose)
        asker = _asker(choice, progress)

        async def work(stop: asyncio.Event) -> standalone.ScanResult:
            asker.stop = stop
            return await standalone.scan(settings, apply=choice, progress=progress, ask=asker, stop=stop)

        result = run_until_signal(work)
    _show(result, output, settings, proposing=choice is None, started=started)
    _end_of_scan(asker, result.finished)


def _asker(choice: ApplyChoice | None, progress: object) -> Asker:
    from services.question import Asker
    from services.terminal import BarProgress

    pause = progress.paused if isinstance(progress, BarProgress) else contextlib.nullcontext
    on_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    return Asker(agreed=choice.agreed if choice else False, terminal=on_terminal, pause=pause)


def _show(result: Any, output: Format, settings: Settings, *, proposing: bool, started: float) -> None:
    import json

    from services.terminal_report import Invocation, write_outcome

    if output is Format.JSON:
        sys.stdout.write(json.dumps(result.report) + "\n")
    else:
        folders = tuple(root.path for root in settings.roots)
        call = Invocation(folders=folders, proposing=proposing, started=moment_text(started))
        write_outcome(sys.stdout, result.rows, result.report, call)
    sys.stdout.flush()


def _end_of_scan(asker: Asker, finished: bool) -> None:
    if not finished:
        complain("stopped before its end; the next scan goes on where this one stopped")
        raise typer.Exit(STOPPED)
    if asker.refused:
        complain(asker.refused)
        raise typer.Exit(WRONG_USAGE)
    if asker.declined:
        complain("nothing was moved")


def run(
    folders: Folders = None,
    *,
    max_distance: MaxDistance = None,
    threads: Threads = None,
    dry_run: DryRun = False,
    config: Config = None,
    verbose: Verbose = 0,
) -> None:
    """Look at folders once, then stay and watch. Everything in one process, bus and index included."""
    from services.cli.applying import check_target

    settings = settings_for(folders, config, decoding_overrides(max_distance, threads, dry_run))
    check_target(settings)
    _run(settings, verbose)


def _run(settings: Settings, verbose: int) -> None:
    if sys.stdout.isatty() and sys.stderr.isatty():
        _run_at_a_terminal(settings, verbose)
    else:
        _run_with_a_log(settings, verbose)
    complain("stopped; the next start goes on where this one stopped")


def _say_watching(settings: Settings) -> None:
    from shared.paths import printable

    watched = ", ".join(printable(os.fsencode(root.path)) for root in settings.roots)
    doing = {"propose": "proposing only", "move": "moving copies aside", "delete": "moving copies into quarantine"}
    complain(f"watching {watched}; {doing[settings.acting]}; Ctrl-C ends it")


def _run_with_a_log(settings: Settings, verbose: int) -> None:
    from services import standalone

    start_log(verbose + 1)
    run_until_signal(lambda stop: standalone.run_all(settings, stop=stop, ready=lambda: _say_watching(settings)))


def _run_at_a_terminal(settings: Settings, verbose: int) -> None:
    from services import standalone
    from services.cli.hosting import TerminalHost

    with TerminalHost(settings) as host:
        start_log(verbose)
        run_until_signal(
            lambda stop: standalone.run_all(settings, stop=stop, host=host, ready=lambda: _say_watching(settings))
        )


def analyse(
    folders: Folders = None,
    *,
    threads: Threads = None,
    config: Config = None,
    verbose: Verbose = 0,
) -> None:
    """Only fill the index. A later scan or run decides from it at once; nothing is decided or touched now."""
    from services import standalone
    from services.terminal import shown_progress

    settings = settings_for(folders, config, [*decoding_overrides(None, threads, False), _propose()])
    with shown_progress(sys.stderr) as progress:
        start_log(verbose)
        finished = run_until_signal(lambda stop: standalone.analyse_only(settings, progress=progress, stop=stop))
    if not finished:
        complain("stopped before its end; the next one goes on where this one stopped")
        raise typer.Exit(STOPPED)


def _propose() -> Override:
    from shared.settings_sources import Override

    return Override(key="action", value="propose", option="analyse")


def demo(
    folder: Annotated[
        str | None,
        typer.Option("--folder", metavar="DIR", help="Where to make the pictures; default: the user's cache folder."),
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Run on a small library of drawn pictures. It is made first, with copies among them; proposing only."""
    from services.demo import demo_settings, make_library
    from shared.settings_roots import named_folder

    settings = demo_settings(named_folder(folder, "--folder"))
    made = make_library(settings.roots[0].path)
    complain(f"{counted(made, 'picture')} drawn, some of them copies")
    _run(settings, verbose)


def watcher(config: Config = None, verbose: Verbose = 0) -> None:
    """One service: sees files and, where allowed, acts. Needs an external NATS (nats_url)."""
    _service("watcher", config, verbose)


def analyser(config: Config = None, verbose: Verbose = 0) -> None:
    """One service: decodes photos and fills the index. Needs an external NATS (nats_url)."""
    _service("analyser", config, verbose)


def resolver(config: Config = None, verbose: Verbose = 0) -> None:
    """One service: finds copies and decides. Needs an external NATS (nats_url)."""
    _service("resolver", config, verbose)


def _service(name: Literal["watcher", "analyser", "resolver"], config: Path | None, verbose: int) -> None:
    from shared.errors import UsageError

    settings = settings_for(None, config, alone=False)
    if not settings.nats_url:
        raise UsageError(
            "a service by itself needs a bus: set nats_url (PHOTOSIFT_NATS_URL); all-in-one: photosift run"
        )
    from services import bootstrap

    start_log(verbose + 1)
    run_until_signal(lambda stop: bootstrap.run_service(name, settings, stop=stop))

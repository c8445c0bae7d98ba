"""What a person asks of the services: put back, explain, confirm, allow, adopt; and a file's signature."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.cli.exits import STOPPED, WRONG_USAGE, Command, complain, lines_of, run_or_give_up
from services.cli.moments import moment
from services.cli.options import Config, Format, Verbose, examples, known_settings, start_log

if TYPE_CHECKING:
    from shared.config import Settings
    from shared.messages.outcomes import RequestAnswered
    from shared.messages.requests import Request

#: seconds until an answer; putting many files back reads each of them
ANSWER_WITHIN = 60.0
RESTORE_WITHIN = 24 * 3600.0


CONFIRMABLE = ("breaker", "disappearances")


def add_to(app: typer.Typer) -> None:
    """Make these commands known."""
    app.command(
        cls=Command,
        epilog=examples(
            "photosift restore ~/Pictures/a.jpg", "photosift restore --since 1h", "photosift restore --batch 3f2a…"
        ),
    )(restore)
    app.command(cls=Command, epilog=examples("photosift explain ~/Pictures/a.jpg"))(explain)
    app.command(
        cls=Command, epilog=examples("photosift confirm breaker", "photosift confirm disappearances --root family")
    )(confirm)
    app.command(cls=Command, epilog=examples("photosift allow ~/Pictures/Phone", "photosift allow ~/Sync/Camera"))(
        allow
    )
    app.command(
        cls=Command, epilog=examples("photosift adopt family", "photosift adopt ~/Pictures --target ~/Duplicates")
    )(adopt)
    app.command(cls=Command, epilog=examples("photosift signature a.jpg b.jpg", "photosift signature --exact a.jpg"))(
        signature
    )
    app.command(cls=Command, epilog=examples("eval \"$(photosift audit)\" && nats sub 'photosift.>'"))(audit)


def restore(
    path: Annotated[
        str | None, typer.Argument(metavar="PATH", help="The name a photo had.", show_default=False)
    ] = None,
    *,
    decision: Annotated[
        str | None, typer.Option("--decision", metavar="ID", help="All that one decision took.")
    ] = None,
    batch: Annotated[str | None, typer.Option("--batch", metavar="ID", help="All that one batch took.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="All taken since then: 30m, 2h, 1d, or 2024-05-01T14:00."),
    ] = None,
    config: Config = None,
    verbose: Verbose = 0,
) -> None:
    """Put files back where they were. Nothing is ever overwritten; every file's content is checked."""
    from shared.errors import UsageError
    from shared.messages.base import FileRef
    from shared.messages.requests import RestoreRequested
    from shared.settings_roots import photo_path

    if sum(each is not None for each in (path, decision, batch, since)) != 1:
        raise UsageError("name exactly one: PATH, --decision, --batch or --since")
    settings = known_settings(config)
    request = RestoreRequested(
        request_id=_new_id(),
        file=FileRef.of(photo_path(path, settings.roots)) if path is not None else None,
        decision_id=decision,
        batch_id=batch,
        since=moment(since) if since is not None else None,
    )
    _ask(settings, [request], verbose, timeout=RESTORE_WITHIN)


def explain(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A photo.")],
    output: Annotated[
        Format, typer.Option("--format", metavar="text|json", help="text, or one JSON object.")
    ] = Format.TEXT,
    config: Config = None,
    verbose: Verbose = 0,
) -> None:
    """Tell the story of a photo. What it is, what was decided about it and why, what was done, where it lies now."""
    import json

    from services.cli.telling import lines_of_story
    from shared.settings_roots import photo_path

    settings = known_settings(config)
    photo = photo_path(path, settings.roots)
    start_log(verbose)
    from services import asking

    found = run_or_give_up(lambda: asking.explain(settings, photo))
    typer.echo(json.dumps(found, indent=2) if output is Format.JSON else "\n".join(lines_of_story(found)))


def confirm(
    what: Annotated[
        str | None, typer.Argument(metavar="[breaker|disappearances]", help="Without it: both.", show_default=False)
    ] = None,
    root: Annotated[
        str | None, typer.Option("--root", metavar="ROOT", help="Only for this root: name or folder.")
    ] = None,
    config: Config = None,
    verbose: Verbose = 0,
) -> None:
    """Say that you have looked. The breaker is reset, and files that vanished are believed to be gone."""
    from shared.errors import UsageError
    from shared.messages.requests import ConfirmRequested

    if what not in (None, *CONFIRMABLE):
        raise UsageError(f"{what}: nothing to confirm; allowed: {', '.join(CONFIRMABLE)}")
    settings = known_settings(config)
    name = root_name(root, settings) if root is not None else None
    wanted = [what] if what else list(CONFIRMABLE)
    requests = [ConfirmRequested.model_validate({"request_id": _new_id(), "what": w, "root": name}) for w in wanted]
    _ask(settings, requests, verbose)


def allow(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Its path, or root:path.")],
    config: Config = None,
    verbose: Verbose = 0,
) -> None:
    """Allow acting in a folder that another program manages. What goes there may go on other machines too.

    A root that is managed as a whole, or lies in such a folder, is allowed by its own path. Every managed folder inside
    needs its own word.
    """
    from shared.messages.base import FolderRef
    from shared.messages.requests import AllowRequested
    from shared.settings_roots import folder_place

    settings = known_settings(config)
    root, rel = folder_place(folder, settings.roots)
    _ask(settings, [AllowRequested(request_id=_new_id(), folder=FolderRef.of(root, rel))], verbose)


def adopt(
    root: Annotated[str, typer.Argument(metavar="ROOT", help="Name or folder of the root.")],
    *,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="DIR", help="Where files of this root were moved to; the records there are read back."
        ),
    ] = None,
    config: Config = None,
    verbose: Verbose = 0,
) -> None:
    """Let this photosift act in a root from now on. After a move to another machine, or a lost state folder."""
    from shared.messages.requests import AdoptRequested

    settings = _settings_to_adopt(root, target, config)
    _ask(settings, [AdoptRequested(request_id=_new_id(), root=root_name(root, settings))], verbose)


def _settings_to_adopt(root: str, target: str | None, config: Path | None) -> Settings:
    """With the target of the command line; a folder that no memory names any more becomes a root again.

    A target is never told to a running service: what a message says must give no authority over a path (S20).
    """
    from services.busplaces import state_dir
    from services.cli.options import remember_folder
    from shared.errors import UsageError
    from shared.settings_roots import named_folder
    from shared.settings_sources import Override
    from shared.statefolder import holder_of

    there = named_folder(target, "--target")
    if there is not None and not there.is_dir():
        raise UsageError(f"--target: {target}: no such folder")
    overrides = [] if there is None else [Override(key="target", value=there, option="--target")]
    settings = known_settings(config, overrides)
    if there is not None and (settings.nats_url or holder_of(state_dir(settings), "watcher") is not None):
        raise UsageError(
            "a photosift runs on this state folder, with a target of its own: stop it, or set target there"
        )
    folder = Path(os.path.realpath(os.path.expanduser(root)))
    if (
        folder.is_dir()
        and root not in {r.name for r in settings.roots}
        and folder not in {r.path for r in settings.roots}
    ):
        remember_folder(folder, settings)
        settings = known_settings(config, overrides)
    return settings


def root_name(given: str, settings: Settings) -> str:
    """The name of a root given by its name or its folder. Raises ``UsageError`` for anything else."""
    from shared.errors import UsageError

    by_name = {root.name: root.name for root in settings.roots}
    by_folder = {os.fspath(root.path): root.name for root in settings.roots}
    found = by_name.get(given) or by_folder.get(os.path.realpath(os.path.expanduser(given)))
    if found is None:
        raise UsageError(f"{given}: no such root; there are: {', '.join(by_name) or 'none yet'}")
    return found


def signature(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Photos.")],
    exact: Annotated[bool, typer.Option("--exact", help="image-match's own signature, element for element.")] = False,
) -> None:
    """Print the signatures of photos. A JSON object a line, with path, mode and the 648 values from -2 to 2."""
    import json

    from services.analyser.examining import signature_of
    from shared.errors import PhotosiftError
    from shared.paths import path_fields

    mode: Literal["exact", "canonical"] = "exact" if exact else "canonical"
    missing = [file for file in files if not os.path.lexists(file)]
    for file in files:
        named = path_fields(os.fsencode(file))
        text = named["path"]
        if file in missing:
            complain(f"{text}: there is no such file")
            continue
        try:
            values = signature_of(os.fsencode(file), mode)
        except (PhotosiftError, OSError) as error:
            complain(f"{text}: {_sentence(error)}")
            continue
        typer.echo(json.dumps({**named, "mode": mode, "values": values}))
        sys.stdout.flush()
    if missing:
        raise typer.Exit(WRONG_USAGE)


def _sentence(error: Exception) -> str:
    """Why a file gives no signature, as a whole sentence."""
    from services.analyser.reading import CannotRead

    said = error.detail if isinstance(error, CannotRead) else lines_of(error)[0]
    return f"{said[:1].upper()}{said[1:].removesuffix('.')}."


def audit(config: Config = None) -> None:
    """Print, for a shell, where the bus is and a user who may listen to everything and publish nothing."""
    from services import asking

    typer.echo(asking.audit_access(known_settings(config)))


def _new_id() -> str:
    return uuid.uuid4().hex


def _ask(settings: Settings, requests: Sequence[Request], verbose: int, *, timeout: float = ANSWER_WITHIN) -> None:
    """Send the requests one after the other and print every answer."""
    from services import asking
    from shared.messages.requests import answers_wanted

    async def all_of_them() -> list[RequestAnswered]:
        answers: list[RequestAnswered] = []
        for request in requests:
            answers += await asking.ask_service(settings, request, timeout=timeout, waiting=_say_it_waits)
        return answers

    start_log(verbose)
    answers = run_or_give_up(all_of_them)
    hosts = len({answer.by for answer in answers})
    for answer in answers:
        _tell(answer, named=hosts > 1)
    wanted = sum(answers_wanted(request, settings.watchers) for request in requests)
    if 0 < len(answers) < wanted:
        complain(f"{len(answers)} of {wanted} answers came; the others are given when their watchers work again")
    if not answers:
        complain("nobody answered; is the photosift that holds this state folder working? (photosift config check)")
        raise typer.Exit(STOPPED)


def _say_it_waits() -> None:
    complain("sent; waiting for the watcher to answer (Ctrl-C ends the waiting, not the request)")


def _tell(answer: RequestAnswered, *, named: bool) -> None:
    """In the words of a person; who answers is said where several did."""
    from shared.paths import printable

    said = answer.explanation
    if not answer.done:
        said = f"{'Not all of it' if answer.count else 'Not done'}: {said}"
    host = f"{answer.by.rpartition('@')[2]}: " if named else ""
    typer.echo(printable(f"{host}{said[:1].upper()}{said[1:]}"))

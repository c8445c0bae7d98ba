"""How a command ends: one line for a mistake, the right exit code, no traceback for what is not a defect."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from shared.errors import PhotosiftError, UsageError
from shared.paths import printable

WRONG_USAGE = 2
STOPPED = 3

T = TypeVar("T")


class Command(TyperCommand):
    """A command whose help names arguments as its documentation does: ``[DIR…]``."""

    def get_help(self, ctx: Any) -> str:
        return plain_names(super().get_help(ctx))


def plain_names(help_text: str) -> str:
    """[pure] Typer writes ``[DIR]...``, ``{PATH}`` and ``DIR <list[str]>``."""
    usage, newline, rest = help_text.partition("\n")
    usage = re.sub(r"\[\[(.*?)\]\]", r"[\1]", usage)
    usage = re.sub(r"\[([A-Z]+)\]\.\.\.", r"[\1…]", usage)
    usage = re.sub(r"\{(.*?)\}\.\.\.", r"\1…", usage)
    usage = re.sub(r"\{(.*?)\}", r"\1", usage)
    rest = re.sub(r"^(  \S+) <list\[\w+\]>", r"\1…", rest, flags=re.MULTILINE)
    return usage + newline + re.sub(r"^(  \S+) <\w+>", r"\1", rest, flags=re.MULTILINE)


class CommandGroup(TyperGroup):
    """A group of commands whose errors become exit codes."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """What the parser refuses is one line, too; called without anything, it is the help."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except Exception as error:
            if not hasattr(error, "format_message"):
                raise
            message = str(error.format_message())
            if "\n" in message:
                typer.echo(message, err=True)
            else:
                complain(f"{message[:1].lower()}{message[1:].removesuffix('.')}; see {_help_of(error)}")
            code = WRONG_USAGE
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(STOPPED) from None
        except BrokenPipeError:
            raise typer.Exit(STOPPED) from None
        except (PhotosiftError, OSError, ExceptionGroup) as error:
            raise typer.Exit(explained(error)) from error


def _help_of(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else 'photosift'} --help"


def to_its_end(command: Callable[[], Any]) -> int:
    """Run the command; its exit code, also where its output could not be written to the end."""
    try:
        try:
            command()
        except SystemExit as ended:
            sys.stdout.flush()
            # 1 is Typer's word for a reader that went away and for an end of input
            return STOPPED if ended.code == 1 else int(ended.code or 0)
    except OSError as error:
        # what is left in the buffer has nowhere to go; the interpreter would complain of it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            complain(f"standard output: {error.strerror}")
        return STOPPED
    return 0


def explained(error: Exception) -> int:
    """Say what went wrong, a line each, and return the exit code. A defect is raised again, with its traceback."""
    found = list(_leaves(error))
    if not all(isinstance(each, PhotosiftError | OSError) for each in found):
        raise error
    for line in dict.fromkeys(line for each in found for line in lines_of(each)):
        complain(line)
    return WRONG_USAGE if any(isinstance(each, UsageError) for each in found) else STOPPED


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors themselves, without the groups that tasks wrap them in."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def lines_of(error: BaseException) -> tuple[str, ...]:
    """[pure] What a person reads of an error: one line, or one a mistake in the settings."""
    from shared.settings_complaints import SettingsWrong

    if isinstance(error, SettingsWrong):
        return error.complaints
    if isinstance(error, OSError):
        name = f"{printable(os.fsencode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        return (f"{name}{error.strerror or error}",)
    if type(error) is UsageError and error.detail:
        return (error.detail,)
    return (str(error),)


def complain(line: str) -> None:
    """One line on standard error."""
    typer.echo(f"photosift: {printable(line)}", err=True)


def run_until_signal(work: Callable[[asyncio.Event], Awaitable[T]]) -> T:
    """Run ``work(stop)`` to its own end; SIGINT and SIGTERM set ``stop``."""
    from shared.lifecycle import stop_on_signals

    async def told() -> T:
        async with stop_on_signals() as stop:
            return await work(stop)

    return asyncio.run(told())


def run_or_give_up(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``work``, which knows nothing of stopping: SIGINT and SIGTERM cancel it, and the command exits with 3."""

    async def raced(stop: asyncio.Event) -> T:
        working, stopping = asyncio.create_task(work()), asyncio.create_task(stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        given_up = not working.done()
        for task in (working, stopping):
            task.cancel()
        await asyncio.wait({working, stopping})
        if given_up:
            raise typer.Exit(STOPPED)
        return working.result()

    return run_until_signal(raced)

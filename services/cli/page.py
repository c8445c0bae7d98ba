"""``python -m services.cli.page`` prints the page ``docs/commands.md``: every command with its options and examples."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from services.cli import app

_HEAD = """\
# Commands

*Written by `python -m services.cli.page`; a test keeps it true.*

The command line never touches a photo: it asks the services that may. If a photosift is running on the state folder,
the command speaks to that; otherwise it starts what it needs for as long as it takes. `run` and `scan` need the state
folder for themselves, and are refused with the number of the process that holds it.

Exit codes: **0** ran to its end, whatever was unreadable, skipped or refused (a service that was told to stop has ended
as it should); **2** wrong usage or settings; **3** stopped before its end. A mistake is one line on standard error.
Standard output holds the result alone; progress, questions and the log go to standard error.
"""


def page() -> str:
    """The whole page."""
    top: Any = get_command(app)
    return _HEAD + "".join(_section(["photosift", name], found) for name, found in top.commands.items())


def _section(names: list[str], command: Any) -> str:
    below = getattr(command, "commands", None)
    if below:
        return "".join(_section([*names, name], found) for name, found in below.items())
    return "\n".join(_lines(names, command)) + "\n"


def _lines(names: list[str], command: Any) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([*names, *(_usage(argument) for argument in arguments)])
    yield from ("", f"## {' '.join(names)}", "", f"`{usage}`", "", " ".join(command.help.split()), "")
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield f"* `{_spelled(parameter)}`: {parameter.help}"
        elif parameter.help:
            yield f"* `{parameter.metavar}`: {parameter.help}"
    yield from ("", "```console")
    yield from (f"$ {line.strip()}" for line in command.epilog.partition("Examples:")[2].strip().splitlines())
    yield "```"


def _usage(argument: Any) -> str:
    name = str(argument.metavar)
    if name.startswith("[") or argument.required:
        return name + ("…" if argument.nargs == -1 else "")
    return f"[{name}{'…' if argument.nargs == -1 else ''}]"


def _spelled(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len, reverse=True))
    return names if option.is_flag or option.count else f"{names} {option.metavar}"


if __name__ == "__main__":
    sys.stdout.write(page())

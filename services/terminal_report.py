"""The outcome of a scan for people: a table a group, the counts, what could not be looked at, and what to do now."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import IO, Any

from services.terminal import TableRow, size_text
from shared.paths import printable

#: so many paths are named for each reason
EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """What the command was called with, so that the next one can be named in full."""

    folders: tuple[os.PathLike[str], ...]
    #: True for a dry run, or without ``--apply``
    proposing: bool
    #: when it began, as ``restore --since`` reads it
    started: str

    @property
    def folders_text(self) -> str:
        return " ".join(shlex.quote(printable(os.fsencode(f))) for f in self.folders)


def write_outcome(out: IO[str], rows: Sequence[TableRow], report: Mapping[str, Any], call: Invocation) -> None:
    """Everything, in the order a person reads it: groups, then what was left out, then counts and what to do now."""
    write_group = _write_table if out.isatty() else _write_lines
    for number, members in groupby(rows, key=lambda row: row.group):
        write_group(out, number, list(members))
    for line in (*left_out(report), *summary(rows, report), "", *what_now(rows, call)):
        out.write(f"{line}\n")


def _write_lines(out: IO[str], number: int, members: list[TableRow]) -> None:
    """Into a pipe: it has no width, and cutting names to fit one would make them useless."""
    out.write(f"Group {number}\n")
    for row in members:
        out.write("\t".join(cells(row)) + "\n")
    out.write("\n")


def _write_table(out: IO[str], number: int, members: list[TableRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    folder = common_folder([row.path for row in members])
    where = f", in {printable(folder)}" if folder else ""
    table = Table(title=_literal(f"Group {number}{where}"), title_justify="left")
    table.add_column("action")
    table.add_column("path", overflow="fold", ratio=1)
    for heading in ("distance", "size", "pixels"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("decided by")
    for row in members:
        table.add_row(*map(_literal, cells(row, below=folder)))
    Console(file=out, highlight=False, markup=False, emoji=False).print(table)


def _literal(text: str) -> Any:
    """A cell in which square brackets are only brackets."""
    from rich.text import Text

    return Text(text)


def common_folder(paths: Sequence[bytes]) -> bytes:
    """[pure] The deepest folder that holds all of these absolute paths; empty where that is the top."""
    found = os.path.commonpath([os.path.dirname(path) for path in paths])
    return b"" if found == b"/" else found


def cells(row: TableRow, *, below: bytes = b"") -> tuple[str, str, str, str, str, str]:
    """[pure] The columns: action, path (as seen from ``below``), distance, size, pixels, decided by."""
    distance = "" if row.distance is None else f"{row.distance:.3f}"
    why = row.reason if row.action == "refused" else row.decided_by
    pixels = f"{row.width} x {row.height}"
    path = row.path[len(below) + 1 :] if below else row.path
    return row.action, printable(path), distance, size_text(row.size), pixels, printable(why)


def left_out(report: Mapping[str, Any]) -> Iterable[str]:
    """[pure] Unreadable and skipped files by reason, with the first few of each."""
    for heading, key, reason in (("Unreadable", "unreadable", "reason"), ("Skipped", "skipped", "rule")):
        by_reason: dict[str, list[str]] = {}
        for entry in report.get(key, ()):
            by_reason.setdefault(str(entry[reason]), []).append(str(entry["path"]))
        for why, paths in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
            yield f"{heading}, {printable(why)}: {len(paths)}"
            yield from (f"    {printable(path)}" for path in paths[:EXAMPLES])
            if len(paths) > EXAMPLES:
                yield f"    and {len(paths) - EXAMPLES} more (--format json lists them all)"


def summary(rows: Sequence[TableRow], report: Mapping[str, Any]) -> Iterable[str]:
    """[pure] Counts, and the seconds of each phase."""
    duplicates = [row for row in rows if row.action != "keep"]
    groups = len({row.group for row in rows})
    yield ""
    yield (
        f"{groups} groups with {len(duplicates)} copies ({size_text(sum(r.size for r in duplicates))}), "
        f"{len(report.get('unique', ()))} files without a copy, "
        f"{len(report.get('unreadable', ()))} unreadable, {len(report.get('skipped', ()))} skipped"
    )
    by_action = {action: sum(r.action == action for r in duplicates) for action in ("moved", "quarantined", "refused")}
    if any(by_action.values()):
        yield ", ".join(f"{n} {action}" for action, n in by_action.items())
    folders = report.get("counts", {}).get("folders_removed", 0)
    if folders:
        yield f"{folders} emptied folders removed"
    seconds = report.get("seconds", {})
    if seconds:
        yield "Seconds: " + ", ".join(f"{phase} {spent:.1f}" for phase, spent in seconds.items())


def what_now(rows: Sequence[TableRow], call: Invocation) -> Iterable[str]:
    """[pure] The next step, as a command that can be copied."""
    if any(row.action in ("moved", "quarantined") for row in rows):
        yield f"To put back what was taken: photosift restore --since {call.started}"
        return
    if not call.proposing or not any(row.action == "propose" for row in rows):
        return
    yield "Nothing was touched. To move exact copies (same-bytes) aside:"
    yield f"    photosift scan {call.folders_text} --apply move --target FOLDER"
    yield "They can be put back with photosift restore."


def outline(found: Any, depth: int = 0) -> Iterable[str]:
    """[pure] Nested names and values as indented lines, for ``explain``."""
    indent = "  " * depth
    pairs = found.items() if isinstance(found, Mapping) else (("-", each) for each in found)
    for name, value in pairs:
        if isinstance(value, Mapping | list | tuple) and value:
            yield f"{indent}{printable(str(name))}"
            yield from outline(value, depth + 1)
        elif value not in (None, "", [], {}):
            yield f"{indent}{printable(str(name))}: {printable(str(value))}"

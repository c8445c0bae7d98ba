"""The outcome of a scan for people: a table a group, the counts, what could not be looked at, and what to do now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import IO, Any

from services.terminal import TableRow, size_text
from shared.paths import for_shell, printable
from shared.words import counted

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
        return " ".join(for_shell(os.fsencode(f)) for f in self.folders)


def write_outcome(out: IO[str], rows: Sequence[TableRow], report: Mapping[str, Any], call: Invocation) -> None:
    """Everything, in the order a person reads it: groups, then what was left out, then counts and what to do now."""
    write_group = _write_table if out.isatty() else _write_lines
    for number, members in groupby(rows, key=lambda row: row.group):
        write_group(out, number, list(members))
    for line in (*left_out(report), *summary(rows, report), "", *what_now(rows, call, report.get("batches", ()))):
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
    table.add_column("class", no_wrap=True)
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


def cells(row: TableRow, *, below: bytes = b"") -> tuple[str, str, str, str, str, str, str]:
    """[pure] The columns: action, path (as seen from ``below``), class, distance, size, pixels, decided by."""
    distance = "" if row.distance is None else f"{row.distance:.3f}"
    why = row.reason if row.action == "refused" else row.decided_by
    pixels = f"{row.width} x {row.height}"
    path = row.path[len(below) + 1 :] if below else row.path
    return row.action, printable(path), row.match_class, distance, size_text(row.size), pixels, printable(why)


def left_out(report: Mapping[str, Any]) -> Iterable[str]:
    """[pure] Unreadable and skipped files by reason, with the first few of each."""
    for heading, key, name, sentence in (
        ("Unreadable", "unreadable", "reason", "explanation"),
        ("Skipped", "skipped", "rule", "reason"),
    ):
        by_name: dict[str, list[tuple[str, str]]] = {}
        for entry in report.get(key, ()):
            pair = printable(str(entry["path"])), printable(str(entry.get(sentence, "")))
            by_name.setdefault(str(entry[name]), []).append(pair)
        for why, entries in sorted(by_name.items(), key=lambda item: (-len(item[1]), item[0])):
            yield from _one_reason(f"{heading}, {printable(why)}: {len(entries)}", entries)


def _one_reason(heading: str, entries: Sequence[tuple[str, str]]) -> Iterable[str]:
    """The sentence stands once where it is the same for all, else with each path."""
    sentences = {sentence for _, sentence in entries}
    common = sentences.pop() if len(sentences) == 1 else ""
    yield heading + (f" ({common})" if common else "")
    for path, sentence in entries[:EXAMPLES]:
        yield f"    {path}" + (f": {sentence}" if sentence and not common else "")
    if len(entries) > EXAMPLES:
        yield f"    and {len(entries) - EXAMPLES} more (--format json lists them all)"


def summary(rows: Sequence[TableRow], report: Mapping[str, Any]) -> Iterable[str]:
    """[pure] Counts, and the seconds of each phase."""
    duplicates = [row for row in rows if row.action != "keep"]
    groups = len({row.group for row in rows})
    yield ""
    yield (
        f"{counted(groups, 'group')} with {counted(len(duplicates), 'copy', 'copies')}{_of_what_kind(duplicates)}, "
        f"{counted(len(report.get('unique', ())), 'file')} without a copy, "
        f"{len(report.get('unreadable', ()))} unreadable, {len(report.get('skipped', ()))} skipped"
    )
    by_action = {action: sum(r.action == action for r in duplicates) for action in ("moved", "quarantined", "refused")}
    if any(by_action.values()):
        yield ", ".join(f"{n} {action}" for action, n in by_action.items())
    folders = report.get("counts", {}).get("folders_removed", 0)
    if folders:
        yield f"{counted(folders, 'emptied folder')} removed"
    seconds = report.get("seconds", {})
    if seconds:
        yield "Seconds: " + ", ".join(f"{phase} {spent:.1f}" for phase, spent in seconds.items())


def _of_what_kind(duplicates: Sequence[TableRow]) -> str:
    """`` (3 same-bytes, 1.2 MB; 1 similar, 0.4 MB)``; empty where there are none."""
    kinds = []
    for name in ("same-bytes", "similar"):
        sizes = [row.size for row in duplicates if row.match_class == name]
        if sizes:
            kinds.append(f"{len(sizes)} {name}, {size_text(sum(sizes))}")
    return f" ({'; '.join(kinds)})" if kinds else ""


def what_now(rows: Sequence[TableRow], call: Invocation, batches: Sequence[str] = ()) -> Iterable[str]:
    """[pure] The next step, as a command that can be copied."""
    if any(row.action in ("moved", "quarantined") for row in rows):
        selections = [f"--batch {batch}" for batch in batches] or [f"--since {call.started}"]
        for selection in selections:
            yield f"To put back what was taken: photosift restore {selection}"
        yield "What became of one file, and why: photosift explain PATH"
        return
    if not call.proposing or not any(row.action == "propose" for row in rows):
        return
    command = f"    photosift scan {call.folders_text} --apply move --target FOLDER"
    if any(row.action == "propose" and row.match_class == "same-bytes" for row in rows):
        yield "Nothing was touched. To move exact copies (same-bytes) aside:"
        yield command
    else:
        yield "Nothing was touched, and no copy has the same bytes. To move similar ones aside, when you have looked:"
        yield f"{command} --apply-class similar"
    yield "They can be put back with photosift restore."

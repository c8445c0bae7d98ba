"""[pure] The settings, written out: the annotated YAML file, the page of the documentation, and what is in force.

``python -m shared.settings_reference`` prints the page ``docs/settings.md``.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared.config import Settings
from shared.paths import printable
from shared.secrets import redacted
from shared.settings_complaints import Origin, origin_at
from shared.settings_schema import Key, Leaf, leaves, root_leaves, sections
from shared.settings_yaml import one_line, value_of, yaml_lines

_WIDTH = 100
_HEAD = """\
photosift's settings, with their defaults. Looked for in this order: --config, PHOTOSIFT_CONFIG, ./photosift.yaml,
photosift/photosift.yaml in your configuration folder. Each setting can also be given as the variable named beside it;
a variable wins over this file, an option of the command line over both. Relative folders are relative to this file.
"""
_PAGE_HEAD = """\
*Written by `python -m shared.settings_reference`; a test keeps it true.*

One YAML file: `--config FILE`, else `PHOTOSIFT_CONFIG`, else `./photosift.yaml`, else `photosift/photosift.yaml` in the
user's configuration folder. Then the environment: `PHOTOSIFT_` and the setting's name, `__` between levels, lists as
JSON or separated by commas. Then the options of the command. The last one wins; a list is replaced as a whole. Relative
folders are relative to the file, or to the working folder. Durations are `H:MM:SS`.

`photosift config reference` writes the annotated file, `photosift config check` prints what is in force and where each
value came from. A mistake ends the command with exit code 2 and one line for each that says where it stands,
what is wrong and what is allowed.

**`action` alone decides about acting**: `propose` (the default) writes nothing below a root; `move` needs `target`;
`delete` moves into the quarantine and also needs `allow_delete: true`. `dry_run: true` always wins. `photosift scan`
only proposes, whatever the file says, unless `--apply` is given.
"""
_ROOT_EXAMPLE = """\
#   - name: family
#     path: /photos/family
#     role: library
"""


def reference() -> str:
    """The annotated file: every setting with its sentence, type, default and variable. It loads, to the defaults."""
    lines = [*_comment(_HEAD, "")]
    section = ""
    for leaf in leaves():
        if len(leaf.key) > 1 and leaf.key[0] != section:
            section = leaf.key[0]
            lines += ["", *_comment(sections()[section], ""), f"{section}:"]
        lines += ["", *_annotated(leaf)]
    return "\n".join(lines) + "\n"


def _annotated(leaf: Leaf) -> Iterator[str]:
    indent = "  " * (len(leaf.key) - 1)
    yield from _comment(leaf.sentence, indent)
    yield from _comment(f"Allowed: {leaf.allowed}. Default: {default_text(leaf)}. Variable: {leaf.variable}", indent)
    if leaf.kind == "roots":
        for part in root_leaves():
            yield from _comment(f"{part.key[-1]}: {part.sentence} Allowed: {part.allowed}.", f"{indent}")
    yield from yaml_lines(leaf.key[-1], default_of(leaf.key), indent)
    if leaf.kind == "roots":
        yield from _ROOT_EXAMPLE.splitlines()


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield f"{indent}# {line}"


def default_of(key: Iterable[str]) -> Any:
    return value_of(Settings(), key)


def default_text(leaf: Leaf) -> str:
    """The default for a person; ``none`` for an empty one."""
    shown = one_line(default_of(leaf.key))
    return "none" if shown in ("", '""', "[]") else shown


# ---------------------------------------------------------------------------------------------- in force


def in_force(settings: Settings, origins: Mapping[Key, Origin]) -> Iterator[str]:
    """A line a setting: value, and where it came from. Passwords in addresses are not shown (S21)."""
    for leaf in leaves():
        value = redacted(one_line(value_of(settings, leaf.key)))
        yield f"{leaf.dotted}: {printable(value) or 'none'}  # {_from(leaf, origins)}"


def _from(leaf: Leaf, origins: Mapping[Key, Origin]) -> str:
    place = leaf.key if leaf.key in origins else leaf.key[:0]
    return printable(str(origin_at(place, origins)))


# -------------------------------------------------------------------------------------- the documentation


def page() -> str:
    """``docs/settings.md``."""
    lines = ["# Settings", "", _PAGE_HEAD, *_table("", [leaf for leaf in leaves() if len(leaf.key) == 1])]
    lines += ["", "## A root", "", "One entry of `roots`; a path alone is enough.", ""]
    lines += _table("", root_leaves(), variable=False)
    for name, sentence in sections().items():
        lines += ["", f"## {name}", "", sentence, ""]
        lines += _table(name, [leaf for leaf in leaves() if leaf.key[0] == name])
    return "\n".join(lines) + "\n"


def _table(section: str, rows: Iterable[Leaf], *, variable: bool = True) -> Iterator[str]:
    head = ["setting", "meaning", "allowed", "default", *(["variable"] if variable else [])]
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for leaf in rows:
        cells = [f"`{leaf.key[-1]}`", leaf.sentence, _choices_text(leaf), f"`{_page_default(leaf)}`"]
        yield "| " + " | ".join([*map(_cell, cells), *([f"`{leaf.variable}`"] if variable else [])]) + " |"


def _choices_text(leaf: Leaf) -> str:
    return leaf.allowed.replace(" | ", ", ")


def _page_default(leaf: Leaf) -> str:
    if leaf.key[0] == "roots" and len(leaf.key) > 1:
        return one_line(leaf.default) or "none"
    return default_text(leaf)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(page())

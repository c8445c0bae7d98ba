"""[pure] What is said of a mistake in the settings: one line each, with where, what is wrong, and what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from shared.errors import UsageError
from shared.paths import printable
from shared.secrets import redacted
from shared.settings_schema import LEVEL, PREFIX, Key, Leaf, known_at, leaf_at, leaves, nearest, sections

#: a value is quoted up to this length
LONGEST_QUOTE = 80
#: what pydantic says in the words of a programmer
_PLAIN = {
    "literal_error": "not one of these",
    "tuple_type": "not a list",
    "model_type": "not a section with settings",
    "path_type": "not the name of a folder",
    "string_type": "not a text",
    "bool_parsing": "neither true nor false",
    "float_parsing": "not a number",
    "int_parsing": "not a whole number",
}


class SettingsWrong(UsageError):
    """The settings are wrong."""

    def __init__(self, complaints: Iterable[str]) -> None:
        #: one line each
        self.complaints = tuple(map(printable, complaints))
        super().__init__("; ".join(self.complaints))


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a value came from."""

    source: Literal["file", "environment", "command line", "default"]
    #: ``photosift.yaml, line 3``; the name of the variable or of the option
    place: str = ""

    def __str__(self) -> str:
        return self.place or self.source

    def naming(self, key: Key) -> str:
        """Place and key; a variable and an option are their own key."""
        named = ".".join(map(str, key))
        if self.source in ("environment", "command line"):
            return self.place
        return f"{self.place}: {named}" if self.place else named


def complaints_of(error: ValidationError, origins: Mapping[Key, Origin]) -> list[str]:
    """One line for each thing that the models refused."""
    return [_complaint(dict(each), origins) for each in error.errors(include_url=False)]


def _complaint(error: dict[str, Any], origins: Mapping[Key, Origin]) -> str:
    key: Key = tuple(error["loc"])
    where = origin_at(key, origins).naming(key)
    if error["type"] == "extra_forbidden":
        return f"{where}: {unknown(key)}"
    leaf = leaf_at(key)
    wrong = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error" or leaf is None:
        return _between_settings(key, where, _PLAIN.get(error["type"], wrong), origins)
    if error["type"] == "missing":
        return f"{where}: is missing; allowed: {leaf.allowed}"
    shown = "what stands there" if leaf.secret else quoted(error["input"])
    return f"{where}: {shown}: {_wrong(error, leaf, wrong)}; allowed: {leaf.allowed}"


def _wrong(error: Mapping[str, Any], leaf: Leaf, said: str) -> str:
    """What is wrong with one value; a word that nearly is one of those allowed was probably meant to be it."""
    given, kind = error["input"], error["type"]
    if kind == "tuple_type" and isinstance(given, str) and leaf.kind == "list":
        return f"a text, not a list; as a list: [{given}]"
    meant = nearest(given, leaf.choices, likeness=0.85) if kind == "literal_error" and isinstance(given, str) else None
    return f"did you mean {meant}?" if meant else _PLAIN.get(kind, f"{said[:1].lower()}{said[1:]}")


def _between_settings(key: Key, where: str, wrong: str, origins: Mapping[Key, Origin]) -> str:
    """A rule between several settings: it is said where the one that its sentence names stands."""
    if key:
        return f"{where}: {wrong}"
    named = next((leaf.key for leaf in leaves() if re.match(rf"{leaf.dotted}\b", wrong)), ())
    place = origin_at(named, origins).place if named else ""
    return f"{place}: {wrong}" if place else wrong


def origin_at(key: Key, origins: Mapping[Key, Origin]) -> Origin:
    """Where a value came from: its own place, or that of what holds it."""
    for length in range(len(key), 0, -1):
        if key[:length] in origins:
            return origins[key[:length]]
    return Origin(source="default")


def unknown(key: Key) -> str:
    """What is said of a key that does not exist."""
    names = tuple(part for part in key if isinstance(part, str))
    if names == ("py_image_dedup",):
        return "this is py-image-dedup's file; carry it over with: photosift config import FILE"
    meant = _meant(names)
    allowed = known_at(names[:-1])
    return "unknown setting; " + (f"did you mean {meant}?" if meant else f"allowed here: {', '.join(allowed)}")


def unknown_variable(variable: str) -> str:
    """What is said of an environment variable with our prefix that is no setting."""
    names = [leaf.variable for leaf in leaves()]
    bare = variable.removeprefix(PREFIX)
    if bare.lower() in sections():
        inside = next(name for name in names if name.startswith(f"{variable}{LEVEL}"))
        return f"{variable}: a section, no setting; allowed: a variable for each setting in it, such as {inside}"
    meant = nearest(bare, [*(name.removeprefix(PREFIX) for name in names), "CONFIG"])
    if meant is None:
        meant = (_meant(tuple(bare.lower().split(LEVEL))) or "").replace(".", LEVEL).upper()
    allowed = (
        f"did you mean {PREFIX}{meant}?"
        if meant
        else "allowed: PHOTOSIFT_ and a setting of `photosift config reference`"
    )
    return f"{variable}: unknown setting; {allowed}"


def _meant(names: tuple[str, ...]) -> str | None:
    """The setting that was probably meant: a sibling, the same name elsewhere, or one spelled alike."""
    sibling = nearest(names[-1], known_at(names[:-1]))
    if sibling:
        return ".".join((*names[:-1], sibling))
    last = {leaf.key[-1]: leaf.dotted for leaf in leaves()}
    elsewhere = nearest(names[-1], last)
    return last[elsewhere] if elsewhere else nearest(".".join(names), [leaf.dotted for leaf in leaves()])


def quoted(value: Any) -> str:
    """A value as it may be shown: short, on one line, and without a password (S21)."""
    shown = json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
    text = redacted(shown)
    return f"'{text}'" if len(text) <= LONGEST_QUOTE else f"'{text[:LONGEST_QUOTE]}…'"

"""[pure] The settings seen as a list: key, type, bounds, default, sentence. Read from the models' own JSON Schema."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from shared.config import Root, Settings

#: a place in the settings: names, and numbers inside lists
Key = tuple[str | int, ...]

PREFIX = "PHOTOSIFT_"
LEVEL = "__"


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One setting."""

    key: tuple[str, ...]
    #: ``boolean`` | ``integer`` | ``number`` | ``text`` | ``folder`` | ``file`` | ``duration`` | ``list`` | ``roots``
    kind: str
    #: as the JSON Schema gives it
    default: Any
    sentence: str
    #: what may stand there, for a person
    allowed: str
    #: the values that may stand there, or in the list, where they can be counted
    choices: tuple[str, ...]
    #: may be left empty, which means "unset"
    optional: bool
    #: never shown (S21)
    secret: bool = False

    @property
    def dotted(self) -> str:
        return ".".join(self.key)

    @property
    def variable(self) -> str:
        return PREFIX + LEVEL.join(self.key).upper()


@cache
def leaves() -> tuple[Leaf, ...]:
    """Every setting, in the order in which they are declared."""
    schema = Settings.model_json_schema()
    return tuple(_walk(schema, schema["$defs"], ()))


@cache
def root_leaves() -> tuple[Leaf, ...]:
    """What can be said of one root."""
    return tuple(_walk(Root.model_json_schema(), {}, ("roots",)))


@cache
def sections() -> Mapping[str, str]:
    """The sections by name, with their sentences."""
    fields = Settings.model_fields.items()
    return {name: str(field.description) for name, field in fields if name not in {leaf.key[0] for leaf in _top()}}


def _top() -> Iterator[Leaf]:
    return (leaf for leaf in leaves() if len(leaf.key) == 1)


def leaf_at(key: Key) -> Leaf | None:
    """The setting that a place in the settings belongs to; numbers inside lists are ignored."""
    names = tuple(part for part in key if isinstance(part, str))
    return next((leaf for leaf in (*leaves(), *root_leaves()) if leaf.key == names), None)


def known_at(key: tuple[str, ...]) -> list[str]:
    """The names that are allowed directly below a place."""
    below = [leaf.key for leaf in (*leaves(), *root_leaves()) if leaf.key[: len(key)] == key]
    return list(dict.fromkeys(names[len(key)] for names in below if len(names) > len(key)))


def nearest(name: str, candidates: Iterable[str], likeness: float = 0.7) -> str | None:
    """What was probably meant, or None."""
    found = difflib.get_close_matches(name, list(candidates), n=1, cutoff=likeness)
    return found[0] if found else None


def _walk(schema: Mapping[str, Any], definitions: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[Leaf]:
    for name, declared in schema["properties"].items():
        reference = declared.get("$ref", "").rpartition("/")[2]
        if reference:
            yield from _walk(definitions[reference], definitions, (*at, name))
        else:
            yield _leaf((*at, name), declared)


def _leaf(key: tuple[str, ...], declared: Mapping[str, Any]) -> Leaf:
    choices = declared.get("anyOf", [declared])
    optional = any(choice.get("type") == "null" for choice in choices)
    shape = {**declared, **next(choice for choice in choices if choice.get("type") != "null")}
    kind = _kind(shape)
    allowed = _allowed(kind, shape) + (", or nothing" if optional else "")
    return Leaf(
        key=key,
        kind=kind,
        default=declared.get("default"),
        sentence=declared["description"],
        allowed=allowed,
        choices=_choices(shape.get("items", shape)),
        optional=optional,
        secret=shape.get("format") == "password",
    )


def _kind(shape: Mapping[str, Any]) -> str:
    if shape["type"] == "array":
        return "roots" if "$ref" in shape["items"] else "list"
    formats = {"path": "folder", "file-path": "file", "duration": "duration"}
    return formats.get(shape.get("format", ""), "text" if shape["type"] == "string" else shape["type"])


def _allowed(kind: str, shape: Mapping[str, Any]) -> str:
    if kind == "list":
        return "a list of " + _one_of(shape["items"], "texts")
    words = {
        "boolean": "true or false",
        "integer": f"a whole number{_bounds(shape)}",
        "number": f"a number{_bounds(shape)}",
        "folder": "a folder",
        "file": "a file",
        "duration": "H:MM:SS",
        "roots": "a list of {name, path, role}",
    }
    return words.get(kind) or _one_of(shape, "text")


def _one_of(shape: Mapping[str, Any], otherwise: str) -> str:
    return " | ".join(_choices(shape)) or otherwise


def _choices(shape: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, shape.get("enum", ())))


def _bounds(shape: Mapping[str, Any]) -> str:
    low, above, high = shape.get("minimum"), shape.get("exclusiveMinimum"), shape.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    if low is not None:
        return f", {low:g} or more"
    return f" above {above:g}" if above is not None else ""

"""[pure] Settings as YAML and as environment variables, such that they load again to the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from shared.config import Root, Settings
from shared.settings_schema import leaves


def value_of(settings: Settings, key: Iterable[str]) -> Any:
    return reduce(getattr, key, settings)


def yaml_lines(name: str, value: Any, indent: str = "") -> Iterator[str]:
    """A setting as YAML; long lists one part a line."""
    flat = one_line(value)
    if not isinstance(value, tuple) or not value or (len(flat) < 60 and not isinstance(value[0], Root)):
        yield f"{indent}{name}: {flat}".rstrip()
        return
    yield f"{indent}{name}:"
    for part in value:
        first, *others = _part_lines(part)
        yield f"{indent}  - {first}"
        yield from (f"{indent}    {line}" for line in others)


def _part_lines(part: Any) -> list[str]:
    if isinstance(part, BaseModel):
        return [f"{name}: {one_line(value)}" for name, value in part]
    return [one_line(part)]


def one_line(value: Any) -> str:
    """A value as YAML on one line; nothing for an unset one."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(one_line, value))}]"
    if isinstance(value, BaseModel):
        return "{" + ", ".join(f"{name}: {one_line(each)}" for name, each in value) + "}"
    return "" if value is None else _single(value)


def _single(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value).removesuffix(".0")
    return duration_text(value) if isinstance(value, timedelta) else scalar(str(value))


def duration_text(value: timedelta) -> str:
    """``H:MM:SS``, which hours may exceed 23 in."""
    minutes, seconds = divmod(value // timedelta(seconds=1), 60)
    fraction = f".{value.microseconds:06}" if value.microseconds else ""
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}{fraction}"


def scalar(text: str) -> str:
    """A text as YAML: plain where nobody could mistake it, else in double quotes with everything odd escaped."""
    plain = text.isascii() and text.replace("-", "").replace("_", "").isalnum() and text[0].isalpha()
    if plain and text.lower() not in ("null", "true", "false", "yes", "no", "on", "off", "y", "n"):
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable() and character != "\ufeff":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def yaml_text(settings: Settings, only: Iterable[tuple[str, ...]] | None = None) -> str:
    """The settings as a file; ``only`` these keys, else all. It loads, to the same settings."""
    wanted = None if only is None else set(only)
    lines: list[str] = []
    section = ""
    for leaf in leaves():
        if wanted is not None and leaf.key not in wanted:
            continue
        if len(leaf.key) > 1 and leaf.key[0] != section:
            section = leaf.key[0]
            lines.append(f"{section}:")
        lines += yaml_lines(leaf.key[-1], value_of(settings, leaf.key), "  " * (len(leaf.key) - 1))
    return "\n".join(lines) + "\n"


def variables(settings: Settings) -> dict[str, str]:
    """The settings as environment variables, lists as JSON. They load, to the same settings."""
    return {leaf.variable: _variable_text(value_of(settings, leaf.key)) for leaf in leaves()}


def _variable_text(value: Any) -> str:
    if isinstance(value, tuple):
        return json.dumps([part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in value])
    return str(value) if isinstance(value, str | Path | SecretStr) else one_line(value)

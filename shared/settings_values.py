"""[pure] The kinds of values that settings have: how they are written, and what is said of one that is not."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

_DURATION = re.compile(r"(\d{1,7}):([0-5]\d):([0-5]\d(?:\.\d{1,6})?)")


def _duration(value: Any) -> Any:
    """``H:MM:SS``, which hours may exceed 23 in; a number is seconds."""
    if not isinstance(value, str):
        return value
    if value == "":
        return None
    parts = _DURATION.fullmatch(value.strip())
    if parts is None:
        raise PydanticCustomError("duration", "not a duration of the form H:MM:SS")
    hours, minutes, seconds = parts.groups()
    return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def folder_or_none(value: Any) -> Any:
    """An empty text is no folder; pathlib would take it for the current one."""
    if isinstance(value, str | Path) and "\0" in str(value):
        raise PydanticCustomError("folder", "a path has no NUL in it")
    return None if value == "" else value


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise PydanticCustomError("regex", "not a regular expression: {why}", {"why": str(error)}) from error
    return text


def _extension(text: str) -> str:
    """``JPG``, ``.jpg`` and ``*.jpg`` are ``.jpg``."""
    bare = text.strip().removeprefix("*").removeprefix(".").lower()
    if not bare or "/" in bare or "*" in bare:
        raise PydanticCustomError("extension", "not a file name ending such as .jpg")
    return f".{bare}"


def _managed_folder(text: str) -> str:
    root, colon, below = text.partition(":")
    if not (text.startswith(("/", "~")) or (root and colon and below and not below.startswith("/"))):
        raise PydanticCustomError("folder", "neither an absolute path nor root:path")
    return text


def _url(schemes: tuple[str, ...]) -> AfterValidator:
    def check(text: str) -> str:
        if text and not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise PydanticCustomError("url", "not a URL that starts with {schemes}", {"schemes": " or ".join(schemes)})
        return text

    return AfterValidator(check)


def _index_name(text: str) -> str:
    """As Elasticsearch takes it, with ``-contents-000001`` behind it."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,199}", text):
        raise PydanticCustomError("name", "not a name of lower-case letters, digits, '.', '-' and '_'")
    return text


def _watcher_name(text: str) -> str:
    """It is a part of a consumer's name on the bus."""
    if not re.fullmatch(r"[a-z0-9-]{0,40}", text):
        raise PydanticCustomError("name", "not a name of at most 40 lower-case letters, digits and '-'")
    return text


Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]
Duration = Annotated[Annotated[timedelta, Field(ge=timedelta(0))] | None, BeforeValidator(_duration)]
Folder = Annotated[Path | None, BeforeValidator(folder_or_none)]
#: for the settings' pages, which tell files from folders; whether it is there is seen when it is read
_A_FILE = WithJsonSchema({"type": "string", "format": "file-path"})
File = Annotated[Annotated[Path, _A_FILE] | None, BeforeValidator(folder_or_none)]
Extension = Annotated[str, AfterValidator(_extension)]
RegularExpression = Annotated[str, AfterValidator(_regular_expression)]
ManagedFolder = Annotated[str, AfterValidator(_managed_folder)]
BusUrl = Annotated[str, _url(("nats", "tls", "ws", "wss"))]
IndexUrl = Annotated[str, _url(("http", "https"))]
WatcherName = Annotated[str, AfterValidator(_watcher_name)]
IndexName = Annotated[str, AfterValidator(_index_name)]

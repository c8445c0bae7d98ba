"""[pure] What came of one file, and how a worker process says it to its parent: one JSON object a line."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.messages.analysis import Facts
from shared.messages.base import FileStat
from shared.paths import PhotoPath
from shared.signature import Signature


@dataclass(frozen=True, kw_only=True)
class Task:
    """A file to be examined."""

    #: where the root is mounted here
    folder: bytes
    #: the path below it
    rel: bytes
    #: what the file was when it settled; None: whatever it is now
    expected: FileStat | None
    #: the signature, where it is known already: then nothing is decoded
    signature: Signature | None = None


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A picture, read once."""

    sha256: str
    signature: Signature
    facts: Facts
    stat: FileStat
    #: why it may only be proposed (S15)
    doubt: str | None = None


@dataclass(frozen=True, kw_only=True)
class Refused:
    """No picture; the reasons are those of ``FileUnreadable``."""

    reason: str
    #: one sentence for a person
    explanation: str
    sha256: str | None = None
    stat: FileStat | None = None


@dataclass(frozen=True, kw_only=True)
class Left:
    """Nothing is said of the file now: it stays unknown, and is read another time."""

    because: str


Result = Examined | Refused


def task_for(path: PhotoPath, folder: Path, expected: FileStat | None, signature: Signature | None = None) -> Task:
    return Task(folder=bytes(folder), rel=path.rel, expected=expected, signature=signature)


def encode_task(task: Task) -> bytes:
    said: dict[str, object] = {"folder": _text(task.folder), "rel": _text(task.rel)}
    said["expected"] = task.expected.model_dump() if task.expected else None
    if task.signature is not None:
        said["signature"] = _text(task.signature.compact)
    return _line(said)


def decode_task(line: bytes) -> Task:
    said = json.loads(line)
    return Task(
        folder=b64decode(said["folder"]),
        rel=b64decode(said["rel"]),
        expected=_stat(said["expected"]),
        signature=Signature(b64decode(said["signature"])) if "signature" in said else None,
    )


def encode_result(result: Result) -> bytes:
    stat = result.stat.model_dump() if result.stat else None
    if isinstance(result, Refused):
        return _line({"reason": result.reason, "why": result.explanation, "sha256": result.sha256, "stat": stat})
    facts, signature = result.facts.model_dump(), _text(result.signature.compact)
    return _line(
        {"sha256": result.sha256, "signature": signature, "facts": facts, "stat": stat, "doubt": result.doubt},
    )


def decode_result(line: bytes) -> Result:
    """Raises ``ValueError`` for anything but a whole result: a worker that decoded hostile bytes is not trusted."""
    try:
        return _result(json.loads(line))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a result: {error!r}") from error


def _result(said: dict[str, Any]) -> Result:
    stat = _stat(said["stat"])
    if "reason" in said:
        return Refused(reason=said["reason"], explanation=said["why"], sha256=said["sha256"], stat=stat)
    if stat is None:
        raise ValueError("an examined file has a stat")
    return Examined(
        sha256=said["sha256"],
        signature=Signature(b64decode(said["signature"])),
        facts=Facts.model_validate(said["facts"]),
        stat=stat,
        doubt=said["doubt"],
    )


def _line(said: dict[str, object]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()


def _stat(said: dict[str, int] | None) -> FileStat | None:
    return FileStat.model_validate(said) if said is not None else None

"""[pure] Where a photo is: the name of a root, and bytes below it.

File names are bytes. A message carries ``path`` (always valid UTF-8, for people) and, where the two differ,
``path_b64`` (the raw bytes). Identity is a hash of root name and bytes, never of the text.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import cached_property

from shared.errors import UnsafePath

#: how many partitions the file events are spread over (bus.md: a token per path costs 1.1 GB a million)
PARTITIONS = 64
#: Linux' PATH_MAX; photosift walks component by component, so longer ones work too, up to this
LONGEST_PATH = 32_768


@dataclass(frozen=True, order=True)
class PhotoPath:
    """A file below a root. Raises ``UnsafePath`` for anything that could lead out of it (S9)."""

    #: the root's unique name from the settings
    root: str
    #: the bytes below the root, components separated by ``/``, none of them empty, ``.`` or ``..``
    rel: bytes

    def __post_init__(self) -> None:
        if not self.root or "/" in self.root or "\0" in self.root:
            raise UnsafePath(f"root name {self.root!r}")
        if not self.rel or len(self.rel) > LONGEST_PATH or b"\0" in self.rel:
            raise UnsafePath(f"{self.rel[:200]!r}")
        if any(part in (b"", b".", b"..") for part in self.rel.split(b"/")):  # S9
            raise UnsafePath(f"{self.rel[:200]!r}")

    @cached_property
    def file_id(self) -> str:
        """32 hexadecimal digits of SHA-256 over root name, NUL and path bytes."""
        return hashlib.sha256(self.root.encode() + b"\0" + self.rel).hexdigest()[:32]

    @property
    def partition(self) -> int:
        """0..63; the same file always falls into the same one, which keeps its events in order."""
        return partition_of(self.file_id)

    @property
    def name(self) -> bytes:
        """The last component."""
        return self.rel.rpartition(b"/")[2]

    @property
    def folder(self) -> bytes:
        """The path of the folder below the root; empty for the root itself."""
        return self.rel.rpartition(b"/")[0]

    @property
    def text(self) -> str:
        """``root:path`` for people and logs; never parsed back, control characters escaped."""
        return f"{self.root}:{printable(self.rel)}"

    def below(self, root_folder: bytes) -> bytes:
        """The absolute path, given where the root is mounted on this host."""
        return os.path.join(root_folder, self.rel)


def ancestors(folder: bytes) -> list[bytes]:
    """The folders from the root (``b""``) down to this one, which comes last."""
    parts = folder.split(b"/") if folder else []
    return [b"/".join(parts[:n]) for n in range(len(parts) + 1)]


def root_token(root: str) -> str:
    """16 hexadecimal digits that stand for a root's name where only plain words may stand."""
    return hashlib.sha256(root.encode()).hexdigest()[:16]


def partition_of(file_id: str) -> int:
    return int(file_id[:8], 16) % PARTITIONS


def to_text(raw: bytes) -> tuple[str, str | None]:
    """``(text, base64)`` for a message: the base64 only where the text does not give the bytes back.

    Bytes that are no UTF-8 are escaped as ``printable`` does it, so that a person finds one name everywhere.
    """
    text = raw.decode("utf-8", "backslashreplace")
    if text.encode() == raw:
        return text, None
    return text, b64encode(raw).decode()


def path_fields(raw: bytes) -> dict[str, str]:
    """``path``, and ``path_b64`` where the text does not give the bytes back: how JSON for people names a file."""
    text, encoded = to_text(raw)
    return {"path": text} if encoded is None else {"path": text, "path_b64": encoded}


def from_text(text: str, encoded: str | None) -> bytes:
    """The bytes that ``to_text`` was given. Raises ``UnsafePath`` for bad base64."""
    if encoded is None:
        return text.encode("utf-8", "surrogateescape")
    try:
        return b64decode(encoded, validate=True)
    except ValueError as error:
        raise UnsafePath("path_b64 is not base64") from error


def printable(raw: bytes | str) -> str:
    """Text that is safe on a terminal and in a log line: what could move a cursor or reverse a name is escaped.

    A name that is not UTF-8 reads the same whether it comes as bytes or as Python's text for them.
    """
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else _with_escapes(raw)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _with_escapes(text: str) -> str:
    """``os.fsdecode`` hides bytes that are no UTF-8 in surrogates; any other surrogate is no text either."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") if _is_name(text) else text


def _is_name(text: str) -> bool:
    return not any("\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" for c in text)


def for_shell(raw: bytes) -> str:
    """A name as it can be copied into a shell, whatever bytes it holds; what could move a cursor is escaped."""
    shown = printable(raw)
    if shown.encode() == raw:
        return shlex.quote(shown)
    return "$'" + printable(raw.replace(b"\\", b"\\\\").replace(b"'", b"\\'")) + "'"

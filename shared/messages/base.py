"""[pure] What every message has: a type name, an id derived from its cause, and closed fields."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from shared.paths import PhotoPath, from_text, to_text


class Value(BaseModel):
    """A closed, frozen value inside a message."""

    #: an infinite expiry or distance is no value, and JSON has no word for it
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Message(Value):
    """A message. Unknown fields are refused: a newer schema gets a new ``TYPE``."""

    #: CloudEvents type, with its version
    TYPE: ClassVar[str]

    @property
    def message_id(self) -> str:
        """The same fact always has the same id: the server drops a second one within its window."""
        raise NotImplementedError

    @property
    def about(self) -> str:
        """CloudEvents subject: what the message is about (a file id, a decision id); never a file name."""
        raise NotImplementedError


class FileRef(Value):
    """A file, in a message."""

    #: name of the root
    root: str
    #: path below the root, valid UTF-8, for people
    path: str
    #: the raw bytes, base64, where ``path`` does not give them back
    path_b64: str | None = None

    @classmethod
    def of(cls, path: PhotoPath) -> FileRef:
        text, encoded = to_text(path.rel)
        return cls(root=path.root, path=text, path_b64=encoded)

    @property
    def photo(self) -> PhotoPath:
        """The path; raises ``UnsafePath`` for one that could lead out of its root (S9)."""
        return PhotoPath(self.root, from_text(self.path, self.path_b64))


class FolderRef(Value):
    """A folder of a root, or the root itself, in a message."""

    #: name of the root
    root: str
    #: path below the root, valid UTF-8, for people; empty: the root itself
    path: str
    #: the raw bytes, base64, where ``path`` does not give them back
    path_b64: str | None = None

    @classmethod
    def of(cls, root: str, rel: bytes) -> FolderRef:
        text, encoded = to_text(rel)
        return cls(root=root, path=text, path_b64=encoded)

    @property
    def rel(self) -> bytes:
        """The bytes below the root, ``b""`` for the root itself. Raises ``UnsafePath`` as ``FileRef.photo`` does."""
        rel = from_text(self.path, self.path_b64)
        return PhotoPath(self.root, rel + b"/any" if rel else b"any").folder


class FileStat(Value):
    """What the file system said of a file when it was looked at."""

    size: int
    mtime_ns: int
    ctime_ns: int
    #: device and inode mean something within one mount only (S8)
    dev: int
    ino: int
    #: birth time in ns where the file system has one
    birth_ns: int | None = None

    def same_content_as(self, other: FileStat) -> bool:
        """Nothing says that the bytes changed (a rename changes ctime, an edit size or mtime)."""
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


def digest_id(*parts: object) -> str:
    """32 hexadecimal digits over the parts: ids of results derive from their causes."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]

"""[pure] What a file carries besides its bytes, and its form in a record. (S10, S11)"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, cast

from shared.errors import MessageRejected


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """What a file carries besides its bytes (S10)."""

    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    #: extended attributes, ACLs among them (system.posix_acl_access), by name
    xattrs: dict[str, bytes]

    def to_json(self) -> dict[str, object]:
        """For the record beside the item (S11); values of xattrs in base64."""
        numbers: dict[str, object] = {name: getattr(self, name) for name in _NUMBERS}
        return numbers | {"xattrs": {_text(name): b64encode(value).decode() for name, value in self.xattrs.items()}}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Self:
        """What ``to_json`` gave. Raises ``MessageRejected``."""
        try:
            numbers = {name: int(cast(int, value[name])) for name in _NUMBERS}
            encoded = cast(Mapping[str, str], value["xattrs"])
            return cls(**numbers, xattrs={_name(key): b64decode(text, validate=True) for key, text in encoded.items()})
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise MessageRejected(f"attributes: {error}") from error


_NUMBERS = ("mode", "uid", "gid", "atime_ns", "mtime_ns")
#: before the base64 of a name that is not UTF-8; no name of an xattr begins so, there is always a namespace
_RAW = "base64:"


def _text(name: str) -> str:
    raw = name.encode("utf-8", "surrogateescape")
    return name if raw.isascii() or raw.decode("utf-8", "replace").encode() == raw else _RAW + b64encode(raw).decode()


def _name(text: str) -> str:
    raw = b64decode(text.removeprefix(_RAW), validate=True) if text.startswith(_RAW) else text.encode()
    return raw.decode("utf-8", "surrogateescape")

"""The record beside every item: enough to rebuild the journal and to put the file back, durable before the act. (S11)

``<item>/record.json``, or ``.photosift/records/<item>.json`` in a target. A record that had to be corrected (a stranger
was taken and could not go back) is not rewritten: ``record-2.json`` beside it counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from services.watcher.disk.port import Attributes
from shared.errors import MessageRejected, PhotosiftError
from shared.messages.base import Value
from shared.messages.commands import TakeFile
from shared.paths import PhotoPath, ancestors, from_text, to_text

RECORD = b"record.json"
CORRECTED = b"record-2.json"
#: a record is a few kilobytes, more with large extended attributes (64 KiB each at most)
LONGEST_RECORD = 16_000_000


class Record(Value):
    """An item: where it came from, what it is, whose decision took it and where it lies."""

    version: Literal[1] = 1
    item_id: str
    #: the whole command, with the evidence of victim and keeper
    command: TakeFile
    #: hash, size and mtime of what lies there (the victim's, unless a stranger was taken)
    sha256: str
    size: int
    mtime_ns: int
    #: ``Attributes.to_json`` of the file at its own place
    attributes: dict[str, Any]
    #: ``Attributes.to_json`` of every folder from below the root down to the file's own, before the act (S25); () in
    #: records of earlier versions
    folders: tuple[dict[str, Any], ...] = ()
    #: seconds since the epoch
    taken_at: float
    #: id of the journal that took it
    journal: str
    #: ``root``: below the victim's root; ``target``: below ``target``
    tree: Literal["root", "target"] = "root"
    #: path below that tree
    place: str
    place_b64: str | None = None
    #: absolute path of the target
    target: str | None = None

    @property
    def origin(self) -> PhotoPath:
        """Where it was, and goes back to."""
        return self.command.victim.file.photo

    @property
    def keeper(self) -> PhotoPath:
        return self.command.keeper.file.photo

    @property
    def place_rel(self) -> bytes:
        """Where it lies, below its tree. Raises ``UnsafePath`` (S9)."""
        return PhotoPath("tree", from_text(self.place, self.place_b64)).rel

    @property
    def saved_attributes(self) -> Attributes:
        return Attributes.from_json(self.attributes)

    @property
    def saved_folders(self) -> dict[bytes, Attributes]:
        """What the folders above the file had, by their path below the root, the outermost first (S25)."""
        above = ancestors(self.origin.folder)[1:]
        return {rel: Attributes.from_json(had) for rel, had in zip(above, self.folders, strict=False)}

    def lying_at(self, tree: Literal["root", "target"], rel: bytes, target: Path | None = None) -> Record:
        """The same item somewhere else."""
        text, encoded = to_text(rel)
        where = str(target) if tree == "target" else None
        return self.model_copy(update={"tree": tree, "place": text, "place_b64": encoded, "target": where})

    def as_json(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()


def parse(payload: bytes) -> Record:
    """Raises ``MessageRejected`` for anything that is no record of ours, ``UnsafePath`` for a path that leads out."""
    if len(payload) > LONGEST_RECORD:
        raise MessageRejected("a record that long is not ours")
    try:
        record = Record.model_validate_json(payload)
    except ValidationError as error:
        raise MessageRejected(f"record: {error.errors(include_url=False, include_input=False)[0]['msg']}") from error
    _ = record.origin, record.keeper, record.place_rel  # refuse now what would fail later
    _ = record.saved_attributes, record.saved_folders
    return record


def valid(payloads: Iterable[bytes]) -> list[Record]:
    """The records among the payloads; others are passed over (a torn or foreign file costs no other item anything)."""
    found = []
    for payload in payloads:
        try:
            found.append(parse(payload))
        except PhotosiftError:
            continue
    return found

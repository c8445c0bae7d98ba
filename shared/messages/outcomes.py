"""[pure] OUT, account control: what the executor did. Only executors can publish these (S20)."""

from __future__ import annotations

from typing import ClassVar, Literal

from shared.messages.base import FileRef, Message
from shared.messages.resolution import MatchClass


class CommandDone(Message):
    """One command, acted on or refused: never silence, never an exception (S8)."""

    TYPE: ClassVar[str] = "photosift.outcome.command-done.v1"

    command_id: str
    decision_id: str
    batch_id: str
    action: Literal["move", "delete"]
    outcome: Literal["moved", "quarantined", "refused", "undone"]
    #: for ``refused`` and ``undone``: the name of the rule's refusal, e.g. ``victim-changed``
    code: str | None = None
    #: one sentence for a person
    explanation: str
    victim: FileRef
    keeper: FileRef
    sha256: str
    match_class: MatchClass
    distance: float
    #: id of the item in quarantine or target, for ``restore``
    item_id: str | None = None
    #: where it lies now, for people
    where: str | None = None
    #: seconds since the epoch, the executor's clock
    done_at: float

    @property
    def message_id(self) -> str:
        # a command that was refused may be asked again, and then be carried out: that is another fact
        return f"out:{self.command_id}:{self.outcome}"

    @property
    def about(self) -> str:
        return self.victim.photo.file_id


class ItemRestored(Message):
    """An item is back at its place; never again a victim of that content without a person (S12)."""

    TYPE: ClassVar[str] = "photosift.outcome.item-restored.v1"

    item_id: str
    decision_id: str
    batch_id: str
    file: FileRef
    sha256: str
    keeper_sha256: str
    done_at: float

    @property
    def message_id(self) -> str:
        return f"restored:{self.item_id}"

    @property
    def about(self) -> str:
        return self.file.photo.file_id


class ItemRemoved(Message):
    """A quarantined item was removed for good after its retention, with a live copy read from disk (S11)."""

    TYPE: ClassVar[str] = "photosift.outcome.item-removed.v1"

    item_id: str
    file: FileRef
    sha256: str
    live_copy: FileRef
    done_at: float

    @property
    def message_id(self) -> str:
        return f"removed:{self.item_id}"

    @property
    def about(self) -> str:
        return self.file.photo.file_id


class ItemDue(Message):
    """An item whose retention is over, and of whose bytes no live copy was found: it is the last copy, and stays (S11).

    Unless the resolver knows a live file that stands for it now: then that answers with ``RemoveItem``.
    """

    TYPE: ClassVar[str] = "photosift.outcome.item-due.v1"

    item_id: str
    file: FileRef
    sha256: str
    mtime_ns: int
    #: hashes of what its content was kept for and that did not come back (S1 over time)
    stands_for: tuple[str, ...] = ()
    #: seconds since the epoch
    asked_at: float

    @property
    def message_id(self) -> str:
        return f"due:{self.item_id}:{self.asked_at}"

    @property
    def about(self) -> str:
        return self.item_id


class RemovalDone(Message):
    """What became of a ``RemoveItem``: never silence, never an exception (S8)."""

    TYPE: ClassVar[str] = "photosift.outcome.removal-done.v1"

    command_id: str
    decision_id: str
    item_id: str
    #: ``kept``: it is the last copy as before
    outcome: Literal["removed", "kept"]
    #: for ``kept``: the name of the rule's refusal, e.g. ``keeper-changed``
    code: str | None = None
    #: one sentence for a person
    explanation: str
    file: FileRef
    sha256: str
    keeper: FileRef
    keeper_sha256: str
    match_class: MatchClass
    distance: float
    done_at: float

    @property
    def message_id(self) -> str:
        return f"removal:{self.command_id}:{self.outcome}"

    @property
    def about(self) -> str:
        return self.item_id


class FolderRemoved(Message):
    """A folder emptied by its own decisions was removed (S25)."""

    TYPE: ClassVar[str] = "photosift.outcome.folder-removed.v1"

    folder: FileRef
    decision_id: str
    done_at: float

    @property
    def message_id(self) -> str:
        return f"folder:{self.folder.photo.file_id}:{self.decision_id}"

    @property
    def about(self) -> str:
        return self.folder.photo.file_id


class RequestAnswered(Message):
    """What became of a person's request."""

    TYPE: ClassVar[str] = "photosift.outcome.request-answered.v1"

    request_id: str
    #: which executor or resolver answers (a host may run several)
    by: str
    done: bool
    #: one sentence for a person: what happened, or what stands against it and what to do now
    explanation: str
    #: files concerned
    count: int = 0

    @property
    def message_id(self) -> str:
        return f"answer:{self.request_id}:{self.by}"

    @property
    def about(self) -> str:
        return self.request_id

"""[pure] CMD, account control: what the executor is asked to do. Only the resolver can publish these (S20)."""

from __future__ import annotations

from typing import ClassVar, Literal

from shared.messages.base import FileRef, Message, Value, digest_id
from shared.messages.resolution import MatchClass


class Evidence(Value):
    """What a file was when it was decided about; all of it is checked again at the moment of acting (S8)."""

    file: FileRef
    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str
    #: only within one mount; read anew, not refused, after a remount
    dev: int
    ino: int
    #: version of the file in the watcher's snapshot
    version: int


class TakeFile(Message):
    """Move or quarantine a victim, because its keeper stands for it."""

    TYPE: ClassVar[str] = "photosift.command.take.v1"

    decision_id: str
    #: groups the commands of one ``scan --apply`` or of one planning round
    batch_id: str
    action: Literal["move", "delete"]
    victim: Evidence
    keeper: Evidence
    match_class: MatchClass
    distance: float
    #: seconds since the epoch, judged by the executor's own clock (S8)
    expires_at: float
    #: a person confirmed this batch: keeper age (S15) and the breaker's limits do not apply, its records do
    confirmed: bool = False
    #: the configured target folder that was decided for; the executor acts only into its own settings' target
    target: str | None = None

    @property
    def command_id(self) -> str:
        """Contains the decision, so that a move repeated after a restore is not swallowed (S12)."""
        return digest_id(self.decision_id, self.action, self.target, _proof(self.victim), _proof(self.keeper))

    @property
    def message_id(self) -> str:
        # asked again under another expiry, as after `confirm breaker`, it is another message of the same command
        return f"cmd:{self.command_id}:{self.expires_at:.0f}"

    @property
    def root(self) -> str:
        """The root whose executor is asked (S23)."""
        return self.victim.file.root

    @property
    def about(self) -> str:
        return self.victim.file.photo.file_id


class Covered(Value):
    """A photo that the removed item stood for, measured directly against the one that shall stand for it (S1)."""

    sha256: str
    distance: float


class RemoveItem(Message):
    """Let a quarantined item go for good: a live file stands for it, decoded and measured directly just now (S11).

    The answer to ``ItemDue``. The executor checks everything itself at the moment of acting, as for a keeper.
    """

    TYPE: ClassVar[str] = "photosift.command.remove.v1"

    decision_id: str
    item_id: str
    #: where the item came from, and what it is
    file: FileRef
    sha256: str
    keeper: Evidence
    match_class: MatchClass
    distance: float
    #: everything else that the item stood for
    covers: tuple[Covered, ...] = ()
    #: seconds since the epoch, judged by the executor's own clock (S8)
    expires_at: float

    @property
    def command_id(self) -> str:
        return digest_id(self.decision_id, self.item_id, self.sha256, _proof(self.keeper))

    @property
    def message_id(self) -> str:
        return f"cmd:{self.command_id}:{self.expires_at:.0f}"

    @property
    def root(self) -> str:
        """The root whose executor is asked (S23)."""
        return self.file.root

    @property
    def about(self) -> str:
        return self.item_id


def _proof(evidence: Evidence) -> tuple[object, ...]:
    file = evidence.file.photo
    return (file.file_id, evidence.size, evidence.mtime_ns, evidence.ctime_ns, evidence.sha256)

"""[pure] DEC, account control: what the resolver decided, with its reasons. Read by people, audit and reports."""

from __future__ import annotations

from typing import ClassVar, Literal

from shared.messages.base import FileRef, Message, Value

MatchClass = Literal["same-bytes", "similar"]
Action = Literal["propose", "move", "delete"]


class Member(Value):
    """A file in a group."""

    file: FileRef
    sha256: str
    width: int
    height: int
    bytes: int
    #: the version that the decision saw
    version: int


class Duplicate(Value):
    """A file that its keeper could stand for, measured directly against it (S1)."""

    member: Member
    match_class: MatchClass
    #: signature distance to the keeper, 0..1
    distance: float
    #: name of the first ranking rule that prefers the keeper
    decided_by: str
    #: what the settings make of it now
    action: Action
    #: why it is only proposed, or why the keeper is better, for a person
    reason: str


class GroupDecided(Message):
    """One keeper and the files it could stand for: a star, never a chain."""

    TYPE: ClassVar[str] = "photosift.decision.group-decided.v1"

    decision_id: str
    keeper: Member
    duplicates: tuple[Duplicate, ...]
    #: seconds since the epoch
    decided_at: float

    @property
    def message_id(self) -> str:
        return f"dec:{self.decision_id}"

    @property
    def about(self) -> str:
        return self.decision_id


class DecisionWithdrawn(Message):
    """A decision that no longer holds: a file changed, went, or a better one came."""

    TYPE: ClassVar[str] = "photosift.decision.withdrawn.v1"

    decision_id: str
    reason: str

    @property
    def message_id(self) -> str:
        return f"wd:{self.decision_id}"

    @property
    def about(self) -> str:
        return self.decision_id


class CaughtUp(Message):
    """The resolver has handled SIG up to this stream sequence and has no undecided group left."""

    TYPE: ClassVar[str] = "photosift.decision.caught-up.v1"

    sig_seq: int
    open_decisions: int
    #: commands published and without an outcome so far
    open_commands: int
    #: makes repeated reports distinct
    at: float

    @property
    def message_id(self) -> str:
        return f"cu:{self.sig_seq}:{self.open_decisions}:{self.open_commands}:{self.at}"

    @property
    def about(self) -> str:
        return "resolver"


class ApplyAccepted(Message):
    """What the resolver made of a person's ``ApplyRequested``: so many commands, all stored before this is said."""

    TYPE: ClassVar[str] = "photosift.decision.apply-accepted.v1"

    request_id: str
    #: the batch that the commands carry
    batch_id: str
    #: how many files the executor was asked to take
    commands: int
    #: one sentence for a person
    explanation: str

    @property
    def message_id(self) -> str:
        return f"apply:{self.request_id}"

    @property
    def about(self) -> str:
        return self.request_id

"""[pure] REQ, account control: what a person asks for. Ids, never a path to act on (S20)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from shared.messages.base import FileRef, FolderRef, Message
from shared.messages.resolution import MatchClass


class Request(Message):
    """What all requests share: an id chosen by the asker, answered by one ``RequestAnswered`` with the same id."""

    request_id: str

    @property
    def message_id(self) -> str:
        return f"req:{self.request_id}"

    @property
    def about(self) -> str:
        return self.request_id


class RestoreRequested(Request):
    """Put items back. Exactly one of the selectors is given; a path only selects among the journal's items."""

    TYPE: ClassVar[str] = "photosift.request.restore.v1"

    file: FileRef | None = None
    decision_id: str | None = None
    batch_id: str | None = None
    #: seconds since the epoch: everything taken at or after it
    since: float | None = None


class AdoptRequested(Request):
    """A person says that this executor is the one for this root now (S12, S14, S23)."""

    TYPE: ClassVar[str] = "photosift.request.adopt.v1"

    root: str


class ConfirmRequested(Request):
    """A person has looked: reset the breaker (S13), or believe the disappearances (S14)."""

    TYPE: ClassVar[str] = "photosift.request.confirm.v1"

    what: Literal["breaker", "disappearances"]
    root: str | None = None


class AllowRequested(Request):
    """A person allows acting inside a folder that another program manages, or in a root that lies in one (S24)."""

    TYPE: ClassVar[str] = "photosift.request.allow.v1"

    #: the folder itself, not what lies above it; inner folders of other managers need their own word
    folder: FolderRef


class ApplyRequested(Request):
    """A person's word for one batch: act on the open proposals of these classes (``scan --apply``)."""

    TYPE: ClassVar[str] = "photosift.request.apply.v1"

    action: Literal["move", "delete"]
    classes: tuple[MatchClass, ...]
    #: only files of these roots
    roots: tuple[str, ...]
    #: the configured target that the person saw
    target: str | None = None
    #: how many files the person was shown; more than this is never acted on
    at_most: int


def root_of(request: Request) -> str | None:
    """The one root that a request is about, and whose watcher alone answers; None: about any, and all answer."""
    match request:
        case AdoptRequested(root=root) | ConfirmRequested(root=root):
            return root
        case AllowRequested(folder=folder):
            return folder.root
        case RestoreRequested(file=FileRef(root=root)):
            return root
    return None


def answers_wanted(request: Request, watchers: Mapping[str, str]) -> int:
    """From how many an answer comes: the one whose root it is about, or every watcher of the settings."""
    if root_of(request) in watchers:
        return 1
    return len({*watchers.values()} or {""})

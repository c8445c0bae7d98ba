"""[pure] Is this the root that was known, and may its files be believed gone? Absence proves nothing. (S4, S14)"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

#: kinds of mount whose top may answer while what lay in it is away: pools, network shares
_HOLLOW = ("fuse", "nfs", "cifs", "smb", "9p", "afs", "ceph", "glusterfs")
#: how many known files are looked for
SAMPLE = 24


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a root, or a mount inside one, is recognised by."""

    #: kind of file system
    kind: str
    #: file system id, where it is stable
    fsid: str | None
    #: of the top folder
    ino: int
    birth_ns: int | None

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Identity:
        return cls(**json.loads(text))

    @property
    def is_hollow(self) -> bool:
        return self.kind.startswith(_HOLLOW)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was found where a root should be."""

    #: None where nothing can be opened there
    identity: Identity | None
    #: why not
    obstacle: str = ""
    #: of the known files that were looked for: how many, and how many are there as they were
    sampled: int = 0
    found: int = 0
    is_empty: bool = False


@dataclass(frozen=True)
class Recognised:
    """It is what was known, or nothing was known."""


@dataclass(frozen=True)
class Unknown:
    """Nothing is said about its files."""

    #: one sentence for a person
    reason: str


#: of a root whose files are known by hearsay: there is nothing to recognise but the files themselves
ELSEWHERE = Identity(kind="", fsid=None, ino=0, birth_ns=None)


def recognise(remembered: Identity | None, observed: Observed) -> Recognised | Unknown:
    """Compare what is found with what the state folder remembers."""
    found = observed.identity
    if found is None:
        return Unknown(observed.obstacle or "it is not there")
    if remembered is None or observed.sampled == 0:  # nothing is known of it that could be lost
        return Recognised()
    if remembered == ELSEWHERE:  # the state folder was lost, and the index told what files there were (S14)
        return _by_sample(observed)
    if reason := _other_place(remembered, found, is_empty=observed.is_empty):
        return Unknown(reason)
    if _same_top(remembered, found) and not found.is_hollow:
        return Recognised()
    return _by_sample(observed)


def _by_sample(observed: Observed) -> Recognised | Unknown:
    if observed.found * 2 >= observed.sampled:
        return Recognised()
    counts = f"of {observed.sampled} files known in it {observed.found} are there"
    return Unknown(f"{counts}: it may be another folder or an empty mount")


def _other_place(remembered: Identity, found: Identity, *, is_empty: bool) -> str | None:
    if is_empty and (found.is_hollow or not _same_top(remembered, found)):
        return "it is empty, and files are known in it: probably nothing is mounted there"
    if remembered.kind != found.kind:
        return f"another file system is mounted there: {found.kind} instead of {remembered.kind}"
    if remembered.fsid and found.fsid and remembered.fsid != found.fsid:
        return f"another disk is mounted there ({found.kind})"
    return None


def _same_top(remembered: Identity, found: Identity) -> bool:
    """The very same folder: an inode number alone is used again, with a birth time it is not (S16)."""
    born = remembered.birth_ns is not None and remembered.birth_ns == found.birth_ns
    return born and (remembered.kind, remembered.fsid, remembered.ino) == (found.kind, found.fsid, found.ino)


# --- mounts inside a root -----------------------------------------------------------------------------------------


def changed_mounts(
    remembered: Mapping[bytes, Identity], present: Mapping[bytes, Observed], known_below: Mapping[bytes, int]
) -> dict[bytes, str]:
    """Folders inside a root whose mount changed, with the reason: nothing is said about what lies below them.

    ``known_below``: how many known files lie below each of the folders.
    """
    unknown: dict[bytes, str] = {}
    for rel, identity in remembered.items():
        if rel not in present:
            if known_below.get(rel, 0):
                unknown[rel] = f"what was mounted there ({identity.kind}) is not any more"
        elif isinstance(verdict := recognise(identity, present[rel]), Unknown):
            unknown[rel] = verdict.reason
    for rel, observed in present.items():
        if rel not in remembered and known_below.get(rel, 0) and observed.found * 2 < observed.sampled:
            unknown[rel] = "something was mounted over a folder with known files"
    return unknown


# --- disappearances -----------------------------------------------------------------------------------------------


class Shares(NamedTuple):
    """How much may vanish at once without a person."""

    share: float
    floor: int


@dataclass(frozen=True, kw_only=True)
class Held:
    """Files that look deleted and are not believed to be, yet."""

    count: int
    of: int
    #: rescans that have found them missing
    rescans: int = 1
    #: a person said that it is true
    confirmed: bool = False

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Held:
        return cls(**json.loads(text))

    @property
    def is_believed(self) -> bool:
        return self.confirmed and self.rescans >= 2

    @property
    def sentence(self) -> str:
        asked = "confirmed, waiting for a second look" if self.confirmed else "look, then: photosift confirm"
        return f"{self.count} of {self.of} files have vanished at once, more than is believed unasked; {asked}"


def too_many(
    missing: Mapping[int, int], lately: Mapping[int, int], known: Mapping[int, int], shares: Shares
) -> tuple[int, int] | None:
    """(vanished, known) for the first device that lost more than its share; None where all of it is believed.

    All by device: ``missing`` now and not told yet, ``lately`` told within the last hour, ``known`` at present,
    those missing included.
    """
    for device, count in missing.items():
        vanished = count + lately.get(device, 0)
        whole = known.get(device, 0) + lately.get(device, 0)
        if count and vanished > max(shares.floor, shares.share * whole):
            return vanished, whole
    return None


def hold(before: Held | None, vanished: int, whole: int) -> Held:
    """Another rescan found too many missing."""
    if before is None:
        return Held(count=vanished, of=whole)
    return Held(count=vanished, of=whole, rescans=before.rescans + 1, confirmed=before.confirmed)


# --- roots that overlap (S4) --------------------------------------------------------------------------------------


class Top(NamedTuple):
    """Where a root's top folder is."""

    name: str
    #: absolute and real
    path: bytes
    dev: int
    ino: int


def overlapping(tops: Sequence[Top]) -> dict[str, str]:
    """Roots that are, contain, or lie in another one, each with the sentence that says so: proposed only."""
    found: dict[str, str] = {}
    for one in tops:
        for other in tops:
            if one is not other and (relation := _relation(one, other)):
                found.setdefault(one.name, f"the root {one.name} {relation} the root {other.name}")
    return found


def _relation(one: Top, other: Top) -> str | None:
    if (one.dev, one.ino) == (other.dev, other.ino) or one.path == other.path:
        return "is the same folder as"
    if one.path.startswith(other.path.rstrip(b"/") + b"/"):
        return "lies in"
    if other.path.startswith(one.path.rstrip(b"/") + b"/"):
        return "contains"
    return None


def repeated(tops: Sequence[Top]) -> dict[str, str]:
    """Roots that are an earlier one once more, with that one's name: there is nothing to look at in them."""
    first: dict[tuple[int, int], str] = {}
    again: dict[str, str] = {}
    for top in tops:
        if (name := first.setdefault((top.dev, top.ino), top.name)) != top.name:
            again[top.name] = name
    return again

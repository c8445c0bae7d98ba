"""One root where it is mounted now: its settings, and what is observed of it. An edge; ``roots`` decides. (S14)"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from services.watcher.disk.mounts import mount_of, mounts_below
from services.watcher.disk.port import DiskFailure, Mount, NotThere
from services.watcher.eyes.birth import facts_at
from services.watcher.eyes.known import Known
from services.watcher.eyes.looking import AskFolder, Tree
from services.watcher.eyes.roots import SAMPLE, Identity, Observed, Recognised, Top, Unknown, changed_mounts, recognise
from services.watcher.eyes.snapshot import Snapshot
from services.watcher.eyes.stepping import Unreadable
from services.watcher.ignoring import Ignoring
from shared.errors import PhotosiftError

#: the shelf of the snapshot where identities lie: ``b""`` for the root, paths for mounts inside it
IDENTITY = "identity"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A root of the settings."""

    name: str
    #: absolute, as configured
    path: bytes
    ignoring: Ignoring

    @property
    def real(self) -> bytes:
        return os.path.realpath(self.path)

    @contextmanager
    def open(self, ask_folder: AskFolder | None = None) -> Iterator[Tree]:
        """Raises ``Unreadable``."""
        tree = Tree(self.path, self.ignoring, ask_folder) if ask_folder else Tree(self.path, self.ignoring)
        try:
            yield tree
        finally:
            tree.close()

    def skips_name(self, rel: bytes, *, folder: bool = False) -> bool:
        """Whether names alone say that it is left out."""
        *folders, name = rel.split(b"/")
        rule = self.ignoring.folder if folder else self.ignoring.file
        return rule(b"/".join((self.path, *folders)), name) is not None

    def top(self) -> Top | None:
        """Where it is; None where nothing can be opened."""
        try:
            with self.open() as tree:
                facts = facts_at(tree.top)
        except (Unreadable, OSError):
            return None
        return Top(self.name, self.real, facts.dev, facts.ino)


@dataclass(frozen=True, kw_only=True)
class RootSight:
    """A root as it was observed at one moment, against what is remembered."""

    verdict: Recognised | Unknown
    mount: Mount | None
    #: what to remember of the root and the mounts in it
    identities: dict[bytes, Identity]
    #: folders inside it about which nothing is said, with the reason
    unknown_folders: dict[bytes, str]

    def agrees_with(self, other: RootSight) -> bool:
        """Nothing was mounted, unmounted or exchanged between the two."""
        same = self.identities == other.identities and self.unknown_folders.keys() == other.unknown_folders.keys()
        return same and type(self.verdict) is type(other.verdict)


class Glance(NamedTuple):
    """Enough to see that nothing was mounted, unmounted or exchanged since."""

    mount_id: int
    dev: int
    ino: int
    birth_ns: int | None
    mounts: frozenset[bytes]


def glance(place: Place) -> Glance | None:
    """None where the root cannot be opened."""
    try:
        with place.open() as tree:
            facts, mount = facts_at(tree.top), mount_of(tree.top)
    except (Unreadable, NotThere, DiskFailure, OSError):
        return None
    return Glance(mount.mount_id, facts.dev, facts.ino, facts.birth_ns, mounts_below(place.real))


def observe(place: Place, snapshot: Snapshot) -> RootSight:
    """Look at the root and the mounts inside it, and compare with what the snapshot remembers."""
    remembered = {note.rel: Identity.from_text(note.text) for note in snapshot.notes.recall(IDENTITY, place.name)}
    try:
        with place.open() as tree:
            return _observe(place, snapshot, tree, remembered)
    except (Unreadable, NotThere, DiskFailure, OSError) as error:
        return _unknown(_obstacle(error))


def _obstacle(error: PhotosiftError | OSError) -> str:
    return f"it cannot be read: {error.strerror if isinstance(error, OSError) else error.detail}"


def _unknown(reason: str) -> RootSight:
    return RootSight(verdict=Unknown(reason), mount=None, identities={}, unknown_folders={})


def _observe(place: Place, snapshot: Snapshot, tree: Tree, remembered: dict[bytes, Identity]) -> RootSight:
    mount = mount_of(tree.top)
    found = _observed(tree, b"", tree.top, snapshot.sample(place.name, SAMPLE))
    verdict = recognise(remembered.get(b""), found)
    before = {rel: identity for rel, identity in remembered.items() if rel}
    present = _mounts_inside(place, snapshot, tree)
    known = {rel: snapshot.count(place.name, rel) for rel in {*before, *present}}
    identities = {rel: seen.identity for rel, seen in {b"": found, **present}.items() if seen.identity is not None}
    return RootSight(
        verdict=verdict,
        mount=mount,
        identities=identities,
        unknown_folders=changed_mounts(before, present, known),
    )


def _mounts_inside(place: Place, snapshot: Snapshot, tree: Tree) -> dict[bytes, Observed]:
    present = {}
    for rel in mounts_below(place.real):
        try:
            with tree.folder(rel) as descriptor:
                if descriptor is not None and not _is_left_out(tree, rel, descriptor):
                    present[rel] = _observed(tree, rel, descriptor, snapshot.sample(place.name, SAMPLE, rel))
        except (Unreadable, DiskFailure, OSError) as error:
            present[rel] = Observed(identity=None, obstacle=_obstacle(error))
    return present


def _is_left_out(tree: Tree, rel: bytes, descriptor: int) -> bool:
    return tree.skip(rel, facts_at(descriptor)) is not None


def _observed(tree: Tree, rel: bytes, descriptor: int, sample: list[Known]) -> Observed:
    mount, facts = mount_of(descriptor), facts_at(descriptor)
    with os.scandir(descriptor) as entries:
        is_empty = next(entries, None) is None
    return Observed(
        identity=Identity(kind=mount.kind, fsid=mount.fsid, ino=facts.ino, birth_ns=facts.birth_ns),
        sampled=len(sample),
        found=sum(_is_there(tree, known) for known in sample),
        is_empty=is_empty,
    )


def _is_there(tree: Tree, known: Known) -> bool:
    try:
        facts = tree.look(known.rel)
    except Unreadable:
        return False
    return facts is not None and (facts.size, facts.mtime_ns) == (known.size, known.mtime_ns)

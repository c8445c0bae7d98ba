"""Where items lie: private places on the victim's own mount, and what lies in a target. (S10, S11, S22)

``<anchor>/.photosift/quarantine/<item>/photo`` with ``record.json`` beside it; ``private`` instead of ``quarantine``
while a move is under way. The anchor is the root, or, for a victim on a mount nested in it, the topmost folder of that
mount; ``.photosift/places`` of the root names such anchors, so that a lost journal can be rebuilt without a search.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress

from services.watcher.disk.port import PRIVATE, Disk, DiskFailure, NotAFile, NotThere, Occupied, TreeRoot, is_temporary
from services.watcher.hands.records import CORRECTED, LONGEST_RECORD, RECORD, Record, parse
from shared.errors import PhotosiftError
from shared.paths import PhotoPath, ancestors, from_text, to_text

QUARANTINE = PRIVATE + b"/quarantine"
ASIDE = PRIVATE + b"/private"
PLACES = PRIVATE + b"/places"
#: a folder that has this file is some instance's target: never scanned, never keepers (S22)
TARGET_MARKER = PRIVATE + b"/target.json"
TARGET_RECORDS = PRIVATE + b"/records"
PHOTO = b"photo"


def joined(*parts: bytes) -> bytes:
    return b"/".join(part for part in parts if part)


def folder_of(rel: bytes) -> bytes:
    return rel.rpartition(b"/")[0]


def item_folder(anchor: bytes, action: str, item_id: str) -> bytes:
    return joined(anchor, QUARANTINE if action == "delete" else ASIDE, item_id.encode())


def anchors(tree: TreeRoot, folder: bytes) -> list[bytes]:
    """Where a private place for a file of this folder may be: the top of its mount, at last the folder itself.

    The last serves where one mount refuses renames between its folders (pool branches, subvolumes).
    """
    with tree.spot(joined(folder, PHOTO)) as spot:
        here = spot.mount().mount_id
    for above in ancestors(folder):
        with tree.spot(joined(above, PHOTO)) as spot:
            if spot.mount().mount_id == here:
                return [above] if above == folder else [above, folder]
    return [folder]


def remember_anchor(disk: Disk, tree: TreeRoot, anchor: bytes) -> None:
    """Leave a pointer to a private place that is not at the top of the root, durably, before it is used."""
    if not anchor:
        return
    text, encoded = to_text(anchor)
    name = hashlib.sha256(anchor).hexdigest()[:32].encode() + b".json"
    payload = json.dumps({"path": text, "path_b64": encoded}).encode()
    with tree.spot(joined(PLACES, name), make_folders=True) as spot, suppress(Occupied):
        disk.write_private(spot, payload)


def known_anchors(tree: TreeRoot) -> list[bytes]:
    """The root itself, and what its pointers name."""
    found = [b""]
    for name in names_in(tree, PLACES):
        payload = content(tree, joined(PLACES, name))
        with suppress(ValueError, KeyError, TypeError, PhotosiftError):
            pointer = json.loads(payload or b"")
            found.append(PhotoPath("anchor", from_text(pointer["path"], pointer["path_b64"])).rel)  # S9
    return found


def discard(disk: Disk, tree: TreeRoot, folder: bytes) -> None:
    """Take an item's folder away, records and all, unless a photo is in it. Raises ``DiskFailure``."""
    with suppress(NotThere, Occupied, NotAFile):
        if PHOTO in tree.list_folder(folder):
            return
        for name in tree.list_folder(folder):
            with tree.spot(joined(folder, name)) as spot:
                disk.release(spot)
        with tree.spot(folder) as spot:
            disk.remove_folder(spot)


def clear_temporaries(disk: Disk, tree: TreeRoot, folder: bytes) -> None:
    """Copies that a crash left incomplete; one that another executor is making is refused to it, and made again."""
    for name in names_in(tree, folder):
        if is_temporary(name):
            with suppress(PhotosiftError), tree.spot(joined(folder, name)) as spot:
                disk.release(spot)


def names_in(tree: TreeRoot, folder: bytes) -> list[bytes]:
    try:
        return sorted(tree.list_folder(folder))
    except (NotThere, NotAFile):
        return []


def content(tree: TreeRoot, rel: bytes) -> bytes | None:
    """A small private file; None where it is not there or cannot be read."""
    try:
        with tree.spot(rel) as spot, spot.open() as file:
            return file.content(LONGEST_RECORD)
    except (PhotosiftError, DiskFailure):
        return None


def is_listed(tree: TreeRoot, rel: bytes) -> bool:
    try:
        with tree.spot(rel) as spot:
            return spot.look() is not None
    except (NotThere, NotAFile):
        return False


def item_names(tree: TreeRoot) -> set[str]:
    """Ids of the items that lie below a root with their photo."""
    return {folder.rpartition(b"/")[2].decode("ascii", "replace") for folder in _item_folders(tree)}


def records_below_root(tree: TreeRoot) -> Iterator[Record]:
    """The items below a root, by the records beside them (S11); torn and foreign ones are passed over."""
    for folder in _item_folders(tree):
        for name in (CORRECTED, RECORD):
            payload = content(tree, joined(folder, name))
            if payload is None:
                continue
            with suppress(PhotosiftError):
                yield parse(payload).lying_at("root", joined(folder, PHOTO))
                break


def records_in_target(tree: TreeRoot) -> Iterator[Record]:
    """The items in a target whose photo lies where the record says."""
    for name in names_in(tree, TARGET_RECORDS):
        payload = content(tree, joined(TARGET_RECORDS, name))
        if payload is None:
            continue
        with suppress(PhotosiftError):
            record = parse(payload)
            if record.tree == "target" and is_listed(tree, record.place_rel):
                yield record.lying_at("target", record.place_rel, tree.path)


def _item_folders(tree: TreeRoot) -> Iterator[bytes]:
    for anchor in known_anchors(tree):
        for kind in (QUARANTINE, ASIDE):
            for item in names_in(tree, joined(anchor, kind)):
                folder = joined(anchor, kind, item)
                if is_listed(tree, joined(folder, PHOTO)):
                    yield folder

"""[pure] The outcome of a scan: the object of ``scan --format json``, and the same as rows for people.

Every file stands in it exactly once: as keeper, duplicate, unique, unreadable or skipped. A file that was taken during
this scan stands with the keeper that is left in its place.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.absolute import AbsolutePaths
from services.reportgroups import Acted, Entry, Group, groups_of
from services.terminal import TableRow
from shared.index.port import ContentDoc, FileDoc
from shared.messages.resolution import GroupDecided
from shared.paths import path_fields, to_text

Row = TableRow
#: version of the object's form; fields are added, never changed
FORM = 1


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file that was left out by a rule."""

    #: absolute
    path: bytes
    #: name of the rule
    rule: str
    #: for a person
    reason: str


def build(
    *,
    files: Sequence[FileDoc],
    contents: Mapping[str, ContentDoc],
    decisions: Sequence[GroupDecided],
    acted: Sequence[Acted],
    skipped: Sequence[Skipped],
    seconds: Mapping[str, float],
    roots: Mapping[str, Path],
    version: str,
    folders_removed: int = 0,
    batches: Sequence[str] = (),
) -> dict[str, Any]:
    """The JSON object.

    ``files``: all documents of the roots, tombstones too. ``acted``: what was answered during this scan, in order of
    time. ``contents`` is for fields that later forms add. ``batches``: what ``restore --batch`` puts back.
    """
    places = AbsolutePaths(roots)
    live = {doc.path.file_id: doc for doc in files if doc.state != "gone" and doc.path.root in roots}
    groups = groups_of(live, decisions, acted)
    listed = {file_id for group in groups for file_id in group.file_ids}
    alone = [doc for file_id, doc in live.items() if file_id not in listed]
    unique = sorted(places.of(doc.path) for doc in alone if doc.state == "analysed")
    unreadable = [
        {**path_fields(places.of(doc.path)), "reason": doc.reason or "unknown", "explanation": doc.explanation or ""}
        for doc in sorted(alone, key=lambda d: d.path)
        if doc.state == "unreadable"
    ]
    told = {places.of(doc.path) for doc in live.values()}
    left_out = [s for s in sorted(set(skipped), key=lambda s: (s.path, s.rule)) if s.path not in told]
    return {
        "version": version,
        "form": FORM,
        "unique": [to_text(path)[0] for path in unique],
        "unique_b64": [path_fields(path) for path in unique if to_text(path)[1] is not None],
        "groups": sorted((_group(group, places) for group in groups), key=lambda g: str(g["keeper"]["path"])),
        "unreadable": unreadable,
        "skipped": [{**path_fields(s.path), "rule": s.rule, "reason": s.reason} for s in _once_each(left_out)],
        "counts": _counts(groups, len(unique), len(unreadable), len(_once_each(left_out)), folders_removed),
        "seconds": dict(seconds),
        "batches": list(batches),
    }


def rows(report: Mapping[str, Any]) -> list[Row]:
    """A row for each keeper and duplicate, groups numbered from 1."""
    found: list[Row] = []
    for number, group in enumerate(report["groups"], start=1):
        found.append(_row(number, "keep", group["keeper"]))
        found += [_row(number, duplicate["action"], duplicate) for duplicate in group["duplicates"]]
    return found


def _group(group: Group, places: AbsolutePaths) -> dict[str, Any]:
    keeper = group.keeper
    return {
        "keeper": {
            **path_fields(places.of(keeper.file.photo)),
            "sha256": keeper.sha256,
            "width": keeper.width,
            "height": keeper.height,
            "bytes": keeper.bytes,
        },
        "duplicates": [_duplicate(entry, places) for entry in group.in_order],
    }


def _duplicate(entry: Entry, places: AbsolutePaths) -> dict[str, Any]:
    member = entry.duplicate.member
    return {
        **path_fields(places.of(member.file.photo)),
        "class": entry.duplicate.match_class,
        "distance": entry.duplicate.distance,
        "decided_by": entry.duplicate.decided_by,
        "action": entry.action,
        "reason": entry.reason,
        "sha256": member.sha256,
        "width": member.width,
        "height": member.height,
        "bytes": member.bytes,
    }


def _once_each(skipped: Sequence[Skipped]) -> list[Skipped]:
    """A path that two rules leave out stands under the first."""
    return list({one.path: one for one in reversed(skipped)}.values())[::-1]


def _counts(groups: Sequence[Group], unique: int, unreadable: int, skipped: int, folders: int) -> dict[str, int]:
    entries = [entry for group in groups for entry in group.entries]
    by_action = {
        action: sum(entry.action == action for entry in entries) for action in ("moved", "quarantined", "refused")
    }
    return {
        "files": unique + len(groups) + len(entries) + unreadable + skipped,
        "analysed": unique + len(groups) + sum(entry.action not in ("moved", "quarantined") for entry in entries),
        "unique": unique,
        "groups": len(groups),
        "duplicates": len(entries),
        "unreadable": unreadable,
        "skipped": skipped,
        **by_action,
        "folders_removed": folders,
    }


def _row(number: int, action: str, file: Mapping[str, Any]) -> Row:
    encoded = file.get("path_b64")
    return Row(
        group=number,
        action=action,
        path=b64decode(encoded) if encoded else str(file["path"]).encode(),
        distance=file.get("distance"),
        size=file["bytes"],
        width=file["width"],
        height=file["height"],
        decided_by=file.get("decided_by", ""),
        reason=file.get("reason", ""),
        match_class=file.get("class", ""),
    )

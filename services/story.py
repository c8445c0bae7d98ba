"""[pure] The story of one photo: what it is, what was decided about it and why, what was done, and where it lies now.

It is told from three memories: the index (what it is), the resolver's (what was decided), the executor's (what was
taken and put back). Any of them may have been lost; what the others know is still told.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.absolute import AbsolutePaths
from services.resolver.history import History
from services.watcher.hands.lookup import Taken
from shared.index.port import ContentDoc, FileDoc
from shared.messages.base import FileRef
from shared.messages.outcomes import CommandDone
from shared.messages.resolution import Duplicate, GroupDecided
from shared.paths import PhotoPath, path_fields, to_text


def story(
    photo: PhotoPath,
    *,
    roots: Mapping[str, Path],
    doc: FileDoc | None,
    content: ContentDoc | None,
    history: History,
    taken: Sequence[Taken],
) -> dict[str, Any]:
    """The object of ``explain --format json``: paths absolute, moments in seconds since the epoch.

    ``acts``: what was done, or refused, with the photo. ``kept_for``: the same for the files that it was kept for.
    """
    places = AbsolutePaths(roots)
    acts = _acts(history.answers, taken, places)
    return {
        **path_fields(places.of(photo)),
        "root": photo.root,
        "known": _known(doc),
        "facts": None if content is None else content.facts.model_dump(exclude_none=True),
        "decisions": [_decision(d, stands, photo, places) for d, stands in history.decisions if _concerns(d, photo)],
        "acts": [act for victim, _, act in acts if victim == photo],
        "kept_for": [
            {**path_fields(places.of(victim)), **act}
            for victim, keeper, act in acts
            if keeper == photo and victim != photo
        ],
    }


def _text(ref: FileRef, places: AbsolutePaths) -> str:
    return to_text(places.of(ref.photo))[0]


def _where(taken: Taken, places: AbsolutePaths) -> str:
    record = taken.record
    tree = places.root(record.origin.root) if record.tree == "root" else os.fsencode(record.target or "")
    return to_text(os.path.join(tree, record.place_rel))[0]


def _known(doc: FileDoc | None) -> dict[str, Any]:
    if doc is None:
        return {"state": "unknown", "explanation": "no scan has seen it, or a rule leaves it out"}
    told = {
        "state": doc.state,
        "sha256": doc.sha256,
        "version": doc.version,
        "bytes": doc.stat.size if doc.stat else None,
        "reason": doc.reason,
        "explanation": doc.explanation,
        "doubt": doc.doubt,
    }
    return {key: value for key, value in told.items() if value is not None}


# ------------------------------------------------------------------------------------------ what was decided


def _concerns(decision: GroupDecided, photo: PhotoPath) -> bool:
    members = (decision.keeper, *(d.member for d in decision.duplicates))
    return any(member.file.photo == photo for member in members)


def _decision(decision: GroupDecided, stands: bool, photo: PhotoPath, places: AbsolutePaths) -> dict[str, Any]:
    told = {"decision": decision.decision_id, "decided_at": decision.decided_at, "stands": stands}
    if decision.keeper.file.photo == photo:
        return {**told, "kept": True, "kept_for": [_other(d, places) for d in decision.duplicates]}
    mine = next(d for d in decision.duplicates if d.member.file.photo == photo)
    return {**told, "kept": False, "keeper": _text(decision.keeper.file, places), **_why(mine)}


def _other(duplicate: Duplicate, places: AbsolutePaths) -> dict[str, Any]:
    return {**path_fields(places.of(duplicate.member.file.photo)), **_why(duplicate)}


def _why(duplicate: Duplicate) -> dict[str, Any]:
    return {
        "class": duplicate.match_class,
        "distance": duplicate.distance,
        "decided_by": duplicate.decided_by,
        "action": duplicate.action,
        "reason": duplicate.reason,
    }


# --------------------------------------------------------------------------------------------- what was done

#: victim, keeper, and what is told of it
_Act = tuple[PhotoPath, PhotoPath, dict[str, Any]]


def _acts(answers: Sequence[CommandDone], taken: Sequence[Taken], places: AbsolutePaths) -> list[_Act]:
    """Answers of the executor, each with what became of its item; and items that no answer tells of any more."""
    items = {each.record.item_id: each for each in taken}
    told = [_answered(done, items.get(done.item_id or ""), places) for done in answers]
    said = {done.item_id for done in answers}
    told += [_remembered(each, places) for item_id, each in items.items() if item_id not in said]
    return sorted(told, key=lambda act: float(act[2]["at"]))


def _answered(done: CommandDone, item: Taken | None, places: AbsolutePaths) -> _Act:
    act = {
        "outcome": done.outcome,
        "at": done.done_at,
        "code": done.code,
        "explanation": done.explanation,
        "decision": done.decision_id,
        "batch": done.batch_id,
        "item": done.item_id,
        "keeper": _text(done.keeper, places),
        "class": done.match_class,
        "distance": done.distance,
        "where": done.where,
        **(_now(item, places) if item else {}),
    }
    return done.victim.photo, done.keeper.photo, act


def _remembered(taken: Taken, places: AbsolutePaths) -> _Act:
    """As the record beside the item tells it."""
    record = taken.record
    command = record.command
    act = {
        "outcome": "moved" if command.action == "move" else "quarantined",
        "at": record.taken_at,
        "code": None,
        "explanation": "read from its record",
        "decision": command.decision_id,
        "batch": command.batch_id,
        "item": record.item_id,
        "keeper": _text(command.keeper.file, places),
        "class": command.match_class,
        "distance": command.distance,
        **_now(taken, places),
    }
    return record.origin, record.keeper, act


def _now(taken: Taken, places: AbsolutePaths) -> dict[str, Any]:
    """``state``: ``held`` | ``restoring`` | ``restored`` | ``removing`` | ``removed``."""
    where = _where(taken, places) if taken.state in ("held", "restoring", "removing") else None
    return {"state": taken.state, "where": where, "restored_at": taken.restored_at}

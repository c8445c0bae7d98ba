"""[pure] The story of a photo (``services.story``) as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from services.terminal import size_text
from shared.paths import for_shell, from_text, printable
from shared.words import counted

#: so many files that a photo is kept for are named
NAMED = 10
_TAKEN = ("moved", "quarantined")
_CLASSES = {"same-bytes": "the same bytes", "similar": "similar"}
_DONE = {"moved": "moved aside", "quarantined": "put into quarantine", "refused": "left alone", "undone": "put back"}


def lines_of_story(found: Mapping[str, Any]) -> Iterator[str]:
    """Line by line, nothing in it that moves a cursor."""
    yield from map(printable, _lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield str(found["path"])
    yield from _what_it_is(found)
    for decision in found.get("decisions", ()):
        yield from _kept(decision) if decision["kept"] else _copy(decision)
    for act in found.get("acts", ()):
        yield from _act(act, from_text(found["path"], found.get("path_b64")))
    yield from _taken_for_it(found.get("kept_for", ()))
    if found["known"].get("state") == "analysed" and not (found.get("decisions") or found.get("acts")):
        yield "No copy of it is known."


def _what_it_is(found: Mapping[str, Any]) -> Iterator[str]:
    known, facts = found["known"], found.get("facts") or {}
    state = str(known.get("state"))
    if state == "unknown":
        yield f"  Not known: {known['explanation']}."
    elif state == "unreadable":
        yield f"  Gives no picture ({known.get('reason', 'unknown')}): {known.get('explanation', '')}"
    elif state == "gone":
        yield f"  Not there now{_GONE.get(str(known.get('reason')), '')}."
    if facts:
        yield f"  {', '.join(_facts(facts, known))}"
    if known.get("doubt"):
        yield f"  In doubt, so it is only ever proposed: {known['doubt']}"
    if known.get("sha256"):
        yield f"  SHA-256 {known['sha256']}"


_GONE = {
    "taken": ": photosift took it",
    "deleted": ": somebody deleted it or moved it away",
    "renamed": ": it was renamed",
    "ignored": " for photosift: a rule or a setting leaves it out",
}


def _facts(facts: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    yield str(facts.get("format", "a picture"))
    yield f"{facts['width']} x {facts['height']} pixels"
    yield size_text(facts.get("bytes") or known.get("bytes") or 0)
    yield counted(facts.get("exif_tags", 0), "EXIF tag")
    if facts.get("camera"):
        yield f"camera {facts['camera']}"
    if facts.get("captured_at"):
        yield f"taken {facts['captured_at']}"


def _copy(decision: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_decided(decision)}: a copy of {decision['keeper']} ({_how_alike(decision)}), which is the one to keep."
    yield f"  {decision['reason']}"
    yield f"  Rule {decision['decided_by']}; decision {decision['decision']}"


def _kept(decision: Mapping[str, Any]) -> Iterator[str]:
    others = decision["kept_for"]
    yield f"{_decided(decision)}: the one to keep of {counted(len(others) + 1, 'copy', 'copies')}, instead of:"
    for other in others[:NAMED]:
        yield f"  {other['path']} ({_how_alike(other)}; {other['decided_by']})"
    if len(others) > NAMED:
        yield f"  and {counted(len(others) - NAMED, 'more file')} (--format json names them all)"
    yield f"  decision {decision['decision']}"


def _decided(decision: Mapping[str, Any]) -> str:
    stands = "" if decision["stands"] else ", and stands no more"
    return f"Decided {moment_for_people(decision['decided_at'])}{stands}"


def _how_alike(told: Mapping[str, Any]) -> str:
    return f"{_CLASSES.get(told['class'], told['class'])}, distance {told['distance']:.3f}"


def _act(act: Mapping[str, Any], path: bytes) -> Iterator[str]:
    yield f"{moment_for_people(act['at'])}: {_DONE.get(act['outcome'], act['outcome'])}{_because(act)}"
    if act["outcome"] in _TAKEN:
        yield f"  for {act['keeper']} ({_how_alike(act)})"
        yield f"  decision {act['decision']}, batch {act['batch']}"
        yield from _now(act, path)


def _because(act: Mapping[str, Any]) -> str:
    return f": {act['explanation']} ({act['code']})" if act.get("code") else ""


def _now(act: Mapping[str, Any], path: bytes) -> Iterator[str]:
    state = act.get("state")
    if state == "restored":
        when = act.get("restored_at")
        yield f"{moment_for_people(when) + ': ' if when else ''}put back; it is never taken again by itself"
    elif state == "removed":
        yield "  removed from the quarantine after its retention; a live copy was read from disk before"
    elif act.get("where"):
        yield f"  It lies at {act['where']}"
        yield f"  Put it back: photosift restore {for_shell(path)}"


def _taken_for_it(kept_for: Any) -> Iterator[str]:
    taken = [act for act in kept_for if act["outcome"] in _TAKEN]
    if taken:
        yield f"{counted(len(taken), 'file')} taken because this one stays:"
    for act in taken[:NAMED]:
        back = "; put back since" if act.get("state") == "restored" else ""
        where = f", now at {act['where']}" if act.get("where") else ""
        done = f"{_DONE[act['outcome']]} {moment_for_people(act['at'])}"
        yield f"  {act['path']} ({_how_alike(act)}): {done}{where}{back}"
    if len(taken) > NAMED:
        yield f"  and {counted(len(taken) - NAMED, 'more file')} (--format json names them all)"


def moment_for_people(seconds: float) -> str:
    """Local time, with its zone."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")

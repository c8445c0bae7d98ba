"""What ``run`` tells a person at a terminal after its first pass."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from services.cli.hosting import TerminalHost
from services.standalone import ScanResult
from shared.config import Root, Settings
from shared.messages.base import FileRef, FileStat, Message
from shared.messages.files import FileGone, FileMoved, PassFinished
from shared.paths import PhotoPath

REPORT: dict[str, Any] = {"groups": [], "skipped": [], "unreadable": [], "unique": [], "counts": {}, "seconds": {}}
A, B = FileRef.of(PhotoPath("photos", b"a.jpg")), FileRef.of(PhotoPath("photos", b"b\xff.jpg"))
STAT = FileStat(size=1, mtime_ns=1, ctime_ns=1, dev=1, ino=1)


def finished(unknown: str | None) -> PassFinished:
    return PassFinished(
        root="photos", pass_id="p", files=0, published=0, skipped=0, gone=0, waited=0.0, unknown=unknown
    )


def told(*messages: Message, skipped: tuple[dict[str, str], ...] = ()) -> list[str]:
    """The lines after the first pass, without their time."""
    out = io.StringIO()
    settings = Settings(roots=(Root(name="photos", path=Path("/photos")),))
    with TerminalHost(settings, out=out, bars=io.StringIO()) as host:
        host.look_finished(ScanResult(report={**REPORT, "skipped": skipped}, rows=[], finished=True))
        before = len(out.getvalue().splitlines())
        for message in messages:
            host.heard(message)
    return [line.partition(" ")[2] for line in out.getvalue().splitlines()[before:]]


def test_files_that_go_and_files_that_move_are_told() -> None:
    assert told(
        FileGone(file=A, version=2, reason="deleted"),
        FileMoved(file=B, version=3, stat=STAT, known_since=0.0, moved_from=A),
        FileGone(file=A, version=4, reason="renamed"),
        FileGone(file=A, version=5, reason="taken"),
        FileGone(file=A, version=6, reason="ignored"),
    ) == [
        "photos:a.jpg: gone",
        r"photos:b\xff.jpg: moved here from photos:a.jpg",
        "photos:a.jpg: left out from now on",
    ], "a rename is told once, and what an act took is told as that act"


def test_s14_a_root_that_goes_away_and_comes_back_is_told_once_each() -> None:
    away = finished("its folder is not there")
    assert told(finished(None), away, away, finished(None), finished(None)) == [
        "photos: nothing can be said of this root now: its folder is not there; nothing of it is forgotten",
        "photos: this root is back",
    ]


def test_s14_a_root_that_was_missing_from_the_start_is_told_when_it_comes() -> None:
    skipped = ({"path": "/photos", "rule": "root-unknown", "reason": "its folder is not there"},)
    assert told(finished("its folder is not there"), finished(None), skipped=skipped) == ["photos: this root is back"]

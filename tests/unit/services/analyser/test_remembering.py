from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyser.remembering import already_answered, step_for
from shared.index.port import FileDoc
from shared.messages.base import FileRef, FileStat
from shared.messages.files import FileGone, FileMoved, FileSettled
from shared.paths import PhotoPath

NEW, OLD = PhotoPath("photos", b"new.jpg"), PhotoPath("photos", b"old.jpg")
STAT = FileStat(size=10, mtime_ns=20, ctime_ns=30, dev=1, ino=5, birth_ns=7)


def settled(version: int = 5, stat: FileStat = STAT) -> FileSettled:
    return FileSettled(file=FileRef.of(NEW), version=version, stat=stat, known_since=1.0)


def moved(version: int = 5, stat: FileStat = STAT) -> FileMoved:
    return FileMoved(file=FileRef.of(NEW), version=version, stat=stat, known_since=1.0, moved_from=FileRef.of(OLD))


def document(path: PhotoPath = NEW, **changes: object) -> FileDoc:
    values = {"path": path, "version": 4, "state": "analysed", "sha256": "ab" * 32, "stat": STAT} | changes
    return FileDoc(**values)  # type: ignore[arg-type]


def changed(**values: int | None) -> FileStat:
    return STAT.model_copy(update=values)


@given(st.integers(0, 9), st.integers(0, 9))
def test_s18_only_a_newer_version_is_acted_upon(known: int, event: int) -> None:
    step = already_answered(FileGone(file=FileRef.of(NEW), version=event, reason="deleted"), document(version=known))
    assert (step.do if step else None) == ("nothing" if known > event else "say-again" if known == event else None)


def test_a_file_never_heard_of_is_read() -> None:
    assert step_for(settled(), None, None).do == "read"
    assert step_for(moved(), None, None).do == "read"


def test_an_untouched_file_is_not_read_again_even_on_another_device_number() -> None:
    assert step_for(settled(stat=changed(dev=9)), document(), None).do == "reuse"


@pytest.mark.parametrize("change", [{"size": 11}, {"mtime_ns": 21}, {"ctime_ns": 31}, {"ino": 6}])
def test_whatever_says_that_it_changed_has_it_read(change: dict[str, int]) -> None:
    assert step_for(settled(stat=changed(**change)), document(), None).do == "read"


@pytest.mark.parametrize("state", ["gone", "unreadable"])
def test_a_file_that_was_gone_or_unreadable_is_read(state: str) -> None:
    assert step_for(settled(), document(state=state), None).do == "read"


@pytest.mark.parametrize("state", ["analysed", "gone"])
def test_a_rename_uses_what_the_old_name_had_though_its_ctime_changed(state: str) -> None:
    step = step_for(moved(stat=changed(ctime_ns=99)), None, document(OLD, state=state))
    assert (step.do, step.known) == ("reuse", document(OLD, state=state))


def test_s16_birth_time_must_agree_where_both_are_known() -> None:
    assert step_for(moved(stat=changed(birth_ns=8)), None, document(OLD)).do == "read"
    assert step_for(moved(stat=changed(birth_ns=None)), None, document(OLD)).do == "reuse"


@pytest.mark.parametrize("change", [{"size": 11}, {"mtime_ns": 21}, {"ino": 6}])
def test_s16_a_rename_that_does_not_agree_is_read(change: dict[str, int]) -> None:
    assert step_for(moved(stat=changed(**change)), None, document(OLD)).do == "read"


@pytest.mark.parametrize("gap", [{"sha256": None}, {"stat": None}, {"state": "unreadable"}])
def test_a_rename_of_what_was_not_analysed_is_read(gap: dict[str, object]) -> None:
    assert step_for(moved(), None, document(OLD, **gap)).do == "read"


def test_a_settled_file_never_takes_another_names_content() -> None:
    assert step_for(settled(), None, document(OLD)).do == "read"

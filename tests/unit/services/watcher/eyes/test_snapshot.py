"""What the eyes remember, and how versions grow. (S14, S18)"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.watcher.eyes.known import Facts
from services.watcher.eyes.remembering import Note
from services.watcher.eyes.rescan import changed
from services.watcher.eyes.snapshot import EPOCH_SHIFT, Snapshot
from services.watcher.eyes.tables import SnapshotFailure, SnapshotFromLaterVersion
from services.watcher.eyes.telling import Change
from shared.index.port import FileDoc
from shared.messages.files import FileEvent, FileGone, FileMoved, FileSettled, PassFinished
from shared.paths import PhotoPath

NOW = 1_800_000_000.0


def facts(ino: int = 5, size: int = 1, dev: int = 1) -> Facts:
    return Facts(0o100644, 1, size, 2, 3, dev, ino, 6)


def at(rel: str, root: str = "photos") -> PhotoPath:
    return PhotoPath(root, rel.encode())


def settled(rel: str, ino: int = 5) -> Change:
    return Change("settled", at(rel), facts(ino))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshot.sqlite"


@pytest.fixture
def snapshot(path: Path) -> Iterator[Snapshot]:
    opened = Snapshot(path, now=lambda: NOW)
    yield opened
    opened.close()


def versions(snapshot: Snapshot) -> list[int]:
    return [p.message.version for p in snapshot.pending() if isinstance(p.message, FileEvent)]


def test_what_was_written_is_known_and_waits_to_be_published(snapshot: Snapshot) -> None:
    snapshot.write([settled("sub/a.jpg")])
    known = snapshot.known(at("sub/a.jpg"))
    assert known is not None
    assert (known.rel, known.size, known.ino, known.known_since) == (b"sub/a.jpg", 1, 5, NOW)
    assert snapshot.known_in("photos", b"sub") == {b"a.jpg": known}
    (pending,) = snapshot.pending()
    assert isinstance(pending.message, FileSettled)
    assert pending.message.stat == known.stat
    assert pending.message.version == known.version
    snapshot.acknowledged([pending])
    assert snapshot.pending() == []


def test_a_rename_is_two_messages_in_order(snapshot: Snapshot) -> None:
    snapshot.write([settled("a.jpg")])
    snapshot.write([Change("moved", at("b.jpg"), facts(), at("a.jpg"))])
    _, moved, gone = (p.message for p in snapshot.pending())
    assert isinstance(moved, FileMoved)
    assert isinstance(gone, FileGone)
    assert moved.moved_from.photo == gone.file.photo == at("a.jpg")
    assert moved.version < gone.version
    assert snapshot.known(at("a.jpg")) is None
    assert snapshot.known(at("b.jpg")) is not None


def test_s18_a_file_that_comes_again_has_a_higher_version(snapshot: Snapshot) -> None:
    for _ in range(3):
        snapshot.write([settled("a.jpg")])
        snapshot.write([Change("gone", at("a.jpg"), reason="deleted")])
    assert versions(snapshot) == sorted(set(versions(snapshot)))
    assert len(versions(snapshot)) == 6


def test_one_transaction_may_end_a_name_and_use_it_again(snapshot: Snapshot) -> None:
    snapshot.write([settled("a.jpg", 5)])
    snapshot.write([Change("moved", at("b.jpg"), facts(5), at("a.jpg")), settled("a.jpg", 6)])
    known = {rel: snapshot.known(at(rel)) for rel in ("a.jpg", "b.jpg")}
    assert {rel: k.ino for rel, k in known.items() if k} == {"a.jpg": 6, "b.jpg": 5}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("settled"), st.sampled_from("abc"), st.just("")),
            st.tuples(st.just("gone"), st.sampled_from("abc"), st.just("")),
            st.tuples(st.just("moved"), st.sampled_from("abc"), st.sampled_from("abc")),
        ).filter(lambda step: step[1] != step[2]),
        max_size=12,
    ),
    st.integers(1, 5),
)
def test_s18_the_messages_tell_the_same_story_as_the_rows(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, str]], batch: int
) -> None:
    snapshot = Snapshot(tmp_path_factory.mktemp("s") / "s.sqlite", now=lambda: NOW)
    changes = [
        Change(kind, at(name), None if kind == "gone" else facts(), at(old) if old else None, "deleted")
        for kind, name, old in steps
    ]
    for start in range(0, len(changes), batch):
        snapshot.write(changes[start : start + batch])
    live: dict[str, int] = {}
    for pending in snapshot.pending():
        message = pending.message
        assert isinstance(message, FileEvent)
        if isinstance(message, FileGone):
            live.pop(message.file.path, None)
        else:
            live[message.file.path] = message.version
    assert {n: k.version for n in "abc" if (k := snapshot.known(at(n)))} == live
    assert versions(snapshot) == sorted(set(versions(snapshot)))
    snapshot.close()


def test_s18_versions_go_on_after_a_restart(path: Path) -> None:
    for _ in range(2):
        snapshot = Snapshot(path, now=lambda: NOW)
        snapshot.write([settled("a.jpg")])
        snapshot.close()
    again = Snapshot(path, now=lambda: NOW)
    assert len(set(versions(again))) == 2
    again.close()


def test_s18_a_new_snapshot_starts_above_an_older_one(tmp_path: Path) -> None:
    old = Snapshot(tmp_path / "old", now=lambda: NOW)
    old.write([settled(f"{n}.jpg") for n in range(100)])
    new = Snapshot(tmp_path / "new", now=lambda: NOW + 3600)
    new.write([settled("0.jpg")])
    assert versions(new)[0] > old.highest_version()
    old.close()
    new.close()


def test_s18_the_epoch_is_raised_above_what_an_index_holds(snapshot: Snapshot) -> None:
    above = snapshot.highest_version() + 7
    epoch = snapshot.raise_epoch(above)
    snapshot.write([settled("a.jpg")])
    assert versions(snapshot)[0] > above
    assert epoch == (above >> EPOCH_SHIFT) + 1


def test_s18_a_snapshot_that_knows_as_much_as_the_index_keeps_its_epoch(snapshot: Snapshot) -> None:
    snapshot.write([settled("a.jpg")])
    before = snapshot.highest_version()
    assert versions(snapshot) == [before]
    snapshot.raise_epoch(before)
    snapshot.raise_epoch(0)
    assert snapshot.highest_version() == before


def test_s18_a_crash_between_writing_and_publishing_loses_nothing(path: Path) -> None:
    first = Snapshot(path, now=lambda: NOW)
    first.write([settled("a.jpg")])
    first.write_pass(PassFinished(root="photos", pass_id="1", files=1, published=1, skipped=0, gone=0, waited=0))
    before = first.pending()
    first.close()
    second = Snapshot(path, now=lambda: NOW)
    assert second.pending() == before
    assert [type(p.message) for p in before] == [FileSettled, PassFinished]
    second.close()


def test_names_are_bytes_and_numbers_use_all_64_bits(snapshot: Snapshot) -> None:
    path, big = PhotoPath("photos", b"d\xff/\n\xfe.jpg"), 2**64 - 3
    snapshot.write([Change("settled", path, facts(ino=big))])
    known = snapshot.known(path)
    assert known is not None
    assert known.ino == big
    assert [(root, k.rel) for root, k in snapshot.of_inode(big)] == [("photos", path.rel)]
    (pending,) = snapshot.pending()
    assert isinstance(pending.message, FileSettled)
    assert pending.message.file.photo == path


def test_folders_and_counts_respect_the_borders_of_names(snapshot: Snapshot) -> None:
    snapshot.write([settled(rel) for rel in ("a.jpg", "x/a.jpg", "x/y/a.jpg", "x-y/a.jpg", "x0/a.jpg")])
    assert snapshot.folders("photos") == {b"", b"x", b"x/y", b"x-y", b"x0"}
    assert snapshot.folders("photos", b"x") == {b"x", b"x/y"}
    assert snapshot.count("photos", b"x") == 2
    assert snapshot.count("photos") == 5
    assert snapshot.count("other") == 0


def test_s14_what_is_missing_is_only_noted(snapshot: Snapshot) -> None:
    snapshot.write([settled("a.jpg"), settled("sub/b.jpg"), settled("sub/c.jpg")])
    snapshot.missing.note("photos", [(b"", b"a.jpg", "deleted"), (b"", b"never known.jpg", "deleted")])
    snapshot.missing.note_folders("photos", [(b"sub", "deleted")])
    assert snapshot.missing.by_device("photos") == {1: 3}
    assert snapshot.count("photos") == 3
    snapshot.missing.found_again("photos", [b"sub/b.jpg", b"a.jpg"])
    assert snapshot.missing.some("photos", "deleted", 10) == [b"sub/c.jpg"]
    snapshot.write([Change("gone", at("sub/c.jpg"), reason="deleted")])
    assert snapshot.missing.by_device("photos") == {}
    assert snapshot.gone_since("photos", NOW - 1) == {1: 1}
    assert snapshot.gone_since("photos", NOW + 1) == {}


def test_notes_lie_on_shelves_by_root(snapshot: Snapshot) -> None:
    snapshot.notes.add("skipped", "a", [Note(b"z", "rule", "why"), Note(b"a")])
    snapshot.notes.add("skipped", "b", [Note(b"x")])
    snapshot.notes.add("skipped", "a", [Note(b"z", "other rule", "why")])
    assert snapshot.notes.recall("skipped", "a") == [Note(b"a"), Note(b"z", "other rule", "why")]
    snapshot.notes.drop("skipped", "a", b"z")
    snapshot.notes.remember("skipped", "b", [])
    assert snapshot.notes.recall("skipped", "a") == [Note(b"a")]
    assert snapshot.notes.recall("skipped", "b") == []


def test_names_of_roots_are_remembered_with_their_paths(snapshot: Snapshot) -> None:
    snapshot.register("photos", "/srv/photos")
    assert snapshot.root_names() == {"photos": "/srv/photos"}


def test_a_failing_transaction_leaves_nothing_behind(snapshot: Snapshot) -> None:
    bad = Change("settled", at("b.jpg"), None)
    with pytest.raises(ValueError, match="facts"):
        snapshot.write([settled("a.jpg"), bad])
    assert snapshot.known(at("a.jpg")) is None
    assert snapshot.pending() == []


def test_a_snapshot_of_a_later_version_is_refused(path: Path) -> None:
    Snapshot(path, now=lambda: NOW).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(SnapshotFromLaterVersion):
        Snapshot(path, now=lambda: NOW)


def test_a_snapshot_that_is_none_is_refused_by_name(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(SnapshotFailure):
        Snapshot(path, now=lambda: NOW)


def doc(rel: str, version: int, *, state: Literal["analysed", "gone"] = "analysed") -> FileDoc:
    return FileDoc(path=at(rel), version=version, state=state, stat=facts(ino=2**63 + 7).as_stat(), known_since=5.0)


def test_s18_what_only_the_index_knows_is_learned_and_found_changed_or_missing_by_the_next_pass(
    snapshot: Snapshot,
) -> None:
    assert snapshot.learn([doc("sub/a.jpg", 10), doc("b.jpg", 11), doc("c.jpg", 12, state="gone")]) == 2
    known = snapshot.known(at("sub/a.jpg"))
    assert known is not None
    assert (known.size, known.mtime_ns, known.ino, known.known_since) == (1, 2, 2**63 + 7, 5.0)
    assert changed(known, facts(ino=2**63 + 7)) == "modified"
    assert snapshot.known(at("c.jpg")) is None
    assert snapshot.pending() == [], "nothing is told before anybody looked"
    assert snapshot.learn([doc("sub/a.jpg", 10)]) == 0, "it is known by now"


def test_s18_an_older_snapshot_distrusts_what_the_index_knows_better_and_nothing_else(snapshot: Snapshot) -> None:
    snapshot.write([settled("a.jpg", 5), settled("b.jpg", 6), settled("c.jpg", 7)])
    [a, b, c] = versions(snapshot)
    assert snapshot.learn([doc("a.jpg", a), doc("b.jpg", b + 100), doc("c.jpg", c + 100, state="gone")]) == 2
    now = {name: snapshot.known(at(name)) for name in ("a.jpg", "b.jpg", "c.jpg")}
    assert [known.ctime_ns for known in now.values() if known] == [3, -1, -1]


def test_s18_a_file_that_an_older_snapshot_told_gone_and_the_index_has_again_is_learned(snapshot: Snapshot) -> None:
    snapshot.write([settled("a.jpg")])
    snapshot.write([Change("gone", at("a.jpg"), reason="deleted")])
    [_, gone] = versions(snapshot)
    assert snapshot.learn([doc("a.jpg", gone)]) == 0, "the index is only behind"
    assert snapshot.known(at("a.jpg")) is None
    assert snapshot.learn([doc("a.jpg", gone + 1)]) == 1
    assert snapshot.known(at("a.jpg")) is not None

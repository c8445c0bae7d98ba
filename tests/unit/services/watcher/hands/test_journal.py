"""What must never be forgotten. (S12)"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from services.watcher.hands.journal import Journal
from services.watcher.hands.journalfile import BALLAST, JournalFailed, JournalFile
from services.watcher.hands.refusals import Refusal
from services.watcher.hands.results import done, refused
from shared.messages.outcomes import RequestAnswered
from tests.support.executing import NOW, Stage
from tests.support.filesystems import mounted


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.pair()
    return stage


def test_every_commit_is_synchronised(stage: Stage) -> None:
    file = JournalFile(stage.state)
    try:
        assert file.read("PRAGMA synchronous") == [(2,)]
        assert file.read("PRAGMA journal_mode") == [("wal",)]
    finally:
        file.close()


def test_a_journal_keeps_its_id_and_a_new_one_has_another(stage: Stage, tmp_path: Path) -> None:
    ids = []
    for folder in (stage.state, stage.state, tmp_path):
        file = JournalFile(folder)
        ids.append(file.id)
        file.close()
    assert ids[0] == ids[1] != ids[2]


def test_intent_aim_and_result_are_read_back_after_a_restart(stage: Stage) -> None:
    command = stage.command(action="move")
    file = JournalFile(stage.state)
    journal = Journal(file)
    journal.intend(command, cause=None, item_id="i", private=b".photosift/x\xff", at=NOW)
    journal.aim(command.command_id, b"photos/\xff.jpg")
    file.close()
    file = JournalFile(stage.state)
    journal = Journal(file)
    (entry,) = journal.open_intents()
    assert (entry.command, entry.item_id, entry.private, entry.final) == (
        command,
        "i",
        b".photosift/x\xff",
        b"photos/\xff.jpg",
    )
    assert set(journal.open_files().values()) == {"victim", "keeper"}
    journal.settle(done(command, "moved", at=NOW, explanation="", item_id="i"))
    assert journal.open_intents() == []
    assert journal.open_files() == {}
    assert [u.message.message_id for u in journal.unsaid()] == [f"out:{command.command_id}:moved"]
    file.close()


def test_s18_what_was_not_acknowledged_is_said_again_in_order(stage: Stage) -> None:
    file = JournalFile(stage.state)
    journal = Journal(file)
    for n in range(3):
        command = stage.command(decision_id=str(n))
        journal.refuse(command, refused(command, Refusal(code=str(n), explanation=""), at=NOW), cause=None)
    first, *_ = journal.unsaid()
    journal.said(first.seq)
    file.close()
    file = JournalFile(stage.state)
    assert [u.message.code for u in Journal(file).unsaid()] == ["1", "2"]  # type: ignore[attr-defined]
    file.close()


def test_a_request_is_answered_once(stage: Stage) -> None:
    file = JournalFile(stage.state)
    journal = Journal(file)
    answer = RequestAnswered(request_id="r", by="me", done=True, explanation="done", count=3)
    assert journal.answer_to("r") is None
    journal.answer(answer, None)
    assert journal.answer_to("r") == answer
    file.close()


def test_s12_a_full_disk_costs_the_ballast_first_so_that_the_result_of_an_act_is_recorded(tmp_path: Path) -> None:
    with mounted("tmpfs", tmp_path, size="4M") as place:
        stage = Stage(tmp_path / "work") if (tmp_path / "work").mkdir() is None else None
        assert stage is not None
        stage.pair()
        file = JournalFile(place.folder)
        journal, command = Journal(file), stage.command()
        journal.intend(command, cause=None, item_id="i", private=b"p", at=NOW)
        assert (place.folder / "journal.ballast").stat().st_blocks * 512 >= BALLAST
        _fill(place.folder)
        journal.settle(done(command, "quarantined", at=NOW, explanation="x" * 100_000, item_id="i"))
        assert not (place.folder / "journal.ballast").exists()
        entry = journal.lookup(command.command_id)
        assert entry is not None
        assert entry.state == "done"
        _fill(place.folder)
        with pytest.raises(JournalFailed):  # no space for another result: nothing may begin
            journal.intend(stage.command(decision_id="2"), cause=None, item_id="j", private=b"p", at=NOW)
        file.close()


def _fill(folder: Path) -> None:
    number = len(list(folder.iterdir()))
    with (folder / f"fill-{number}").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def test_a_transaction_that_fails_leaves_nothing(stage: Stage) -> None:
    file = JournalFile(stage.state)

    def change(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO meta VALUES ('half', '1')")
        db.execute("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(JournalFailed):
        file.write(change)
    assert file.meta("half") is None
    file.set_meta(whole="1")
    assert file.meta("whole") == "1"
    file.close()


def test_a_journal_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"this is no database, and long enough to be looked at as one" * 100)
    with pytest.raises(JournalFailed):
        JournalFile(tmp_path)

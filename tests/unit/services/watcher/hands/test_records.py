"""Records beside items: they rebuild a journal, and nothing else that lies there does any harm. (S11, S22)"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.watcher.disk.local import LocalDisk
from services.watcher.hands.quarantine import anchors, discard, records_below_root, records_in_target
from services.watcher.hands.records import Record, parse
from shared.errors import MessageRejected, PhotosiftError
from tests.support.executing import NOW, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.pair()
    return stage


def record(stage: Stage, **more: object) -> Record:
    values: dict[str, object] = {
        "item_id": "i",
        "command": stage.command(),
        "sha256": "x",
        "size": 1,
        "mtime_ns": 2,
        "attributes": {"mode": 0, "uid": 0, "gid": 0, "atime_ns": 0, "mtime_ns": 0, "xattrs": {"user.x": "AAE="}},
        "taken_at": NOW,
        "journal": "j",
        "place": ".photosift/quarantine/i/photo",
    }
    return Record.model_validate(values | more)


def test_a_record_is_read_back_as_it_was_written(stage: Stage) -> None:
    written = record(stage)
    assert parse(written.as_json()) == written
    assert written.saved_attributes.xattrs == {"user.x": b"\0\1"}


@pytest.mark.parametrize("place", ["../x", "/etc/passwd", "a/../../b", ""])
def test_s9_a_record_that_leads_out_is_refused(stage: Stage, place: str) -> None:
    with pytest.raises(PhotosiftError):
        parse(record(stage, place=place).as_json())


@given(st.binary(max_size=200))
def test_anything_else_is_refused_by_name(payload: bytes) -> None:
    with pytest.raises(MessageRejected):
        parse(payload)


def test_torn_foreign_and_empty_records_cost_no_other_item_anything(stage: Stage) -> None:
    with stage.hand() as hand:
        item_id = hand.executor.take(stage.command()).item_id
    for name, payload in (("torn", b'{"version": 1, "item'), ("foreign", b'{"hello": "world"}'), ("empty", b"")):
        folder = stage.root() / ".photosift" / "quarantine" / name
        folder.mkdir()
        (folder / "record.json").write_bytes(payload)
        (folder / "photo").write_bytes(b"something")
    (stage.root() / ".photosift" / "quarantine" / "a file").write_bytes(b"")
    (stage.root() / ".photosift" / "places").mkdir()
    (stage.root() / ".photosift" / "places" / "x.json").write_text(json.dumps({"path": "../..", "path_b64": None}))
    with LocalDisk().open_root(stage.root()) as tree:
        assert [r.item_id for r in records_below_root(tree)] == [item_id]


def test_an_item_without_its_photo_is_no_item(stage: Stage) -> None:
    with stage.hand("move") as hand:
        assert hand.executor.take(stage.command(action="move")).outcome == "moved"
    with LocalDisk().open_root(stage.target) as tree:
        assert len(list(records_in_target(tree))) == 1
        (stage.target / "photos/a/victim.jpg").unlink()
        assert list(records_in_target(tree)) == []


def test_a_folder_with_a_photo_in_it_is_never_discarded(stage: Stage) -> None:
    with stage.hand() as hand:
        item_id = hand.executor.take(stage.command()).item_id
    folder = f".photosift/quarantine/{item_id}"
    with LocalDisk().open_root(stage.root()) as tree:
        discard(LocalDisk(), tree, folder.encode())
        assert (stage.root() / folder / "photo").exists()
        assert (stage.root() / folder / "record.json").exists()


def test_the_place_of_an_ordinary_file_is_at_the_top_of_its_root(stage: Stage) -> None:
    with LocalDisk().open_root(stage.root()) as tree:
        assert anchors(tree, b"a") == [b"", b"a"]
        assert anchors(tree, b"") == [b""]

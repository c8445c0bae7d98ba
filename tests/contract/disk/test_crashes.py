"""``kill -9`` before every step of every act: one complete copy is there, at a place where recovery looks. (S12)"""

from __future__ import annotations

from pathlib import Path

import pytest

from services.watcher.disk.local import FAULT_POINTS, LocalDisk
from services.watcher.disk.port import is_temporary
from tests.contract.disk.conftest import BYTES, SHA256, files_below, write
from tests.support.disk_acts import ITEM, PROCESSES, TARGET, VICTIM, act_until, end, steps_of
from tests.support.filesystems import Place

_VICTIM, _ITEM, _TARGET = (name.decode() for name in (VICTIM, ITEM, TARGET))
#: between link and unlink the file has two names, and between an exclusive copy and its unlink there are two files
TWO_NAMES = {
    "rename:before-link-fsync",
    "rename:before-unlink",
    "exclusive:before-attributes",
    "exclusive:before-folder-fsync",
    "exclusive:before-unlink",
}
#: the copy stands in the place of a rename: the name is reserved first, then filled
HALF_FILLED = {"exclusive:before-write", "exclusive:before-fsync", "exclusive:before-reread"}


def prepared(name: str, folder: Path) -> tuple[Path, Path]:
    source, target = folder / "library", folder / "target"
    target.mkdir(parents=True)
    source.mkdir()
    if name != "write":
        write(source / (_ITEM if name == "give-back" else _VICTIM))
    return source, target


def killed_at(step: str, name: str, source: Path, target: Path) -> None:
    process = PROCESSES.Process(target=act_until, args=(step, name, source, target, SHA256))
    process.start()
    assert end(process) == -9, f"{step} was never reached"


def steps(place: Place, name: str) -> list[str]:
    found = steps_of(name, *prepared(name, place.folder / "rehearsal"), SHA256)
    assert set(found) <= set(FAULT_POINTS)
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("name", ["take", "give-back"])
def test_s12_a_rename_killed_anywhere_leaves_one_file(place: Place, name: str, disk: LocalDisk) -> None:
    start, finish = (_VICTIM, _ITEM) if name == "take" else (_ITEM, _VICTIM)
    for number, step in enumerate(steps(place, name)):
        source, target = prepared(name, place.folder / str(number))
        killed_at(step, name, source, target)
        found = files_below(source)
        complete = {rel for rel, payload in found.items() if payload == BYTES}
        assert complete <= {start, finish} and set(found) <= {start, finish}, step
        if step in TWO_NAMES:
            assert complete == {start, finish}, step
            # recovery: the user's name stands, so the private one is released
            with disk.open_root(source) as root, root.spot(ITEM) as item:
                disk.release(item)
            assert files_below(source) == {_VICTIM: BYTES}
        elif step in HALF_FILLED:
            assert complete <= {start, finish} and start in complete, step
        else:
            assert len(found) == len(complete) == 1, step


def test_s12_a_copy_killed_anywhere_is_whole_or_not_there(place: Place, disk: LocalDisk, tmp_path: Path) -> None:
    for number, step in enumerate(steps(place, "copy")):
        source, target = prepared("copy", place.folder / str(number))
        killed_at(step, "copy", source, target)
        assert files_below(source) == {_VICTIM: BYTES}, step
        rest = files_below(target)
        final = rest.pop(_TARGET, BYTES)
        assert final == BYTES or step in HALF_FILLED, step
        for rel in rest:  # what lies beside it is known for ours, and ours to remove
            assert is_temporary(Path(rel).name.encode()), step
            with disk.open_root(target) as root, root.spot(rel.encode()) as spot:
                disk.release(spot)


def test_s12_a_record_killed_anywhere_is_whole_or_not_there(place: Place) -> None:
    for number, step in enumerate(steps(place, "write")):
        source, target = prepared("write", place.folder / str(number))
        killed_at(step, "write", source, target)
        found = files_below(source)
        assert found.pop(_ITEM, b"{}" * 5000) == b"{}" * 5000, step
        assert all(is_temporary(Path(rel).name.encode()) for rel in found), step

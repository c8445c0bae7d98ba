"""The keeper is read from the disk, and its hash serves others only while nothing was done to it. (S2, S8)"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.watcher.disk.port import Mount, OpenFile
from services.watcher.hands.inspecting import Found
from services.watcher.hands.keepers import may_be_held
from shared.paths import PhotoPath
from tests.support.executing import Stage

PATH = PhotoPath("photos", b"b/keeper.jpg")


class Recorded:
    """An open file that notes what is asked of it."""

    def __init__(self, file: OpenFile, notes: list[str]) -> None:
        self._file, self._notes = file, notes
        self.stat = file.stat

    def settle_to_disk(self) -> None:
        self._notes.append("settled")
        self._file.settle_to_disk()

    def hash_from_disk(self) -> str:
        self._notes.append("hashed from disk")
        return self._file.hash_from_disk()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.pair()
    return stage


def read(stage: Stage, times: int, between: object = None) -> list[str]:
    notes: list[str] = []
    with stage.hand() as hand:
        for n in range(times):
            if n and callable(between):
                between()
            with ExitStack() as stack:
                found = hand.bench.inspecting.look_for(stack, PATH)
                assert found.file is not None
                noted = Found(
                    looked=found.looked,
                    tree=found.tree,
                    spot=found.spot,
                    file=Recorded(found.file, notes),  # type: ignore[arg-type]
                )
                hand.bench.keepers.read(PATH, noted)
    return notes


def test_s2_a_keeper_is_fsynced_before_it_is_read_back_from_the_disk(stage: Stage) -> None:
    assert read(stage, 1) == ["settled", "hashed from disk"]


def test_s8_a_hash_serves_a_batch_while_nothing_is_done_to_the_file(stage: Stage) -> None:
    assert read(stage, 5) == ["settled", "hashed from disk"]


@pytest.mark.parametrize("how", ["edited", "replaced", "touched", "edited with its times given back"])
def test_s8_a_keeper_to_which_anything_was_done_is_read_again(stage: Stage, how: str) -> None:
    keeper = stage.root() / "b/keeper.jpg"
    times = keeper.stat()

    def change() -> None:
        if how == "replaced":
            (fresh := keeper.with_name("new")).write_bytes(b"the same picture")
            fresh.rename(keeper)
        elif how == "touched":
            keeper.chmod(0o600)
        else:
            keeper.write_bytes(b"tHe SaMe picture")
        if how.endswith("back"):
            os.utime(keeper, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert read(stage, 2, change) == ["settled", "hashed from disk"] * 2


@pytest.mark.parametrize(
    ("kind", "may"),
    [("ext4", True), ("btrfs", True), ("fuse.mergerfs", False), ("overlay", False), ("nfs4", False), ("cifs", False)],
)
def test_s8_never_on_network_or_fuse_mounts(kind: str, may: bool) -> None:
    mount = Mount(mount_id=1, mount_point=Path("/"), kind=kind, fsid=None, read_only=False)
    assert may_be_held(mount) == may

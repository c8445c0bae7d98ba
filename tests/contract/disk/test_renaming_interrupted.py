"""D3 where a mount has neither no-replace nor, perhaps, links: what happens when something comes between. (S10)"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.port import DiskFailure, Occupied
from tests.contract.disk.conftest import BYTES, files_below, write
from tests.support.filesystems import mounted


class Stop(Exception):
    """A test stops an act."""


def test_s10_a_copy_onto_a_users_name_that_fails_leaves_no_trace(tmp_path: Path, stack: ExitStack) -> None:
    """exFAT: neither no-replace nor link. What was begun under the user's name goes, by way of a private folder."""

    def stop(step: str) -> None:
        if step == "exclusive:before-reread":
            raise Stop

    folder = stack.enter_context(mounted("exfat", tmp_path)).folder
    write(folder / ".photosift" / "1" / "photo")
    disk = LocalDisk(stop)
    root = stack.enter_context(disk.open_root(folder))
    private, own = stack.enter_context(root.spot(b".photosift/1/photo")), stack.enter_context(root.spot(b"a.jpg"))
    with pytest.raises(Stop):
        disk.rename(private, own)
    assert files_below(folder) == {".photosift/1/photo": BYTES}
    assert root.list_folder(b".photosift/1") == [b"photo"]


def test_s10_a_strangers_file_in_place_of_what_was_begun_stays(tmp_path: Path, stack: ExitStack) -> None:
    folder = stack.enter_context(mounted("exfat", tmp_path)).folder

    def stop(step: str) -> None:
        if step == "exclusive:before-discard":
            write(folder / "editor", b"theirs").replace(folder / "a.jpg")
        if step == "exclusive:before-reread":
            raise Stop

    write(folder / ".photosift" / "1" / "photo")
    disk = LocalDisk(stop)
    root = stack.enter_context(disk.open_root(folder))
    private, own = stack.enter_context(root.spot(b".photosift/1/photo")), stack.enter_context(root.spot(b"a.jpg"))
    with pytest.raises(Stop):
        disk.rename(private, own)
    assert files_below(folder) == {".photosift/1/photo": BYTES, "a.jpg": b"theirs"}


@pytest.mark.parametrize("kind", ["bindfs", "mergerfs", "ntfs"])
def test_s10_ours_stays_when_the_name_we_linked_was_replaced_at_once(
    tmp_path: Path, stack: ExitStack, kind: str
) -> None:
    """An editor saves over the name that was just put back: the private file is then the only one of its content."""
    folder = stack.enter_context(mounted(kind, tmp_path)).folder

    def editor(step: str) -> None:
        if step == "rename:before-link-fsync":
            write(folder / "editor", b"theirs").replace(folder / "a.jpg")

    write(folder / ".photosift" / "1" / "photo")
    disk = LocalDisk(editor)
    root = stack.enter_context(disk.open_root(folder))
    private, own = stack.enter_context(root.spot(b".photosift/1/photo")), stack.enter_context(root.spot(b"a.jpg"))
    with pytest.raises(DiskFailure):
        disk.rename(private, own)
    assert files_below(folder) == {".photosift/1/photo": BYTES, "a.jpg": b"theirs"}


def test_s10_a_name_taken_just_before_it_is_made_stays_theirs(tmp_path: Path, stack: ExitStack) -> None:
    folder = stack.enter_context(mounted("exfat", tmp_path)).folder

    def stranger(step: str) -> None:
        if step == "exclusive:before-create":
            write(folder / "a.jpg", b"theirs")

    write(folder / ".photosift" / "1" / "photo")
    disk = LocalDisk(stranger)
    root = stack.enter_context(disk.open_root(folder))
    private, own = stack.enter_context(root.spot(b".photosift/1/photo")), stack.enter_context(root.spot(b"a.jpg"))
    with pytest.raises(Occupied):
        disk.rename(private, own)
    assert files_below(folder) == {".photosift/1/photo": BYTES, "a.jpg": b"theirs"}

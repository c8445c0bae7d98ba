"""The eyes on a real folder and a real bus."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.paths import PhotoPath
from tests.support.seeing import seeing, write


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


async def test_a_pass_tells_of_every_file_once_and_of_its_own_end(tmp_path: Path, photos: Path) -> None:
    for name in ("a.jpg", "sub/b.jpg", "sub/notes.txt"):
        write(photos / name)
    async with seeing(tmp_path, [photos]) as s:
        finished = (await s.scan())["photos"]
        assert sorted(s.heard.events) == ["settled a.jpg", "settled sub/b.jpg"]
        assert (finished.files, finished.published, finished.skipped, finished.unknown) == (2, 2, 1, None)
        assert (await s.scan())["photos"].published == 0


async def test_s16_a_restart_publishes_only_what_changed(tmp_path: Path, photos: Path) -> None:
    for name in ("same.jpg", "edited.jpg", "deleted.jpg", "old-name.jpg"):
        write(photos / name, name.encode())
    async with seeing(tmp_path, [photos]) as s:
        await s.scan()
        s.heard.messages.clear()
        write(photos / "edited.jpg", b"other bytes")
        (photos / "deleted.jpg").unlink()
        (photos / "old-name.jpg").rename(photos / "new-name.jpg")
        write(photos / "new.jpg")
        await s.scan()
        assert sorted(s.heard.events) == [
            "gone deleted.jpg deleted",
            "gone old-name.jpg renamed",
            "moved old-name.jpg > new-name.jpg",
            "settled edited.jpg",
            "settled new.jpg",
        ]


async def test_watching_sees_a_new_file(tmp_path: Path, photos: Path) -> None:
    async with seeing(tmp_path, [photos]) as s, s.watching() as eyes:
        write(photos / "a.jpg")
        await s.heard.until_told("settled a.jpg")
        assert eyes.known_since(PhotoPath("photos", b"a.jpg")) is not None

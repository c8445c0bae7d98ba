"""``photosift run`` while people use the folder that it watches: real processes, the real file system.

What must not happen has no event of its own. Where a test has to be sure of it, another photo is put into the folder and
waited for (``look_around``): whatever came before it has then had more than the settle time to be taken up.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.filesystems import image, mount_image, required_in_ci
from tests.support.overhearing import PATIENCE, Overheard, Watched, tiny, watched, write
from tests.support.photos import jpeg, scene

#: a wait has more patience than usual on a machine with other things to do
pytestmark = pytest.mark.timeout(300)

#: more than may vanish at once without a person
MANY = 80
#: how often a worker read and decoded a file
DECODED = ("photosift_analyser_file_seconds_count",)
REUSED = ("photosift_analyser_files_total", "reused")


def pieces(whole: bytes, count: int) -> list[bytes]:
    size = -(-len(whole) // count)
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def test_s15_a_file_copied_slowly_is_analysed_once_and_whole(tmp_path: Path) -> None:
    whole = jpeg(scene(1))
    async with watched(tmp_path) as w:
        with (w.photos / "slow.jpg").open("wb", buffering=0) as file:
            for piece in pieces(whole, 3):
                file.write(piece)
                await w.look_around()  # longer than the settle time: that it is still open for writing tells
                assert w.heard.about("slow.jpg") == []
        await w.heard.until_analysed("slow.jpg")
        await w.look_around()
        assert w.heard.about("slow.jpg") == ["file.settled", "analysis.analysed"]
        (analysed,) = w.heard.of("analysis.analysed", "slow.jpg")
        assert (analysed.data["stat"]["size"], analysed.data["sha256"]) == (len(whole), sha256(whole))


async def test_s15_a_copy_that_closes_the_file_between_its_pieces_is_never_analysed_as_half_a_photo(
    tmp_path: Path,
) -> None:
    whole = jpeg(scene(2))
    async with watched(tmp_path) as w:
        for n, piece in enumerate(pieces(whole, 3)):
            with (w.photos / "slow.jpg").open("ab") as file:
                file.write(piece)
            if n < 2:  # nothing tells that more will come: it is looked at, and known for a half
                await w.heard.until(lambda h, n=n: len(h.of("analysis.unreadable", "slow.jpg")) == n + 1)
        await w.heard.until_analysed("slow.jpg")
        await w.look_around()
        assert {e.data["reason"] for e in w.heard.of("analysis.unreadable", "slow.jpg")} == {"truncated"}
        assert [e.data["sha256"] for e in w.heard.of("analysis.analysed", "slow.jpg")] == [sha256(whole)]
        assert (await w.index())["slow.jpg"].sha256 == sha256(whole)


async def test_s16_files_renamed_into_place_are_analysed_once_by_their_last_names(tmp_path: Path) -> None:
    names = {".a.jpg.Xy12Za": "a.jpg", ".syncthing.b.jpg.tmp": "b.jpg", "c.jpg.part": "c.jpg"}
    async with watched(tmp_path) as w:
        for seed, temporary in enumerate(names):
            half = tiny(seed)[:1500]
            write(w.photos / "trip" / temporary, half)
        await w.look_around()
        for seed, temporary in enumerate(names):
            write(w.photos / "trip" / temporary, tiny(seed))
        await w.look_around()
        for temporary, name in names.items():
            (w.photos / "trip" / temporary).rename(w.photos / "trip" / name)
        last = [f"trip/{name}" for name in names.values()]
        await w.heard.until_analysed(*last)
        await w.look_around()
        for name in last:
            assert w.heard.about(name) == ["file.settled", "analysis.analysed"]
        spoken_of = w.heard.paths("file.settled", "file.moved", "file.gone", "analysis.unreadable")
        assert {path for path in spoken_of if path and path.startswith("trip/")} == set(last)


async def test_s16_renaming_a_folder_of_many_files_decodes_nothing(tmp_path: Path) -> None:
    names = [f"{n:03}.jpg" for n in range(MANY)]
    outside = tmp_path / "card"
    for n, name in enumerate(names):
        write(outside / "trip" / name, tiny(n))
    async with watched(tmp_path) as w:
        outside.rename(w.photos / "2019")
        await w.heard.until_analysed(*(f"2019/trip/{name}" for name in names))
        before, known = w.metrics(), await w.index()
        assert before[DECODED] == MANY
        (w.photos / "2019").rename(w.photos / "2019 holidays")
        await w.heard.until_analysed(*(f"2019 holidays/trip/{name}" for name in names))
        await w.heard.until(lambda h: len(h.of("analysis.forgotten")) == MANY)
        after, found = w.metrics(), await w.index()
        assert after[DECODED] == MANY, "no file was read again"
        assert after[REUSED] - before.get(REUSED, 0) == MANY
        for name in names:
            old, new = f"2019/trip/{name}", f"2019 holidays/trip/{name}"
            assert w.heard.about(new) == ["file.moved", "analysis.analysed"]
            assert [e.data["reason"] for e in w.heard.of("file.gone", old)] == ["renamed"]
            assert (found[new].state, found[new].sha256) == ("analysed", known[old].sha256)
            assert found[old].state == "gone"


async def test_s16_a_folder_moved_in_is_watched_and_moved_out_it_is_gone(tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path / "card" / "DCIM" / f"{n}.jpg", tiny(n))
    async with watched(tmp_path) as w:
        write(w.photos / "stays.jpg", tiny(10))
        (tmp_path / "card").rename(w.photos / "card")
        inside = [f"card/DCIM/{n}.jpg" for n in range(3)]
        await w.heard.until_analysed("stays.jpg", *inside)
        write(w.photos / "card" / "DCIM" / "later.jpg", tiny(11))
        await w.heard.until_analysed("card/DCIM/later.jpg")
        (w.photos / "card").rename(tmp_path / "elsewhere")
        went = {*inside, "card/DCIM/later.jpg"}
        await w.heard.until(lambda h: h.paths("analysis.forgotten") >= went)
        write(tmp_path / "elsewhere" / "DCIM" / "unseen.jpg", tiny(12))
        await w.look_around()
        assert w.heard.paths("file.gone") == w.heard.paths("analysis.forgotten") == went
        assert w.heard.about("card/DCIM/unseen.jpg") == []
        states = {path: doc.state for path, doc in (await w.index()).items()}
        assert states["stays.jpg"] == "analysed"
        assert {states[path] for path in went} == {"gone"}


async def test_s16_deleted_files_and_folders_are_forgotten_and_no_others(tmp_path: Path) -> None:
    names = ("a.jpg", "b.jpg", "trip/c.jpg", "trip/deep/d.jpg")
    async with watched(tmp_path) as w:
        for n, name in enumerate(names):
            write(w.photos / name, tiny(n))
        await w.heard.until_analysed(*names)
        (w.photos / "a.jpg").unlink()
        await w.heard.until(lambda h: h.of("analysis.forgotten", "a.jpg"))
        shutil.rmtree(w.photos / "trip")
        went = {"a.jpg", "trip/c.jpg", "trip/deep/d.jpg"}
        await w.heard.until(lambda h: h.paths("analysis.forgotten") >= went)
        await w.look_around()
        assert w.heard.paths("file.gone") == w.heard.paths("analysis.forgotten") == went
        assert {e.data["reason"] for e in w.heard.of("file.gone")} == {"deleted"}
        states = {path: doc.state for path, doc in (await w.index()).items()}
        assert states["b.jpg"] == "analysed"
        assert {states[path] for path in went} == {"gone"}


async def test_s14_a_root_moved_away_and_back_while_it_runs_is_not_forgotten(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await some_photos(w)
        away = tmp_path / "moved away"
        w.photos.rename(away)
        await until_unknown(w)
        write(away / "meanwhile.jpg", tiny(20))
        away.rename(w.photos)
        await nothing_was_forgotten(w, new="meanwhile.jpg")


async def test_s14_a_root_unmounted_and_mounted_again_while_it_runs_is_not_forgotten(tmp_path: Path) -> None:
    photos = tmp_path / "Pictures"
    photos.mkdir()
    with contextlib.ExitStack() as disks, required_in_ci():
        disk = image("ext4", tmp_path / "disk")
        mount_image(disks, "ext4", disk, photos)
        async with watched(tmp_path) as w:
            await some_photos(w)
            with unmounted(photos, disk):
                assert list(photos.iterdir()) == [], "an empty folder stands in its place"
                await until_unknown(w)
            write(photos / "meanwhile.jpg", tiny(20))
            await nothing_was_forgotten(w, new="meanwhile.jpg")


async def some_photos(w: Watched) -> None:
    for n in range(5):
        write(w.photos / "trip" / f"{n}.jpg", tiny(n))
    await w.heard.until_analysed(*(f"trip/{n}.jpg" for n in range(5)))


@contextlib.contextmanager
def unmounted(folder: Path, disk: Path) -> Iterator[None]:
    """As a person does it: refused while anything holds a file there, which nobody does for longer than a look."""
    deadline = time.monotonic() + PATIENCE
    while (done := subprocess.run(["umount", folder], check=False, capture_output=True, text=True)).returncode:
        assert time.monotonic() < deadline, f"held by somebody: {done.stderr}"
        time.sleep(0.1)
    try:
        yield
    finally:  # whoever mounted it unmounts something at the end
        subprocess.run(["mount", "-t", "ext4", "-o", "loop", disk, folder], check=True)


def passes(heard: Overheard, *, unknown: bool) -> int:
    return sum(("unknown" in e.data) is unknown for e in heard.of("file.pass-finished"))


async def until_unknown(w: Watched) -> None:
    await w.heard.until(lambda h: passes(h, unknown=True))
    status, answer = w.get("/readyz")
    assert status == 503
    assert w.photos.name in json.loads(answer)["waiting_for"]["eyes"]


async def nothing_was_forgotten(w: Watched, *, new: str) -> None:
    """A photo that came meanwhile is found; nothing was said to be gone, and nothing is decoded again."""
    await w.heard.until_analysed(new)
    await w.look_around()
    assert w.heard.of("file.gone") == w.heard.of("analysis.forgotten") == []
    assert all(w.heard.about(f"trip/{n}.jpg") == ["file.settled", "analysis.analysed"] for n in range(5))
    index = await w.index()
    assert {index[f"trip/{n}.jpg"].state for n in range(5)} == {"analysed"}
    assert w.metrics()[DECODED] == 5 + len([new]) + 1, "those five, the new one, and the one just looked for"
    assert w.get("/readyz")[0] == 200

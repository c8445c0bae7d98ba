"""``photosift import-index``: what an old index knows is taken over, and everything else stays for the next scan."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.ancestor import OldIndex, noted, old_index, record
from tests.support.index import elastic_settings
from tests.support.photos import small_library, write_photo
from tests.support.program import PHOTOSIFT, environment, photosift, scan

QUIET = {"PHOTOSIFT_WATCH__SETTLE_SECONDS": "0"}
EXACT = {**QUIET, "PHOTOSIFT_ANALYSIS__SIGNATURE": "exact", "PHOTOSIFT_DEDUPLICATION__MAX_DISTANCE": "0.25"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    small_library(tmp_path / "Pictures")
    return tmp_path / "Pictures"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def old() -> Iterator[OldIndex]:
    with old_index() as made:
        yield made


@pytest.fixture(params=["embedded", "elastic"])
def place(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Where the new index is: settings as variables."""
    if request.param == "embedded":
        yield EXACT
        return
    with elastic_settings() as ours:
        yield {**EXACT, **{f"PHOTOSIFT_{name.upper()}": value for name, value in ours.items()}}


def taken_over(old: OldIndex, *arguments: str | Path, state: Path, **settings: Any) -> str:
    return photosift("import-index", old.url, old.name, *arguments, state=state, **settings).stdout


def groups(report: dict[str, Any]) -> Any:
    """What a scan found, without what differs from one run to the next."""
    return [
        (group["keeper"]["path"], [(d["path"], d["class"], d["distance"]) for d in group["duplicates"]])
        for group in report["groups"]
    ]


def files_opened(trace: Path, folder: Path) -> list[str]:
    opened = re.findall(r" = \d+<([^>]+)>$", trace.read_text(), flags=re.MULTILINE)
    assert any(path.startswith(str(folder)) for path in opened), "the trace saw the scan look at the root"
    return [path for path in opened if path.startswith(str(folder)) and Path(path).is_file()]


def traced_scan(photos: Path, state: Path, **settings: str) -> tuple[Any, list[str]]:
    """A scan's report, and every opening of a file of the folder during it."""
    trace = state.parent / "trace"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-y", "-e", "open,openat,openat2", "-o", trace, PHOTOSIFT, "scan", photos,
         "--format", "json"],
        env=environment(state, **settings), check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    return json.loads(done.stdout), files_opened(trace, photos)


def test_a_scan_after_the_import_finds_what_a_fresh_one_finds_and_reads_no_file(
    photos: Path, state: Path, old: OldIndex, place: dict[str, str]
) -> None:
    for path in sorted(photos.rglob("*.jpg")):
        old.add_photo(path)
    before = old.everything()
    said = taken_over(old, photos, state=state, **place)
    assert "9 documents in the old index\n9 files taken over, 0 known already\n" in said
    assert old.everything() == before

    fresh = scan(photos, state=state.parent / "fresh", **EXACT)
    report, opened = traced_scan(photos, state, **place)
    assert groups(report) == groups(fresh)
    assert len(groups(report)) == 2
    assert report["counts"] == fresh["counts"]
    assert opened == []


def test_services_that_start_after_the_import_with_a_state_of_their_own_read_no_file_either(
    photos: Path, state: Path, old: OldIndex
) -> None:
    for path in sorted(photos.rglob("*.jpg")):
        old.add_photo(path)
    with elastic_settings() as ours:
        place = {**EXACT, **{f"PHOTOSIFT_{name.upper()}": value for name, value in ours.items()}}
        assert "9 files taken over" in taken_over(old, photos, state=state, **place)
        report, opened = traced_scan(photos, state.with_name("other"), **place)
    assert (len(groups(report)), opened) == (2, [])


def test_nothing_is_decoded_the_old_signature_counts(
    photos: Path, state: Path, old: OldIndex, place: dict[str, str]
) -> None:
    """The pixels of this one no decoder can read, and what it gets is the signature of another photo."""
    broken = photos / "broken.png"
    broken.write_bytes(undecodable_png())
    assert "corrupt" in photosift("scan", photos, "--format", "json", state=state.parent / "other", **EXACT).stdout
    other = record("", signature_list(photos / "000.jpg"))["signature"]
    old.add(record(str(broken), other, noted(broken)))
    assert "1 file taken over" in taken_over(old, photos, state=state, **place)
    told = photosift("explain", broken, state=state, **place).stdout
    assert "PNG, 64 x 48 pixels" in told


def signature_list(path: Path) -> list[int]:
    from services.analyser.examining import signature_of

    return signature_of(os.fsencode(path), "exact")


def undecodable_png() -> bytes:
    """Whole by its structure and its checksums, and its pixels are no compressed stream."""
    import zlib

    buffer = io.BytesIO()
    Image.new("RGB", (64, 48)).save(buffer, "PNG")
    data = buffer.getvalue()
    at = data.index(b"IDAT") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    rubbish = b"IDAT" + b"\x55" * size
    return data[: at + 4] + rubbish + zlib.crc32(rubbish).to_bytes(4, "big") + data[at + 12 + size :]


def test_what_is_not_taken_over_is_listed_with_its_reason_and_left_for_the_scan(
    photos: Path, state: Path, old: OldIndex, place: dict[str, str]
) -> None:
    library = {path.name: path for path in sorted(photos.glob("*.jpg"))}
    for path in library.values():
        old.add_photo(path)
    gone = write_photo(photos / "gone.jpg", 50)
    old.add_photo(gone)
    gone.unlink()
    old.add_photo(library["002.jpg"], metadata=noted(library["002.jpg"], filesize=17))
    os.utime(library["003.jpg"], (1, 1))
    whole = library["004.jpg"].read_bytes()

    def size_of(name: str) -> int:
        return library[name].stat().st_size

    library["004.jpg"].write_bytes(whole[:-2000])
    old.add_photo(write_photo(photos / "cut.jpg", 51), metadata={})
    (photos / "cut.jpg").write_bytes(whole[:-2000])
    cut = noted(photos / "cut.jpg")
    old.add({**record(str(photos / "cut.jpg"), signature_list(photos / "000.jpg"), cut)})
    old.add_photo(write_photo(state.parent / "elsewhere" / "a.jpg", 52))
    old.add({**record(str(library["005.jpg"]), signature_list(photos / "000.jpg")[:-1])})
    old.add({"signature": [0] * 648})

    said = taken_over(old, photos, state=state, **place)
    reasons = {line.split(": ")[0]: line.split(": ", 1)[1] for line in said.splitlines() if line.startswith("/")}
    assert reasons == {
        str(gone): "gone: it is not there any more, or a rule leaves its folder out",
        str(photos / "002.jpg"): f"changed: it had 17 bytes when it was indexed, and has {size_of('002.jpg')}",
        str(photos / "003.jpg"): "changed: it was modified since it was indexed",
        str(photos / "004.jpg"): f"changed: it had {len(whole)} bytes when it was indexed, and has {len(whole) - 2000}",
        str(photos / "cut.jpg"): "truncated: the file ends before its end mark",
        str(state.parent / "elsewhere" / "a.jpg"): (
            "outside-roots: it is in none of the roots; --map OLD=NEW says where a folder is now"
        ),
        str(photos / "005.jpg"): "wrong-signature: its signature has 647 values, not 648",
    }
    assert "(a document without a path): no-path: it names no file" in said
    assert "3 files taken over, 0 known already" in said

    report = scan(photos, state=state, **place)
    assert groups(report) == groups(scan(photos, state=state.parent / "fresh", **EXACT))


def test_a_second_run_does_only_what_is_missing(
    photos: Path, state: Path, old: OldIndex, place: dict[str, str]
) -> None:
    paths = sorted(photos.glob("*.jpg"))
    for path in paths[:3]:
        old.add_photo(path)
    assert "3 files taken over, 0 known already" in taken_over(old, photos, state=state, **place)
    for path in paths[3:]:
        old.add_photo(path)
    assert "3 files taken over, 3 known already" in taken_over(old, photos, state=state, **place)
    assert "0 files taken over, 6 known already" in taken_over(old, photos, state=state, **place)


def test_an_import_that_is_killed_is_finished_by_the_next_and_nothing_is_decoded_meanwhile(
    photos: Path, state: Path, old: OldIndex
) -> None:
    shutil.rmtree(photos)
    made = [write_photo(photos / f"{n:03}.jpg", n % 4, quality=50 + n) for n in range(40)]
    signature = signature_list(made[0])  # the same for all: a decoded one would differ
    old.add(*(record(str(path), signature, noted(path)) for path in made))
    command = [PHOTOSIFT, "import-index", old.url, old.name, photos, "-t", "1", "-v"]
    with subprocess.Popen(command, env=environment(state, **EXACT), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        heard = next(line for line in process.stderr if "analyser.file_analysed" in line)
        process.kill()
        assert heard
    said = taken_over(old, photos, state=state, **EXACT)
    taken, there = (int(word) for word in re.findall(r"(\d+) files? taken over, (\d+) known", said)[0])
    assert (taken + there, taken > 0, there > 0) == (40, True, True)
    [group] = scan(photos, state=state, **EXACT)["groups"]
    assert {each["distance"] for each in group["duplicates"]} == {0.0}
    assert len(group["duplicates"]) == 39


def test_an_index_that_saw_the_folders_elsewhere_is_mapped(photos: Path, state: Path, old: OldIndex) -> None:
    for path in sorted(photos.glob("*.jpg")):
        old.add(record(f"/mnt/source/{path.name}", signature_list(path), noted(path)))
    assert "6 files not taken over: outside-roots 6" in taken_over(old, photos, state=state, **EXACT)
    said = taken_over(old, photos, "--map", f"/mnt/source={photos}", state=state, **EXACT)
    assert "6 files taken over" in said


def test_what_image_match_wrote_alone_is_taken_where_nothing_is_younger(
    photos: Path, state: Path, old: OldIndex
) -> None:
    early, late = write_photo(photos / "early.jpg", 60), write_photo(photos / "late.jpg", 61)
    old.add_photo(early, alone=True)
    old.add_photo(late, alone=True, timestamp="2001-01-01T00:00:00")
    said = taken_over(old, photos, state=state, **EXACT)
    assert f"{late}: changed: it was changed, or put there, after it was indexed" in said
    assert "1 file taken over" in said


# --------------------------------------------------------------------------------------- one line each


def refused(old: OldIndex, *arguments: str, state: Path, photos: Path, **settings: str) -> str:
    done = photosift("import-index", *arguments, photos, state=state, expect=2, **{**EXACT, **settings})
    [line] = [line for line in done.stderr.splitlines() if line.startswith("photosift:")]
    assert not done.stdout
    return line


def test_what_is_wrong_is_one_line(photos: Path, state: Path, old: OldIndex, tmp_path: Path) -> None:
    def said(*arguments: str, **settings: str) -> str:
        return refused(old, *arguments, state=state, photos=photos, **settings)

    assert f"INDEX: there is no nowhere at {old.url}" in said(old.url, "nowhere")
    assert f"INDEX: {old.name} at {old.url} is empty" in said(old.url, old.name)
    assert "is not the name of one index" in said(old.url, "images*")
    assert "URL: http://127.0.0.1:9 does not answer" in said("http://127.0.0.1:9", old.name)
    assert "URL: " in said("ftp://nas", old.name)
    assert "--password-file" in said(old.url, old.name, "--user", "somebody")
    assert "--map: a=b: two absolute folders" in said(old.url, old.name, "--map", "a=b")
    assert "set analysis.signature to exact" in said(old.url, old.name, PHOTOSIFT_ANALYSIS__SIGNATURE="canonical")


def test_a_file_left_by_a_killed_import_is_no_obstacle(photos: Path, state: Path, old: OldIndex) -> None:
    old.add_photo(photos / "000.jpg")
    (state / "import").mkdir(parents=True)
    shutil.copy(photos / "000.jpg", state / "import" / "old-index.sqlite")
    assert "1 file taken over" in taken_over(old, photos, state=state, **EXACT)
    assert not (state / "import" / "old-index.sqlite").exists()

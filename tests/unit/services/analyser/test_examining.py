from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from services.analyser.examining import Options, examine, signature_of
from services.analyser.goldberg import exact
from services.analyser.reading import CannotRead
from services.analyser.results import Examined, Refused, Result, Task
from shared.imaging import NotAPicture, decode_exact_gray
from shared.signature import FULL, Signature, distance
from tests.support.photos import scene, write_photo
from tests.support.pictures import WRITERS, encoded

OPTIONS = Options(mode="canonical", use_exif=True, memory_limit=1 << 30)


def examined(path: Path, options: Options = OPTIONS) -> Result:
    return examine(Task(folder=bytes(path.parent), rel=os.fsencode(path.name), expected=None), options)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_is_examined_under_whatever_name_it_has(tmp_path: Path, kind: str) -> None:
    photo = tmp_path / "wrong.ending"
    photo.write_bytes(encoded(kind, scene(2, (300, 200))))
    result = examined(photo)
    assert isinstance(result, Examined), result
    assert result.sha256 == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert (result.facts.width, result.facts.height, result.facts.bytes) == (300, 200, photo.stat().st_size)
    assert result.doubt is None


def test_the_mode_decides_which_signature(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg", 1, size=(1000, 750))
    canonical = examined(photo)
    as_image_match = examined(photo, Options(mode="exact", use_exif=True, memory_limit=1 << 30))
    assert isinstance(canonical, Examined)
    assert isinstance(as_image_match, Examined)
    assert canonical.facts == as_image_match.facts
    assert canonical.signature != as_image_match.signature
    gray = decode_exact_gray(photo.read_bytes(), memory_limit=1 << 30).luma
    assert as_image_match.signature == Signature.from_full(exact(gray))


def test_s15_a_picture_with_a_hole_is_in_doubt_unless_checksums_rule_it_out(tmp_path: Path) -> None:
    verdicts = {}
    for kind in ("bmp", "png"):
        data = encoded(kind, scene(2, (1000, 700)))
        with (tmp_path / kind).open("wb") as file:
            file.write(data)
            file.truncate(len(data) + (1 << 20))  # a hole behind the container's end; the file has one nonetheless
        result = examined(tmp_path / kind)
        assert isinstance(result, Examined)
        verdicts[kind] = result.doubt
    with (tmp_path / "bmp").open("rb") as file:
        if os.lseek(file.fileno(), 0, os.SEEK_HOLE) == (tmp_path / "bmp").stat().st_size:
            pytest.skip("this file system tells of no holes")
    assert verdicts == {"bmp": "hole", "png": None}


def test_a_refusal_carries_the_hash_of_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"text")
    result = examined(tmp_path / "a.jpg")
    assert isinstance(result, Refused)
    assert (result.reason, result.sha256) == ("not-a-picture", hashlib.sha256(b"text").hexdigest())


def test_a_person_gets_the_648_values_of_either_form(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg", 1, size=(1000, 750))
    link = tmp_path / "link.jpg"
    link.symlink_to(photo)
    canonical, as_image_match = signature_of(bytes(photo), "canonical"), signature_of(bytes(photo), "exact")
    assert len(canonical) == len(as_image_match) == FULL
    assert set(canonical) <= {-2, -1, 0, 1, 2}
    assert canonical != as_image_match
    assert signature_of(bytes(link), "canonical") == canonical


def test_a_person_is_told_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"text")
    with pytest.raises(NotAPicture):
        signature_of(bytes(tmp_path / "text"), "canonical")
    with pytest.raises(CannotRead):
        signature_of(bytes(tmp_path / "gone"), "canonical")


def test_a_copy_in_another_kind_and_size_is_near(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(encoded("png", scene(3, (1600, 1200))))
    (tmp_path / "b").write_bytes(encoded("webp", scene(3, (1600, 1200)).resize((800, 600))))
    a, b = examined(tmp_path / "a"), examined(tmp_path / "b")
    assert isinstance(a, Examined)
    assert isinstance(b, Examined)
    assert distance(a.signature, b.signature) < 0.1

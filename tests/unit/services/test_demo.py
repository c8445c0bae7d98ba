"""The demo library shows what photosift is for: copies that people really have, and photos that are none."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from services.analyser.examining import signature_of
from services.demo import demo_settings, make_library
from shared.signature import Signature, distance


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    assert make_library(folder) == 24
    return folder


def test_copies_are_near_and_other_scenes_are_far(library: Path) -> None:
    files = sorted(path for path in library.rglob("*") if path.is_file())
    signed = {path: Signature.from_full(np.array(signature_of(os.fsencode(path), "canonical"))) for path in files}
    distances = {(a, b): distance(signed[a], signed[b]) for a, b in itertools.combinations(files, 2)}
    assert len(files) == 24
    for (a, b), apart in distances.items():
        assert (apart <= 0.10) == (scene_of(a) == scene_of(b)), (a, b, apart)
    assert sum(a.read_bytes() == b.read_bytes() for a, b in distances) == 5


def scene_of(path: Path) -> int:
    digits = "".join(c for c in path.stem.partition("WA")[2] or path.stem.partition("IMG_")[2] if c.isdigit())
    return int(digits) - (10 if "WA" in path.stem else 1000)


def test_made_again_it_is_the_same_and_nothing_is_written_over(library: Path, tmp_path: Path) -> None:
    (tmp_path / "2024").mkdir()
    (tmp_path / "2024" / "IMG_1000.jpg").write_bytes(b"mine")
    make_library(tmp_path)
    assert (tmp_path / "2024" / "IMG_1000.jpg").read_bytes() == b"mine"
    assert (tmp_path / "2024" / "IMG_1003.jpg").read_bytes() == (library / "2024" / "IMG_1003.jpg").read_bytes()


def test_s6_the_demo_never_acts_and_keeps_out_of_the_users_state(tmp_path: Path) -> None:
    settings = demo_settings(tmp_path)
    assert settings.acting == "propose"
    assert (settings.state_dir, settings.roots[0].path) == (tmp_path / "state", tmp_path / "library")
    assert (settings.nats_url, settings.index_url) == ("", "")

"""A small library, and a state folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.photos import small_library


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    small_library(tmp_path / "Pictures")
    return tmp_path / "Pictures"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"

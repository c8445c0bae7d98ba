"""Where the real photos are: beside the checkout, or where ``PHOTOSIFT_TEST_DATA`` says. Never copied in here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PHOTOSIFT_TEST_DATA") or REPOSITORY.parent / "shared" / "data")

needs_data = pytest.mark.skipif(not (DATA / "photos").is_dir(), reason=f"no real photos in {DATA}")

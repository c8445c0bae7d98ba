"""The state folder: each part has one holder, and one that cannot be used is a mistake of the settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.errors import StateInUse, UsageError
from shared.statefolder import StatePart, holder_of, require_free


def test_a_part_that_is_held_is_seen_and_not_taken(tmp_path: Path) -> None:
    require_free(tmp_path)
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"
    part = StatePart(tmp_path, "analyser")
    assert holder_of(tmp_path, "analyser") == os.getpid()
    with pytest.raises(StateInUse, match=f"analyser is held by process {os.getpid()}"):
        require_free(tmp_path)
    part.release()
    require_free(tmp_path)


def test_a_state_folder_that_cannot_be_made_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file: cannot be used"):
        StatePart(tmp_path / "file", "watcher")

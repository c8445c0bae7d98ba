"""A person's word for a folder that another program manages, from the command line to the files. (S24)"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.photos import jpeg, scene
from tests.support.program import files_below, photosift, scan

SETTLED = {"PHOTOSIFT_WATCH__SETTLE_SECONDS": "0"}


@pytest.mark.timeout(150)
def test_s24_a_root_that_syncthing_manages_is_acted_in_once_its_own_path_was_allowed(tmp_path: Path) -> None:
    photos, state = tmp_path / "Camera", tmp_path / "state"
    for seed, folder in enumerate(("own", "friend")):
        (photos / folder).mkdir(parents=True)
        for name in ("a.jpg", "b.jpg"):
            (photos / folder / name).write_bytes(jpeg(scene(seed, (200, 150))))
    (photos / ".stfolder").mkdir()
    (photos / "friend" / ".stfolder").mkdir()

    assert moved_by_a_scan(photos, state) == {"own": "refused", "friend": "refused"}
    assert len(files_below(photos)) == 4
    said = photosift("allow", str(photos), state=state, **SETTLED).stdout
    assert f"the whole root Camera ({photos}) is allowed now" in said
    assert moved_by_a_scan(photos, state) == {"own": "moved", "friend": "refused"}
    assert len(files_below(photos)) == 3


def moved_by_a_scan(photos: Path, state: Path) -> dict[str, str]:
    """What became of the one duplicate of each folder, by the folder's name."""
    moving = ("--apply", "move", "--target", str(photos.parent / "Duplicates"), "--yes")
    groups = scan(photos, state=state, options=moving, **SETTLED)["groups"]
    return {Path(d["path"]).parent.name: d["action"] for group in groups for d in group["duplicates"]}

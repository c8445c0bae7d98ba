"""The small library that photosift shows itself on: drawn pictures, with the copies that people really have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shared.config import Root, Settings
from shared.imaging_demo import Rendering, drawn

SCENES = 12


def demo_settings(folder: Path | None) -> Settings:
    """Settings for the demo alone: its own folders, bundled bus and index, never acting, the user's settings unread."""
    import platformdirs

    base = (folder or platformdirs.user_cache_path("photosift") / "demo").absolute()
    root = Root(name="demo", path=base / "library")
    return Settings(roots=(root,), state_dir=base / "state", dry_run=True)


def make_library(folder: Path) -> int:
    """Draw what is missing; returns how many pictures there are. What is there already is left as it is."""
    pictures = list(_library())
    for name, scene, how in pictures:
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(drawn(scene, how))
    return len(pictures)


def _library() -> Iterator[tuple[str, int, Rendering]]:
    """24 files: 12 photos; of some an exact copy, a messenger's small version, a brighter one, a PNG."""
    plain, small = Rendering(), Rendering(scale=0.5, quality=70)
    for scene in range(SCENES):
        yield f"2024/IMG_{1000 + scene}.jpg", scene, plain
    for scene in (0, 1, 2, 3):
        yield f"backup of phone/IMG_{1000 + scene}.jpg", scene, plain
    yield "2024/IMG_1004 - Copy.jpg", 4, plain
    for scene in (0, 5, 6):
        yield f"messenger/IMG-20240501-WA00{10 + scene}.jpg", scene, small
    for scene in (7, 8):
        yield f"edited/IMG_{1000 + scene} bright.jpg", scene, Rendering(brighter=True)
    for scene in (9, 2):
        yield f"export/IMG_{1000 + scene}.png", scene, Rendering(quality=None)

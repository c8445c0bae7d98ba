"""[pure] Files by their absolute paths, as reports, questions and stories name them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from shared.paths import PhotoPath


class AbsolutePaths:
    """From names of roots to folders; a root that nobody names now stands by its name."""

    def __init__(self, roots: Mapping[str, Path]) -> None:
        self._roots = {name: os.fsencode(path) for name, path in roots.items()}

    def root(self, name: str) -> bytes:
        return self._roots.get(name, name.encode())

    def of(self, photo: PhotoPath) -> bytes:
        return photo.below(self.root(photo.root))

"""The contract of the disk port, on every file system that can be had here: mounted once, an empty folder for each test."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.watcher.disk.local import LocalDisk
from services.watcher.disk.walking import LocalRoot
from tests.support.filesystems import TRAITS, Place, mounted

#: no piece of it occurs twice
BYTES = random.Random(10).randbytes(300_000)
SHA256 = hashlib.sha256(BYTES).hexdigest()
_numbers = itertools.count()


@pytest.fixture(scope="session", params=list(TRAITS))
def mount_of_kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with mounted(request.param, tmp_path_factory.mktemp(request.param)) as place:
        yield place


@pytest.fixture
def place(mount_of_kind: Place) -> Iterator[Place]:
    folder = mount_of_kind.folder / f"test-{next(_numbers)}"
    folder.mkdir()
    yield dataclasses.replace(mount_of_kind, folder=folder)
    subprocess.run(["rm", "-rf", folder], check=False, capture_output=True)  # the disks are small; rm knows long paths


@pytest.fixture
def disk() -> LocalDisk:
    return LocalDisk()


@pytest.fixture
def root(disk: LocalDisk, place: Place) -> Iterator[LocalRoot]:
    with disk.open_root(place.folder) as root:
        yield root


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def write(path: Path, payload: bytes = BYTES) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(payload)
    return path


def files_below(folder: Path) -> dict[str, bytes]:
    """Every regular file below, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

"""Podman and the images; everything is made from nothing the first time and kept in a cache of the machine's.

Where containers cannot run, these tests skip and say why; with ``CI=true`` they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.bus.server import nats_server
from tests.support.elasticsearch_distribution import Missing, distribution
from tests.support.podman import NoPodman, Podman, opened

HERE = Path(__file__).parent
BASE = ("python3", "python3-venv", "ca-certificates")
SERVERS = ("ca-certificates", "curl", "openjdk-17-jre-headless", "wget")


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    try:
        with opened() as found:
            _images(found, tmp_path_factory.mktemp("images"))
            yield found
    except NoPodman as why:
        if os.environ.get("CI") == "true":
            pytest.fail(str(why))
        pytest.skip(str(why))


def _images(podman: Podman, folder: Path) -> None:
    podman.import_debian("localhost/photosift-test-base", BASE)
    podman.import_debian("localhost/photosift-test-servers", SERVERS)
    shutil.copytree(HERE / "images" / "nats", folder / "nats")
    shutil.copy(nats_server(), folder / "nats")
    podman.build("localhost/photosift-test-nats", folder / "nats")
    image = "localhost/photosift-test-elasticsearch"
    podman.build(image, HERE / "images" / "elasticsearch", distribution=_elasticsearch())


def _elasticsearch() -> Path:
    try:
        return distribution()
    except Missing as why:
        raise NoPodman(str(why)) from why

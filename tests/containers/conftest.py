"""Podman and the images; everything is made from nothing the first time and kept in a cache of the machine's.

Where containers cannot run, these tests skip and say why; with ``CI=true`` they fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.bus.server import nats_server
from tests.support.podman import CACHE, NoPodman, Podman, opened

HERE = Path(__file__).parent
BASE = ("python3", "python3-venv", "ca-certificates")
SERVERS = ("ca-certificates", "curl", "openjdk-17-jre-headless", "wget")
ELASTICSEARCH = "8.19.21"
ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{ELASTICSEARCH}:zip"
MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


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
    """The unpacked distribution, fetched once a machine."""
    there = CACHE / f"elasticsearch-{ELASTICSEARCH}"
    if there.is_dir():
        return there
    maven = shutil.which("mvn")
    if maven is None:
        raise NoPodman("there is no mvn to fetch Elasticsearch with (apt-get install, see .ci/packages.txt)")
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetched-") as folder:
        options = ["--batch-mode", "--quiet", MAVEN_COPY, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder}"]
        subprocess.run([maven, *options], check=True, timeout=500, cwd=folder)
        subprocess.run(["unzip", "-q", f"{there.name}.zip"], check=True, timeout=100, cwd=folder)
        os.chmod(Path(folder) / there.name, 0o755)
        (Path(folder) / there.name).rename(there)
    return there

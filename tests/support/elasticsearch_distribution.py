"""Where an Elasticsearch to start comes from: a cached distribution, else Maven's central repository, else nowhere.

The distribution is Elastic's own, made for integration tests: the server without its optional modules. It runs on
Java 17. Maven keeps nothing that the cache does not: it is asked once a machine.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import platformdirs

VERSION = "8.19.21"
ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
JAVA = 17
FETCHED_WITHIN = 500.0


class Missing(Exception):
    """There is no Elasticsearch to be had here; the message says why."""


def distribution() -> Path:
    """The unpacked distribution, fetched if need be. Raises ``Missing``."""
    cache = cache_folder()
    there = cache / f"elasticsearch-{VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:  # several test processes may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not there.is_dir():
            _fetch(cache)
    return there


def cache_folder() -> Path:
    """The user's cache; for root one that the unprivileged user can read who runs the server."""
    if os.geteuid() == 0:
        return Path("/var/cache/photosift")
    return platformdirs.user_cache_path("photosift")


def _fetch(cache: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing("no ELASTICSEARCH_URL, no cached distribution, and no Maven (mvn) to fetch one")
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetched-") as folder:
        command = [maven, "--batch-mode", "--quiet", COPY, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCHED_WITHIN, check=False)
        except subprocess.TimeoutExpired as error:
            raise Missing(f"Maven did not fetch {ARTIFACT} within {FETCHED_WITHIN:.0f} s") from error
        if done.returncode:
            raise Missing(f"Maven did not fetch {ARTIFACT}: {done.stdout[-500:]}")
        _unpack(Path(folder) / f"elasticsearch-{VERSION}.zip", cache)


def _unpack(archive: Path, cache: Path) -> None:
    """All or nothing: the folder gets its name when it is whole."""
    with tempfile.TemporaryDirectory(dir=cache, prefix="unpacked-") as folder:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                path = packed.extract(member, folder)
                os.chmod(path, (member.external_attr >> 16) & 0o777 or 0o755)
        (Path(folder) / archive.stem).rename(cache / archive.stem)


def java_home() -> Path:
    """A Java that is new enough. Raises ``Missing``."""
    named = os.environ.get("ES_JAVA_HOME") or os.environ.get("JAVA_HOME")
    program = Path(named) / "bin" / "java" if named else Path(shutil.which("java") or "/nowhere")
    if not program.exists():
        raise Missing(f"no Java {JAVA} to run Elasticsearch with")
    home = program.resolve().parent.parent
    released = (home / "release").read_text() if (home / "release").exists() else ""
    found = next((line for line in released.splitlines() if line.startswith("JAVA_VERSION=")), "")
    major = found.partition('"')[2].partition(".")[0].rstrip('"')
    if major.isdigit() and int(major) < JAVA:
        raise Missing(f"Java {major} is too old for Elasticsearch, which needs {JAVA}")
    return home


if __name__ == "__main__":  # before the tests, whose clocks a slow line would use up
    try:
        print(distribution())
    except Missing as missing:
        print(f"no Elasticsearch: {missing}")

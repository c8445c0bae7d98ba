"""The same with deploy/compose.tls.yml: services speak TLS, and another host reaches bus and index with nothing less."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.certificates import Certificates, make_certificates
from tests.support.compose import PGID, PUID, SERVICES, SETTINGS, Stack, eventually
from tests.support.nas import dropped, into_the_library, moved
from tests.support.podman import Podman

pytestmark = [pytest.mark.containers, pytest.mark.timeout(590)]


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What another host knows of it."""

    stack: Stack
    made: Certificates


@pytest.fixture(scope="module")
def outside(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    stack = Stack(podman, tmp_path_factory.mktemp("nas"), "deploy/compose.tls.yml")
    made = make_certificates(stack.folder / "secrets" / "tls", "DNS:nats", "DNS:elasticsearch", "IP:127.0.0.1")
    for path in (stack.folder / "secrets" / "tls", *(stack.folder / "secrets" / "tls").iterdir()):
        os.chown(path, PUID, PGID)
    try:
        stack.up()
        yield Outside(stack=stack, made=made)
    finally:
        stack.down()


def test_a_duplicate_is_moved_with_tls_between_all_services(outside: Outside) -> None:
    into_the_library(outside.stack, "family.jpg", 1)
    moved(outside.stack, dropped(outside.stack, "upload.jpg", 1))
    assert "TLS required for client connections" in outside.stack.log("nats")
    for service in SERVICES:
        eventually(lambda service=service: outside.stack.is_well(service), outside.stack)


def test_an_analyser_on_another_host_does_the_work_while_there_is_none_here(outside: Outside) -> None:
    stack = outside.stack
    secrets, state = stack.folder / "secrets", stack.folder / "elsewhere"
    state.mkdir()
    settings = stack.folder / "elsewhere.yaml"
    settings.write_text(SETTINGS.replace(" /", f" {stack.folder}/"))
    given = {
        "PHOTOSIFT_CONFIG": str(settings),
        "PHOTOSIFT_STATE_DIR": str(state),
        "PHOTOSIFT_NATS_URL": "tls://127.0.0.1:4222",
        "PHOTOSIFT_NATS_CA_FILE": str(outside.made.authority),
        "PHOTOSIFT_NATS_CREDENTIALS_DIR": str(secrets / "analyser"),
        "PHOTOSIFT_INDEX_URL": "https://127.0.0.1:9200",
        "PHOTOSIFT_INDEX_CA_FILE": str(outside.made.authority),
        "PHOTOSIFT_INDEX_USER": "analyser",
        "PHOTOSIFT_INDEX_PASSWORD_FILE": str(secrets / "analyser" / "index"),
        "PHOTOSIFT_INDEX_CREATE": "false",
    }
    stack.compose("stop", "analyser")
    into_the_library(stack, "read-elsewhere.jpg", 2)
    pair = dropped(stack, "found-elsewhere.jpg", 2)
    log = stack.folder / "elsewhere.log"
    with stack.podman.running([PHOTOSIFT, "analyser"], log=log, **given):
        moved(stack, pair)
    assert "found-elsewhere.jpg" in log.read_text()
    stack.compose("start", "analyser")


PHOTOSIFT = str(Path(sys.executable).with_name("photosift"))


def test_s21_the_index_says_nothing_without_tls(outside: Outside) -> None:
    ask = "import urllib.request as u; u.urlopen('http://127.0.0.1:9200/_cluster/health', timeout=10)"
    done = outside.stack.podman.run([sys.executable, "-c", ask], timeout=60, check=False)
    assert "RemoteDisconnected" in done.stderr or "ConnectionResetError" in done.stderr, done.stderr


OUTSIDE = """
import asyncio, pathlib, sys
from shared.bus.passwords import read_credentials
from shared.bus.address import Address
from shared.bus.jetstream import connect

async def speak(url, authority, passwords):
    where = Address(url=url, ca_file=pathlib.Path(authority) if authority else None)
    person = await connect(where, read_credentials(pathlib.Path(passwords))[1], service="person", patience=0)
    await person.close()
    print("heard")

asyncio.run(speak(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("scheme", "vouched", "gets_in"), [("tls", True, True), ("tls", False, False), ("nats", False, False)]
)
def test_s21_another_host_gets_in_with_tls_and_password_alone(
    outside: Outside, scheme: str, vouched: bool, gets_in: bool
) -> None:
    """At the published port, from where the containers' host is."""
    authority = str(outside.made.authority) if vouched else ""
    arguments = [f"{scheme}://127.0.0.1:4222", authority, str(outside.stack.folder / "secrets" / "person")]
    done = outside.stack.podman.run([sys.executable, "-c", OUTSIDE, *arguments], timeout=60, check=False)
    assert (done.returncode == 0) is gets_in, done.stderr
    assert ("heard" in done.stdout) is gets_in
    assert ("NotTrusted" in done.stderr) is not gets_in

"""The same with deploy/compose.tls.yml: services speak TLS, and another host reaches the bus with nothing less."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.certificates import Certificates, make_certificates
from tests.support.compose import PGID, PUID, Stack
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
    made = make_certificates(stack.folder / "secrets" / "tls", "DNS:nats", "IP:127.0.0.1")
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

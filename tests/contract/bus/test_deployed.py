"""A deployment's server: deploy/nats is what the accounts say, passwords are files, and TLS is not talked away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.bus.accounts import GRANTS, SERVICE_USERS, Credential, new_credentials
from shared.bus.address import Address, NotTrusted
from shared.bus.consuming import publish_patiently
from shared.bus.deployed import make_secrets, server_conf
from shared.bus.jetstream import Steward, connect, setup
from shared.bus.jetstream.link import Link
from shared.bus.names import SUBJECT_FS
from shared.bus.passwords import read_credentials
from shared.bus.port import BusUnavailable, NotPermitted
from shared.bus.server import nats_server
from shared.errors import UsageError
from tests.support.certificates import make_certificates
from tests.support.data import REPOSITORY
from tests.support.deployed import DeployedServer, deployed_server
from tests.support.messages import confirm, settled

SOON = 20.0


def test_the_file_in_the_repository_is_what_the_accounts_say() -> None:
    file = REPOSITORY / "deploy" / "nats" / "server.conf"
    assert file.read_text() == server_conf(), "run: python -m shared.bus.deployed > deploy/nats/server.conf"


def test_s21_no_password_is_in_the_repository() -> None:
    placeholders = server_conf().count('"password": $PASSWORD_')
    assert placeholders == len(GRANTS)
    assert server_conf().count('"password"') == placeholders


def test_s20_each_service_is_given_its_own_passwords_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = make_secrets(folder)
    assert {p for p in folder.rglob("*") if p.is_file()} == set(made)
    assert {stat.S_IMODE(p.stat().st_mode) for p in made} == {0o600}
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.rglob("*") if p.is_dir()} == {0o700}
    for service, users in SERVICE_USERS.items():
        assert set(read_credentials(folder / service)[1]) == set(users)


def test_passwords_that_are_there_are_kept_and_missing_ones_made(tmp_path: Path) -> None:
    before = {p: p.read_text() for p in make_secrets(tmp_path)}
    (tmp_path / "audit" / "audit").unlink()
    assert tmp_path / "audit" / "audit" in make_secrets(tmp_path)
    after = {p: p.read_text() for p in before}
    changed = {str(p.relative_to(tmp_path)) for p in before if before[p] != after[p]}
    assert changed == {"audit/audit", "nats/passwords.conf"}


def test_the_server_refuses_to_start_without_passwords(tmp_path: Path) -> None:
    (tmp_path / "server.conf").write_text(server_conf())
    done = subprocess.run(
        [nats_server(), "-t", "-c", tmp_path / "server.conf"], capture_output=True, text=True, check=False
    )
    assert done.returncode
    assert "passwords.conf" in done.stdout + done.stderr


@pytest.mark.parametrize("tls", [False, True])
async def test_services_declare_speak_and_hear_on_it(tmp_path: Path, tls: bool) -> None:
    async with deployed_server(tmp_path, tls=tls) as server:
        await setup(server.address, read_credentials(server.secrets / "steward")[1])
        buses = {
            service: await connect(server.address, read_credentials(server.secrets / service)[1], service=service)
            for service in ("watcher", "person", "audit")
        }
        heard = await buses["audit"].following(SUBJECT_FS, "photosift.req.>")
        await buses["watcher"].publish(settled())
        await buses["person"].publish(confirm())
        async with asyncio.timeout(SOON):
            assert [(await anext(heard))[1] for _ in range(2)] == [settled(), confirm()]
        for bus in buses.values():
            await bus.close()


async def test_an_older_password_is_refused_after_a_new_one_was_made(tmp_path: Path) -> None:
    async with deployed_server(tmp_path) as server:
        with pytest.raises(NotPermitted):
            await connect(server.address, new_credentials(), service="watcher", patience=0)


async def test_g7_a_connection_with_tls_comes_back_too(tmp_path: Path) -> None:
    async with deployed_server(tmp_path, tls=True) as server:
        await setup(server.address, server.credentials)
        watcher = await connect(server.address, server.credentials, service="watcher")
        await watcher.publish(settled())
        await server.kill()
        await server.start()
        async with asyncio.timeout(SOON):
            await publish_patiently(watcher, settled())
        await watcher.close()


# ---- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[DeployedServer]:
    async with deployed_server(tmp_path, tls=True) as running:
        yield running


async def refused(where: Address, credentials: dict[str, Credential]) -> str:
    async with asyncio.timeout(SOON):  # at once, not after its patience
        with pytest.raises(NotTrusted) as told:
            await Steward.connect(where, credentials, patience=600)
    return str(told.value)


async def test_s21_a_certificate_that_nobody_vouches_for_is_refused(server: DeployedServer, tmp_path: Path) -> None:
    other = make_certificates(tmp_path / "other", "IP:127.0.0.1").authority
    for ca_file in (None, other):
        why = await refused(Address(url=server.url, ca_file=ca_file), server.credentials)
        assert "certificate verify failed" in why


async def test_s21_a_certificate_for_another_host_is_refused(server: DeployedServer) -> None:
    elsewhere = Address(url=server.url.replace("127.0.0.1", "localhost"), ca_file=server.address.ca_file)
    assert "certificate is not valid for 'localhost'" in await refused(elsewhere, server.credentials)


async def test_s21_a_plain_client_gets_no_answer_from_a_server_with_tls(server: DeployedServer) -> None:
    with pytest.raises(NotTrusted):
        await Steward.connect(server.url.replace("tls", "nats"), server.credentials, patience=0)


async def test_s21_a_server_that_says_it_has_no_tls_is_told_no_password(tmp_path: Path) -> None:
    """Somebody on the way takes the TLS out of the greeting: nats-py alone would send user and password then."""
    received = bytearray()

    async def man_in_the_middle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = {"server_id": "x", "version": "2.15.1", "max_payload": 1 << 20, "auth_required": True}
        writer.write(f"INFO {json.dumps(greeting)}\r\n".encode())
        with contextlib.suppress(OSError):
            while chunk := await reader.read(1024):
                received.extend(chunk)
        writer.close()

    middle = await asyncio.start_server(man_in_the_middle, "127.0.0.1", 0)
    async with middle:
        url = f"tls://127.0.0.1:{middle.sockets[0].getsockname()[1]}"
        valued = {u: Credential(u, "of-great-value") for u in SERVICE_USERS["steward"]}
        with pytest.raises((NotTrusted, BusUnavailable)):  # whether the greeting or the time-out is noticed first
            await Steward.connect(Address(url=url), valued, patience=0)
    assert received, "the client did say something"
    assert b"of-great-value" not in received
    assert b"CONNECT" not in received


async def test_authorities_that_cannot_be_read_are_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "missing.pem"):
        link = Link(Address(url="tls://127.0.0.1:1", ca_file=tmp_path / name), Credential("x", "y"), service="person")
        with pytest.raises(UsageError, match=name):
            await link.open(0)

"""S21: passwords of the bus are readable on no network, unless that network is said to be ours alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.busplaces import declare, running_bus
from shared.bus.deployed import make_secrets
from shared.config import Settings
from shared.errors import UsageError


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    make_secrets(tmp_path)
    return tmp_path


@pytest.mark.parametrize("url", ["nats://nas:4222", "nats://192.0.2.1:4222", "ws://nas", "nats://127.0.0.1.example"])
def test_s21_passwords_do_not_cross_a_network_readable(passwords: Path, url: str) -> None:
    with pytest.raises(UsageError, match="tls://"):
        running_bus(Settings(nats_url=url, nats_credentials_dir=passwords / "person"))


def test_s21_nor_does_one_that_stands_in_the_address() -> None:
    with pytest.raises(UsageError, match="tls://") as told:
        running_bus(Settings(nats_url="nats://somebody:of-value@nas"))
    assert "of-value" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "plaintext"),
    [("tls://nas", False), ("nats://127.0.0.1:1", False), ("nats://[::1]:1", False), ("nats://nats", True)],
)
def test_inside_tls_or_this_host_or_a_network_of_ones_own_they_may(passwords: Path, url: str, plaintext: bool) -> None:
    settings = Settings(nats_url=url, nats_credentials_dir=passwords / "person", nats_plaintext=plaintext)
    assert running_bus(settings).where.url == url


def test_without_passwords_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert running_bus(Settings(nats_url="nats://nas")).credentials == {}


def test_certificates_without_tls_are_a_mistake() -> None:
    with pytest.raises(ValidationError, match="tls://"):
        Settings(nats_url="nats://nas", nats_ca_file="/ca.pem")


async def test_s20_only_the_setup_users_declare(passwords: Path) -> None:
    settings = Settings(nats_url="nats://127.0.0.1:1", nats_credentials_dir=passwords / "watcher")
    with pytest.raises(UsageError, match="setup-data"):
        await declare(settings)


async def test_there_is_nothing_to_declare_on_the_bundled_server() -> None:
    with pytest.raises(UsageError, match="nats_url"):
        await declare(Settings())

"""The commands of a deployment, as processes, on the server that deploy/nats starts."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from shared.bus.jetstream import Steward
from tests.support.deployed import deployed_server
from tests.support.elasticsearch import for_tests
from tests.support.elasticsearch_server import PASSWORDS
from tests.support.program import end, photosift, running

SOON = 30.0


def eventually(what: Callable[[], bool]) -> None:
    until = time.monotonic() + SOON
    while not what():
        assert time.monotonic() < until, f"waited {SOON} s"
        time.sleep(0.05)


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


def test_setup_makes_the_passwords_and_says_where(tmp_path: Path) -> None:
    done = photosift("setup", "--passwords", tmp_path / "secrets", state=tmp_path / "state")
    told = {line.removeprefix("made: ") for line in done.stdout.splitlines()}
    assert told == {str(path) for path in (tmp_path / "secrets").rglob("*") if path.is_file()}
    assert {
        str(tmp_path / "secrets" / one) for one in ("watcher/executor", "analyser/index", "elasticsearch/users")
    } <= told
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("tls", [False, True])
async def test_setup_declares_and_the_steward_stays_until_it_is_told(tmp_path: Path, tls: bool) -> None:
    async with deployed_server(tmp_path, tls=tls) as server:
        known = {
            "PHOTOSIFT_NATS_URL": server.url,
            "PHOTOSIFT_NATS_CREDENTIALS_DIR": str(server.secrets / "steward"),
            **({"PHOTOSIFT_NATS_CA_FILE": str(server.address.ca_file)} if tls else {}),
        }
        for _ in range(2):  # what is as it should be stays untouched
            assert "9 streams, 70 consumers" in photosift("setup", state=tmp_path / "state", **known).stdout
        steward = await Steward.connect(server.address, server.credentials)
        assert await steward.last_seq("CMD") == 0
        await steward.close()
        known["PHOTOSIFT_STATS_PORT"] = free_port()

        def well() -> bool:
            return photosift("health", "--ready", state=tmp_path / "state", expect=None, **known).returncode == 0

        with running("setup", "--stay", state=tmp_path / "state", **known) as process:
            eventually(well)
            assert end(process) == 0
        assert not well()


@pytest.mark.parametrize(
    ("user", "code", "said"), [("steward", 0, ""), ("analyser", 2, "user analyser lacks rights on ")]
)
async def test_setup_makes_the_indices_as_the_user_who_may(tmp_path: Path, user: str, code: int, said: str) -> None:
    index, name = for_tests(fenced=True), f"photosift-{uuid4().hex[:12]}"
    (tmp_path / "password").write_text(PASSWORDS[user])
    async with deployed_server(tmp_path) as server:
        known = {
            "PHOTOSIFT_NATS_URL": server.url,
            "PHOTOSIFT_NATS_CREDENTIALS_DIR": str(server.secrets / "steward"),
            "PHOTOSIFT_INDEX_URL": index.url,
            "PHOTOSIFT_INDEX_NAME": name,
            "PHOTOSIFT_INDEX_CA_FILE": index.ca_file,
            "PHOTOSIFT_INDEX_USER": user,
            "PHOTOSIFT_INDEX_PASSWORD_FILE": str(tmp_path / "password"),
        }
        for _ in range(2):  # the second time everything is there
            done = photosift("setup", state=tmp_path / "state", expect=code, **known)
            assert (f"the indices {name}-* are there" in done.stdout) is (code == 0)
            complaints = [line for line in done.stderr.splitlines() if line.startswith("photosift:")]
            assert len(complaints) == bool(code)
            assert said in "".join(complaints)

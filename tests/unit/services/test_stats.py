"""S21: who listens beyond loopback shows a token; and what `photosift health` makes of the answers."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.stats import ask_health, stats_server, stats_token
from shared.config import Settings
from shared.errors import UsageError
from shared.telemetry import health
from shared.telemetry.health import Health

TOKEN = "of-great-value"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Metrics for a network, behind a token, on a port that is free."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return Settings(stats_host="0.0.0.0", stats_port=port, stats_token_file=tmp_path / "token")


def get(settings: Settings, path: str, **headers: str) -> int:
    asked = urllib.request.Request(f"http://127.0.0.1:{settings.stats_port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/", "/metrics/"])
@pytest.mark.parametrize("shown", [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ", "Bearer \xff"])
def test_s21_without_the_token_there_is_nothing_but_that_it_lives(
    settings: Settings, path: str, shown: str | None
) -> None:
    with stats_server(settings, Health()):
        assert get(settings, path, **({"Authorization": shown} if shown else {})) == 401
        assert get(settings, "/healthz") == 200


async def test_healthz_tells_of_a_loop_that_is_stuck_and_of_one_that_turns_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "BEAT_EVERY", 0.01)
    monkeypatch.setattr(health, "STUCK_AFTER", 0.5)

    def until(status: int) -> None:
        while get(settings, "/healthz") != status:
            pass

    with stats_server(settings, Health()), ThreadPoolExecutor() as threads:
        threads.submit(until, 503).result(20)  # nobody lets the loop turn
        await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(threads, until, 200), 20)


def test_with_the_token_metrics_are_served(settings: Settings) -> None:
    with stats_server(settings, Health()):
        assert get(settings, "/metrics", Authorization=f"Bearer {TOKEN}") == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "nas"])
def test_s21_beyond_loopback_there_is_no_listening_without_a_token(host: str) -> None:
    with pytest.raises(UsageError, match="stats_token_file"), stats_server(Settings(stats_host=host), Health()):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_there_need_not_be_a_token(host: str) -> None:
    assert stats_token(Settings(stats_host=host)) is None


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_s21_a_token_that_is_none_is_a_mistake_and_not_no_token(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(UsageError, match="stats_token_file"):
        stats_token(Settings(stats_token_file=tmp_path / "token"))


def test_health_asks_with_the_token_and_tells_what_is_waited_for(settings: Settings) -> None:
    health, waiting = Health(), ["for the bus"]
    health.add("bus", lambda: waiting[0] if waiting else None)
    with stats_server(settings, health):
        assert ask_health(settings, ready=False) is None
        assert "for the bus" in (ask_health(settings, ready=True) or "")
        waiting.clear()
        assert ask_health(settings, ready=True) is None


def test_health_of_nobody_is_said_to_be_none(settings: Settings) -> None:
    assert "Connection refused" in (ask_health(settings, ready=False) or "")

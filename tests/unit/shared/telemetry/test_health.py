from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from shared.telemetry.health import Health, StatsServer


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def stats(health: Health) -> Iterator[StatsServer]:
    server = StatsServer("127.0.0.1", 0, health)
    yield server
    server.close()


def get(stats: StatsServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{stats.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_are_served_in_prometheus_text_and_name_no_file(stats: StatsServer) -> None:
    status, text = get(stats, "/metrics")
    assert status == 200
    assert "# TYPE photosift_watcher_file_events_total counter" in text


def test_healthz_answers_while_the_process_lives(stats: StatsServer) -> None:
    assert get(stats, "/healthz") == (200, '{"alive": true}\n')


def test_readyz_names_what_it_waits_for_and_turns_when_it_came(stats: StatsServer, health: Health) -> None:
    waiting: list[str | None] = ["the bus does not answer"]
    health.add("bus", lambda: waiting[0])
    status, text = get(stats, "/readyz")
    assert status == 503
    assert json.loads(text) == {"ready": False, "waiting_for": {"bus": "the bus does not answer"}}
    waiting[0] = None
    assert get(stats, "/readyz")[0] == 200


def test_an_unknown_path_is_told_what_is_here(stats: StatsServer) -> None:
    status, text = get(stats, "/photos")
    assert status == 404
    assert "/metrics" in text

"""Metrics and health of a process: served where the settings want them, and asked by ``photosift health``."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
from collections.abc import Iterator

import structlog

from shared.config import Settings
from shared.errors import UsageError
from shared.telemetry.health import Health, StatsServer

log = structlog.get_logger()

#: addresses that a server listens on everywhere, and where it is found on its own host
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
ANSWER_WITHIN = 5.0


def stats_token(settings: Settings) -> str | None:
    """What metrics and readiness ask for. Raises ``UsageError``: a network gets nothing without one (S21)."""
    file = settings.stats_token_file
    if file is None:
        if not is_loopback(settings.stats_host):
            raise UsageError(f"stats_host: {settings.stats_host} is beyond this host, which needs stats_token_file")
        return None
    try:
        token = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"stats_token_file: {error}") from error
    if not token:
        raise UsageError(f"stats_token_file: {file} is empty")
    return token


def is_loopback(host: str) -> bool:
    """Whether only this host can reach it; a name counts only if it is ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def stats_server(settings: Settings, health: Health) -> Iterator[None]:
    """Metrics and health, where the settings want them.

    Raises ``UsageError`` where the port is taken, or a network would get them without a token.
    """
    if not settings.stats_enabled:
        yield
        return
    try:
        server = StatsServer(settings.stats_host, settings.stats_port, health, token=stats_token(settings))
    except OSError as error:
        where = f"{settings.stats_host}:{settings.stats_port}"
        raise UsageError(
            f"metrics cannot listen on {where}: {error.strerror}; set stats_port (0: a free one)"
        ) from error
    log.info("bootstrap.stats_served", url=f"http://{settings.stats_host}:{server.port}")  # 0 asked for a free port
    try:
        with health.beating():
            yield
    finally:
        server.close()


def ask_health(settings: Settings, *, ready: bool) -> str | None:
    """None when the photosift of these settings says that it is well, else what it, or the connection, said."""
    host = _EVERYWHERE.get(settings.stats_host, settings.stats_host)
    asked = http.client.HTTPConnection(host, settings.stats_port, timeout=ANSWER_WITHIN)
    token = stats_token(settings)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        asked.request("GET", "/readyz" if ready else "/healthz", headers=headers)
        answer = asked.getresponse()
        said = answer.read().decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"{host}:{settings.stats_port}: {error or type(error).__name__}"
    finally:
        asked.close()
    return None if answer.status == http.client.OK else said

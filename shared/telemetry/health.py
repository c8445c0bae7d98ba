"""``/metrics``, ``/healthz`` and ``/readyz`` on the stats port, loopback unless the settings say otherwise (S21).

With a token the first and the last, which tell of roots and queues, are for who shows it: ``Authorization: Bearer …``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from shared.telemetry import metrics as _declared  # noqa: F401  every metric is there from the first scrape

#: says None when well, else what is wrong
Check = Callable[[], str | None]
#: WSGI
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

#: seconds between two beats of the event loop, and without one until it counts as stuck: nothing may block it so long
BEAT_EVERY, STUCK_AFTER = 1.0, 60.0


class Heartbeat:
    """When the event loop last turned: the server's own thread would answer for a loop that is stuck, too."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._beat()

    def _beat(self) -> None:
        self._at = time.monotonic()
        self._next = self._loop.call_later(BEAT_EVERY, self._beat)

    def stop(self) -> None:
        self._next.cancel()

    def silence(self) -> float:
        """Seconds since then; asked from any thread."""
        return time.monotonic() - self._at


class Health:
    """What the process says of itself: alive (its loop turns) and ready (every part can work)."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._heartbeat: Heartbeat | None = None

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """The loop that runs here is the one whose life is asked about; without one the process is."""
        try:
            self._heartbeat = heartbeat = Heartbeat(asyncio.get_running_loop())
        except RuntimeError:
            yield
            return
        try:
            yield
        finally:
            heartbeat.stop()
            self._heartbeat = None

    def stuck_for(self) -> float | None:
        """Seconds for which the loop has not turned, where that is too long."""
        heartbeat = self._heartbeat
        silence = 0.0 if heartbeat is None else heartbeat.silence()
        return silence if silence > STUCK_AFTER else None

    def add(self, name: str, check: Check) -> None:
        """``check`` is asked from the server's thread."""
        self._checks[name] = check

    def complaints(self) -> dict[str, str]:
        """What is not ready, by name; empty when all is well."""
        answers = {name: check() for name, check in self._checks.items()}
        return {name: answer for name, answer in answers.items() if answer is not None}


class StatsServer:
    """Serves metrics and health from a thread of its own. Raises ``OSError`` where the port is taken."""

    def __init__(self, host: str, port: int, health: Health, *, token: str | None = None) -> None:
        application = _application(health)
        served = application if token is None else _for_bearers_of(token, application)
        self._server = make_server(host, port, served, _Server, _Quiet)
        #: the port it got (a free one was asked for with 0)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="stats", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_args: Any) -> None:
        """A scrape every few seconds is no news."""


def _for_bearers_of(token: str, application: Application) -> Application:
    wanted = f"Bearer {token}".encode()

    def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        shown = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        if environ.get("PATH_INFO") == "/healthz" or hmac.compare_digest(shown, wanted):
            return application(environ, start_response)
        start_response("401 Unauthorized", [("Content-Type", "text/plain"), ("WWW-Authenticate", "Bearer")])
        return [b"a token is needed\n"]

    return guarded


def _application(health: Health) -> Application:
    metrics = make_wsgi_app()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            answer: Iterable[bytes] = metrics(environ, start_response)
            return answer
        if path == "/healthz":
            stuck = health.stuck_for()
            said = {} if stuck is None else {"stuck_seconds": round(stuck)}
            return _answer(start_response, {"alive": stuck is None, **said}, well=stuck is None)
        if path == "/readyz":
            complaints = health.complaints()
            return _answer(start_response, {"ready": not complaints, "waiting_for": complaints}, well=not complaints)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/metrics, /healthz and /readyz are here\n"]

    return application


def _answer(start_response: Any, body: dict[str, object], *, well: bool) -> Iterable[bytes]:
    status = "200 OK" if well else "503 Service Unavailable"
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode() + b"\n"]

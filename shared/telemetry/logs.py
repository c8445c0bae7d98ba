"""structlog, to standard error. Events: ``<service>.<noun>_<participle>``; a correlation id binds a file's story."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from shared.paths import printable


def configure(*, verbose: int = 0, json: bool = False) -> None:
    """Set the log up once a process. ``verbose`` 0 says warnings, 1 what happens, 2 everything."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    renderer: Any = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _escape,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _escape(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A file name never moves a terminal's cursor (control characters are escaped)."""
    return {k: printable(v) if isinstance(v, str) and k != "exception" else v for k, v in event.items()}

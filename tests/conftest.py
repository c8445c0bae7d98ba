"""What holds for every test: the log is put back, and no thread or child process outlives its test."""

from __future__ import annotations

import threading
from collections.abc import Iterator

# its plugin would import it in the summary, deep in the stack, where CPython 3.11 may fail to compile it (gh-106905)
import hypothesis
import pytest
import structlog

# how long an example takes says how busy the machine is; each test has a time-out of its own
hypothesis.settings.register_profile("photosift", deadline=None)
hypothesis.settings.load_profile("photosift")


@pytest.fixture(autouse=True)
def _log_put_back() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _no_thread_left_over() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and t.is_alive() and not t.daemon]
    left = [t for t in left if not t.name.startswith(("asyncio_", "ThreadPoolExecutor"))]
    assert not left, f"threads left over: {left}"

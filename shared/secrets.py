"""[pure] What must never be shown or logged. (S21)"""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def redacted(text: str) -> str:
    """URLs without the user and password in them."""
    return _PASSWORD.sub("***", text)

"""Where the bus is and whom to believe there: passwords cross a network only inside TLS, unless told otherwise."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.errors import PermanentError, UsageError

_ENCRYPTED = ("tls", "wss")


class NotTrusted(PermanentError):
    """The bus does not prove that it is the one that was meant."""

    code = "not-trusted"


@dataclass(frozen=True, kw_only=True)
class Address:
    """A URL, and the certificates (PEM) that vouch for who answers there; None: the system's own."""

    url: str
    ca_file: Path | None = None

    @property
    def is_encrypted(self) -> bool:
        return urlsplit(self.url).scheme in _ENCRYPTED

    @property
    def has_password(self) -> bool:
        return urlsplit(self.url).password is not None

    @property
    def stays_on_this_host(self) -> bool:
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def context(self) -> ssl.SSLContext:
        """For the connection, host name checked. Raises ``UsageError`` where the certificates cannot be read."""
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"nats_ca_file: {self.ca_file}: {error}") from error


def address(where: str | Address) -> Address:
    """A bare URL is trusted as the system does."""
    return Address(url=where) if isinstance(where, str) else where

"""Where Elasticsearch is and who asks: from settings to a client. Secrets stay in here and are never logged (S21)."""

from __future__ import annotations

import logging
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from elastic_transport import AsyncTransport
from elastic_transport.client_utils import basic_auth_to_header, url_to_node_config
from elasticsearch import AsyncElasticsearch, ElasticsearchWarning

from shared.errors import UsageError

# The link says what went wrong, once (link.py); the client would repeat it on standard error at every try.
logging.getLogger("elastic_transport").addHandler(logging.NullHandler())
#: what a server thinks of its own configuration is for who runs it
warnings.filterwarnings("ignore", category=ElasticsearchWarning)
Called = Callable[[str], str]
#: seconds that a request may take
ANSWER_WITHIN = 15.0


@dataclass(frozen=True, kw_only=True)
class Access:
    """A server, and what is shown to it."""

    #: without user and password
    url: str
    #: the indices are called so, and what they hold: ``photosift-contents``, ``photosift-files``
    name: str = "photosift"
    user: str = ""
    password: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    #: certificates of who may vouch for the server; None: those of the system
    ca_file: Path | None = None
    #: whether missing indices are made
    create: bool = True
    #: what a person calls a setting where this came from
    called: Called = field(default=str, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        url: str,
        *,
        user: str = "",
        password: str = "",
        password_file: Path | None = None,
        api_key: str = "",
        api_key_file: Path | None = None,
        ca_file: Path | None = None,
        name: str = "photosift",
        create: bool = True,
        plaintext: bool = False,
        called: Called = str,
    ) -> Access:
        """From the settings; secrets from their files. Raises ``UsageError``.

        ``called``: what a person calls a setting here, where it is an option.
        """
        bare, named, given = _parted(url)
        access = cls(
            url=bare,
            name=name,
            user=user or named,
            password=_secret(password or given, password_file, "index_password", called),
            api_key=_secret(api_key, api_key_file, "index_api_key", called),
            ca_file=ca_file,
            create=create,
            called=called,
        )
        access._refuse_contradictions()
        if access.sends_a_secret_in_the_clear and not plaintext:
            raise UsageError(
                f"{called('index_url')}: {bare} would carry a secret readable; use https, or set "
                f"{called('index_plaintext')} (S21)"
            )
        return access

    def _refuse_contradictions(self) -> None:
        called = self.called
        if self.api_key and self.user:
            raise UsageError(f"{called('index_api_key')} and {called('index_user')}: give one of them")
        if bool(self.user) != bool(self.password):
            raise UsageError(
                f"{called('index_user')} and {called('index_password')} (or {called('index_password_file')}) "
                "belong together"
            )

    @property
    def sends_a_secret_in_the_clear(self) -> bool:
        """Fine inside one host or one network of containers, and nowhere else (S21)."""
        off_host = urlsplit(self.url).hostname not in ("127.0.0.1", "::1", "localhost")
        return off_host and bool(self.api_key or self.password) and not self.url.startswith("https://")

    @property
    def who(self) -> str:
        """For a sentence to a person."""
        return f"user {self.user}" if self.user else "the API key" if self.api_key else "an unknown user"

    def client(self) -> AsyncElasticsearch:
        """A client that tries once: trying again is the link's (link.py). Raises ``UsageError`` for a bad CA file."""
        return AsyncElasticsearch(
            self.url,
            basic_auth=(self.user, self.password) if self.user else None,
            api_key=self.api_key or None,
            ssl_context=self._trust(),
            request_timeout=ANSWER_WITHIN,
            max_retries=0,
            retry_on_timeout=False,
            http_compress=False,
        )

    def transport(self) -> AsyncTransport:
        """A connection without the client's own words, for servers that are older than it. Raises ``UsageError``."""
        node = url_to_node_config(self.url)
        shown = basic_auth_to_header((self.user, self.password)) if self.user else f"ApiKey {self.api_key}"
        headers = {"authorization": shown} if self.user or self.api_key else {}
        return AsyncTransport(
            [node.replace(headers=headers, ssl_context=self._trust(), request_timeout=ANSWER_WITHIN)],
            max_retries=0,
        )

    def _trust(self) -> ssl.SSLContext | None:
        if not self.url.startswith("https://"):
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"{self.called('index_ca_file')}: {self.ca_file}: {error.strerror or error}") from error


def _parted(url: str) -> tuple[str, str, str]:
    """URL, user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    port = "" if parts.port else ":9200"
    bare = urlunsplit((parts.scheme, f"{host}{port}", parts.path.rstrip("/"), "", ""))
    return bare, unquote(parts.username or ""), unquote(parts.password or "")


def _secret(given: str, file: Path | None, setting: str, called: Called) -> str:
    if file is None:
        return given
    if given:
        raise UsageError(f"{called(setting)} and {called(setting + '_file')}: give one of them")
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text"
        raise UsageError(f"{called(setting + '_file')}: {file}: {why}") from error

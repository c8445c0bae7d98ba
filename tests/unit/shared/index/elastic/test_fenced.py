"""A server with users, roles and TLS: who may do what, and the one sentence for who may not (S21)."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from ssl import create_default_context
from typing import Any
from uuid import uuid4

import pytest

from shared.errors import UsageError
from shared.index.elastic import Access, ElasticIndex
from shared.index.port import Index
from tests.support.elasticsearch import Server, for_tests
from tests.support.elasticsearch_server import ADMIN, ADMIN_PASSWORD, USERS
from tests.support.index import all_of, batch, content, hash_of
from tests.support.program import photosift


@pytest.fixture(scope="session")
def server() -> Server:
    return for_tests(fenced=True)


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    name = f"photosift-{uuid4().hex[:12]}"
    yield name
    for kind in ("contents", "files"):
        request = urllib.request.Request(f"{server.url}/{name}-{kind}-000001?ignore_unavailable=true", method="DELETE")
        request.add_header("Authorization", f"Basic {b64encode(f'{ADMIN}:{ADMIN_PASSWORD}'.encode()).decode()}")
        urllib.request.urlopen(request, timeout=30, context=create_default_context(cafile=server.ca_file)).close()


def access(server: Server, name: str, user: str, **more: Any) -> Access:
    given = {"password": USERS[user][0], "ca_file": Path(server.ca_file), "name": name, "user": user, **more}
    return Access.of(server.url, **given)


async def opened(access: Access, *, writable: bool = True) -> Index:
    return await ElasticIndex.open(access, writable=writable, mode="canonical", patience=5)


async def test_users_with_the_documented_roles_write_and_read(server: Server, name: str) -> None:
    writer = await opened(access(server, name, "analyser"))
    reader = await opened(access(server, name, "resolver"), writable=False)
    await writer.put(*batch(range(20)))
    await reader.refresh()
    [answer] = await reader.neighbours([content(7).signature], 0.1)
    assert answer.hits == ((hash_of(7), 0.0),)
    assert len(await all_of(reader)) == 20
    assert await reader.highest_version() == 1
    await reader.close()
    await writer.close()


async def test_a_password_may_stand_in_a_file_or_in_the_url(server: Server, name: str, tmp_path: Path) -> None:
    password, ca_file = USERS["analyser"][0], Path(server.ca_file)
    file = tmp_path / "password"
    file.write_text(password + "\n")
    by_file = Access.of(server.url, user="analyser", password_file=file, ca_file=ca_file, name=name)
    in_url = Access.of(server.url.replace("://", f"://analyser:{password}@"), ca_file=ca_file, name=name)
    assert by_file == in_url
    await (await opened(by_file)).close()


async def test_s21_a_wrong_password_is_one_sentence_without_it(server: Server, name: str) -> None:
    with pytest.raises(UsageError, match=r"it refuses the password or key.*\(user analyser\)") as caught:
        await opened(access(server, name, "analyser", password="not-this-one"))
    assert "not-this-one" not in str(caught.value)


async def test_missing_rights_are_named(server: Server, name: str) -> None:
    with pytest.raises(UsageError, match=rf"user stranger lacks rights on {name}-\*.*: .*create_index.*read.*write"):
        await opened(access(server, name, "stranger"))
    with pytest.raises(UsageError, match=r"user resolver lacks rights.*: create_index, write"):
        await opened(access(server, name, "resolver"))


@pytest.mark.parametrize("ca_file", [None])
async def test_a_certificate_that_nobody_vouches_for_is_one_sentence(
    server: Server, name: str, ca_file: Path | None
) -> None:
    with pytest.raises(UsageError, match=r"its certificate is not trusted.*index_ca_file"):
        await opened(replace(access(server, name, "analyser"), ca_file=ca_file))


def test_s21_a_scan_with_a_wrong_password_ends_with_one_line_and_no_secret(
    server: Server, name: str, tmp_path: Path
) -> None:
    (tmp_path / "Pictures").mkdir()
    (tmp_path / "secret").write_text("not-this-one")
    done = photosift(
        "scan", tmp_path / "Pictures", "-vv", state=tmp_path / "state", expect=2,
        PHOTOSIFT_INDEX_URL=server.url, PHOTOSIFT_INDEX_NAME=name, PHOTOSIFT_INDEX_USER="analyser",
        PHOTOSIFT_INDEX_PASSWORD_FILE=str(tmp_path / "secret"), PHOTOSIFT_INDEX_CA_FILE=server.ca_file,
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if line.startswith("photosift:")]
    assert len(complaints) == 1
    assert "refuses the password" in complaints[0]
    assert "not-this-one" not in done.stderr + done.stdout


# ------------------------------------------------------------------------------- what needs no server


def test_s21_secrets_are_not_part_of_what_is_printed() -> None:
    shown = repr(Access.of("http://localhost:9200", user="u", password="geheim"))
    shown += repr(Access.of("http://localhost:9200", api_key="geheim"))
    assert "geheim" not in shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"user": "u", "password": "p", "api_key": "k"}, "give one of them"),
        ({"user": "u"}, "belong together"),
        ({"password": "p"}, "belong together"),
        ({"user": "u", "password": "p", "password_file": Path("/x")}, "give one of them"),
        ({"api_key_file": Path("/nowhere")}, "index_api_key_file: /nowhere: No such file"),
    ],
)
def test_contradictions_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Access.of("https://es.example:9200", **given)


def test_s21_a_secret_crosses_no_network_readable_unless_a_person_says_so() -> None:
    with pytest.raises(UsageError, match="index_plaintext"):
        Access.of("http://es.example:9200", api_key="k")
    Access.of("http://es.example:9200", api_key="k", plaintext=True)
    Access.of("http://es.example:9200")
    Access.of("http://127.0.0.1:9200", api_key="k")


def test_the_port_is_elasticsearchs_own_unless_given() -> None:
    assert Access.of("https://es.example/proxy/").url == "https://es.example:9200/proxy"
    assert Access.of("http://[::1]:9400").url == "http://[::1]:9400"


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """Writes down what a client shows of itself. The distribution under test has no API keys."""
    shown: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/other"):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            shown.append(self.headers["Authorization"])
            body = json.dumps({"error": {"type": "security_exception", "reason": "no"}, "status": 401}).encode()
            self.send_response(401)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", shown
        listening.shutdown()
        thread.join()


async def test_an_api_key_is_shown_in_the_header(listener: tuple[str, list[str]], tmp_path: Path) -> None:
    url, shown = listener
    file = tmp_path / "key"
    file.write_text("aWQ6a2V5\n")
    with pytest.raises(UsageError, match=r"\(the API key\)"):
        await opened(Access.of(url, api_key_file=file))
    assert shown == ["ApiKey aWQ6a2V5"]


async def test_what_is_no_elasticsearch_is_one_sentence(listener: tuple[str, list[str]]) -> None:
    with pytest.raises(UsageError, match="no Elasticsearch that this photosift can talk to"):
        await opened(Access.of(listener[0] + "/other"))

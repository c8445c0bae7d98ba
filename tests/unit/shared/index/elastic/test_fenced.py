"""A server with users, roles and TLS: who may do what, and the one sentence for who may not (S21)."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.error
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
from shared.index.elastic import Access, ElasticIndex, migrate
from shared.index.port import Index
from tests.support.elasticsearch import Server, for_tests
from tests.support.elasticsearch_server import ADMIN, ADMIN_PASSWORD, PASSWORDS
from tests.support.index import all_of, batch, content, hash_of
from tests.support.program import photosift


@pytest.fixture(scope="session")
def server() -> Server:
    return for_tests(fenced=True)


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    name = f"photosift-{uuid4().hex[:12]}"
    yield name
    made = ",".join(f"{name}-{kind}-{number:06}" for kind in ("contents", "files") for number in (1, 2))
    assert asked(server, ADMIN, "DELETE", f"/{made},{name}-more?ignore_unavailable=true") == 200


def asked(server: Server, user: str, method: str, path: str, body: Any = None) -> int:
    """The status of an answer to a user; a text is the body of a bulk request."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{server.url}{path}", method=method, data=data)
    request.add_header("Authorization", f"Basic {b64encode(f'{user}:{password_of(user)}'.encode()).decode()}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30, context=create_default_context(cafile=server.ca_file)) as got:
            answer = json.loads(got.read() or b"{}")
            refused = [item["delete"]["status"] for item in answer.get("items", ()) if "error" in item["delete"]]
            return refused[0] if refused else int(got.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def password_of(user: str) -> str:
    return {ADMIN: ADMIN_PASSWORD, **PASSWORDS}[user]


def access(server: Server, name: str, user: str, **more: Any) -> Access:
    given = {"password": password_of(user), "ca_file": Path(server.ca_file), "name": name, "user": user, **more}
    return Access.of(server.url, **given)


async def opened(access: Access, *, writable: bool = True) -> Index:
    return await ElasticIndex.open(access, writable=writable, mode="canonical", patience=5)


async def made(server: Server, name: str, *, by: str = "steward") -> None:
    """The indices, with a few photos in them."""
    index = await opened(access(server, name, by))
    await index.put(*batch(range(20)))
    await index.close()


@pytest.mark.parametrize("by", ["steward", ADMIN])
async def test_s20_users_of_the_deployment_write_and_read_what_the_steward_or_an_older_deployment_made(
    server: Server, name: str, by: str
) -> None:
    """Before each service had a user of its own, all of them were the superuser."""
    await made(server, name, by=by)
    writer = await opened(access(server, name, "analyser", create=False))
    await writer.put(*batch(range(20, 30)))
    for user in READERS:
        reader = await opened(access(server, name, user), writable=False)
        await reader.refresh()
        [answer] = await reader.neighbours([content(27).signature], 0.1)
        assert answer.hits == ((hash_of(27), 0.0),)
        assert len(await all_of(reader)) == 30
        assert await reader.highest_version() == 1
        assert await reader.count("photos") == 30
        await reader.close()
    await writer.close()


READERS = ("resolver", "watcher", "person")
#: ways to take something away; the first four are as much as whoever has the analyser's password could want
TAKING = [
    ("DELETE", "/{0}-files/_doc/1", None),
    ("POST", "/_bulk", '{{"delete":{{"_index":"{0}-files","_id":"1"}}}}\n'),
    ("DELETE", "/{0}-files-000001", None),
    ("POST", "/_aliases", {"actions": [{"remove_index": {"index": "{0}-files-000001"}}]}),
    ("POST", "/_aliases", {"actions": [{"remove": {"index": "{0}-files-000001", "alias": "{0}-files"}}]}),
    ("POST", "/{0}-files-000001/_close", None),
    ("PUT", "/{0}-files-000001/_block/write", None),
    ("PUT", "/{0}-files-000001/_settings", {"index.blocks.read": True}),
]
WRITING = [
    ("PUT", "/{0}-files/_doc/1", {"id": "1"}),
    ("PUT", "/{0}-files/_create/2", {"id": "2"}),
    ("POST", "/{0}-files/_update/1", {"doc": {"id": "1"}}),
]
#: Elasticsearch lets everybody do this who may write
MAPPING = ("PUT", "/{0}-files-000001/_mapping", {"_meta": {}})
MAKING = [
    ("PUT", "/{0}-more", {}),
    ("POST", "/_aliases", {"actions": [{"add": {"index": "{0}-files-000001", "alias": "{0}-two"}}]}),
]


def tried(server: Server, name: str, user: str, ways: list[tuple[str, str, Any]]) -> list[int]:
    def named(body: Any) -> Any:
        return body.format(name) if isinstance(body, str) else json.loads(json.dumps(body).replace("{0}", name))

    return [
        asked(server, user, method, path.format(name), None if body is None else named(body))
        for method, path, body in ways
    ]


async def test_s20_who_only_reads_can_neither_write_nor_make_nor_take_away(server: Server, name: str) -> None:
    await made(server, name)
    ways = [*WRITING, MAPPING, *MAKING, *TAKING]
    for user in READERS:
        assert tried(server, name, user, ways) == [403] * len(ways)
    assert asked(server, "resolver", "GET", f"/{name}-files/_count") == 200


async def test_s20_the_analysers_user_writes_and_can_neither_make_nor_take_away(server: Server, name: str) -> None:
    await made(server, name)
    assert tried(server, name, "analyser", WRITING) == [201, 201, 200]
    assert tried(server, name, "analyser", [*MAKING, *TAKING]) == [403] * len([*MAKING, *TAKING])


@pytest.mark.parametrize("way", TAKING, ids=lambda way: " ".join(map(str, way[:2])))
async def test_each_way_works_for_who_may_so_the_tests_above_can_fail(
    server: Server, name: str, way: tuple[str, str, Any]
) -> None:
    await made(server, name)
    assert tried(server, name, ADMIN, [WRITING[0], way]) == [201, 200]


@pytest.mark.parametrize("user", [*READERS, "analyser", "steward"])
def test_s20_what_is_not_photosifts_is_out_of_every_users_reach(server: Server, user: str) -> None:
    theirs = f"theirs-{uuid4().hex[:8]}"
    assert asked(server, ADMIN, "PUT", f"/{theirs}", {}) == 200
    try:
        for method, path, body in [
            ("GET", f"/{theirs}/_search", None),
            ("PUT", f"/{theirs}/_doc/1", {}),
            ("DELETE", f"/{theirs}", None),
            ("POST", "/_aliases", {"actions": [{"add": {"index": theirs, "alias": "photosift-x"}}]}),
            ("GET", "/_security/user", None),
            ("PUT", "/_cluster/settings", {"persistent": {"cluster.max_shards_per_node": 1000}}),
        ]:
            assert asked(server, user, method, path, body) == 403
    finally:
        assert asked(server, ADMIN, "DELETE", f"/{theirs}") == 200


async def test_the_steward_carries_the_indices_over_to_a_later_format(server: Server, name: str) -> None:
    await made(server, name)
    older = {"_meta": {"photosift": {"format": "0", "mode": "canonical", "values": "272"}}}
    for kind in ("contents", "files"):
        assert asked(server, "steward", "PUT", f"/{name}-{kind}/_mapping", older) == 200
    said = await migrate(access(server, name, "steward"), mode="canonical")
    assert [line.partition(";")[0] for line in said] == [
        f"{name}-{kind}-000001 is {name}-{kind}-000002 now, with 20 documents" for kind in ("contents", "files")
    ]
    writer = await opened(access(server, name, "analyser", create=False))
    assert len(await all_of(writer)) == 20
    await writer.close()


async def test_a_password_may_stand_in_a_file_or_in_the_url(server: Server, name: str, tmp_path: Path) -> None:
    password, ca_file = PASSWORDS["analyser"], Path(server.ca_file)
    file = tmp_path / "password"
    file.write_text(password + "\n")
    by_file = Access.of(server.url, user="analyser", password_file=file, ca_file=ca_file, name=name)
    in_url = Access.of(server.url.replace("://", f"://analyser:{password}@"), ca_file=ca_file, name=name)
    assert by_file == in_url
    await (await opened(by_file, writable=False)).close()


async def test_s21_a_wrong_password_is_one_sentence_without_it(server: Server, name: str) -> None:
    with pytest.raises(UsageError, match=r"it refuses the password or key.*\(user analyser\)") as caught:
        await opened(access(server, name, "analyser", password="not-this-one"))
    assert "not-this-one" not in str(caught.value)


async def test_missing_rights_are_named(server: Server, name: str) -> None:
    with pytest.raises(UsageError, match=rf"user stranger lacks rights on {name}-\*.*: .*create_index.*index.*read"):
        await opened(access(server, name, "stranger"))
    with pytest.raises(UsageError, match=r"user resolver lacks rights.*: create_index, index$"):
        await opened(access(server, name, "resolver"))
    with pytest.raises(UsageError, match=r"user analyser lacks rights.*: create_index$"):
        await opened(access(server, name, "analyser"))


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

"""Reading an index that image-match wrote, on a real server, and on one that has users and TLS."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from shared.errors import UsageError
from shared.index.elastic import Access, Ancestor
from shared.index.elastic import ancestor as module
from shared.index.port import IndexUnavailable
from tests.support.ancestor import OldIndex, old_index, record
from tests.support.elasticsearch import for_tests
from tests.support.elasticsearch_server import PASSWORDS
from tests.support.index import signature_of

FIELDS = ("path", "signature", "metadata.filesize")


@pytest.fixture
def old() -> Iterator[OldIndex]:
    with old_index() as made:
        yield made


async def documents(ancestor: Ancestor) -> list[dict[str, Any]]:
    return [dict(source) async for page in ancestor.pages(FIELDS) for source in page]


async def test_every_document_is_read_once_with_the_fields_that_are_asked_for(
    old: OldIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    full = [int(value) for value in signature_of(1).full]
    old.add(*(record(f"/p/{n}.jpg", full, {"filesize": n, "exif_data": {"a": 1}}) for n in range(10)))
    before = old.everything()
    ancestor = await Ancestor.open(Access.of(old.url), old.name)
    found = await documents(ancestor)
    await ancestor.close()
    assert ancestor.count == 10
    assert sorted(each["path"] for each in found) == [f"/p/{n}.jpg" for n in range(10)]
    assert all(each.keys() == {"path", "signature", "metadata"} for each in found)
    assert all(each["signature"] == full and each["metadata"].keys() == {"filesize"} for each in found)
    assert old.everything() == before
    stats = old.ask("_nodes/stats/indices/search")["nodes"].values()
    assert sum(node["indices"]["search"]["open_contexts"] for node in stats) == 0, "the server keeps no place for us"


async def test_s21_users_and_certificates_are_as_with_our_own_index(tmp_path: Path) -> None:
    server = for_tests(fenced=True)
    password, ca_file = PASSWORDS["resolver"], Path(server.ca_file)
    (tmp_path / "password").write_text(password)

    async def refused(index: str, **given: Any) -> str:
        access = Access.of(server.url, called=lambda setting: f"<{setting}>", **given)
        with pytest.raises(UsageError) as caught:
            await Ancestor.open(access, index)
        assert "not-this-one" not in str(caught.value)
        return str(caught.value)

    by_file = {"user": "resolver", "password_file": tmp_path / "password", "ca_file": ca_file}
    assert "INDEX: there is no photosift-old at" in await refused("photosift-old", **by_file)
    wrong = {**by_file, "password_file": None, "password": "not-this-one"}
    assert "refuses the password or key" in (said := await refused("photosift-old", **wrong))
    assert "(user resolver)" in said
    assert "does not permit that" in await refused("forbidden", **by_file)
    assert "<index_ca_file>" in await refused("photosift-old", **{**by_file, "ca_file": None})
    assert "(an unknown user)" in await refused("photosift-old", ca_file=ca_file)


class _Answering(BaseHTTPRequestHandler):
    """An older server, or something else: answers what it was told, and writes down what it was shown."""

    answers: ClassVar[list[Any]]
    shown: ClassVar[list[tuple[str, str, str | None]]]

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.shown.append((self.command, self.path, self.headers["Authorization"]))
        self.accepts.add(self.headers["Accept"])
        body = json.dumps(self.answers.pop(0)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    accepts: ClassVar[set[str]] = set()
    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[tuple[str, type[_Answering]]]:
    handler = type("Answering", (_Answering,), {"answers": [], "shown": [], "accepts": set()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", handler
        listening.shutdown()
        thread.join()


def page(*paths: str, failed: int = 0) -> dict[str, Any]:
    hits = [{"_source": {"path": path}} for path in paths]
    shards = {"total": 5, "successful": 5 - failed, "failed": failed}
    return {"_scroll_id": "place", "timed_out": False, "_shards": shards, "hits": {"total": 2, "hits": hits}}


async def test_a_server_of_version_6_is_spoken_to_in_its_own_words(answering: tuple[str, type[_Answering]]) -> None:
    url, handler = answering
    handler.answers[:] = [{"count": 2}, page("/a", "/b"), page(), {"succeeded": True}]
    ancestor = await Ancestor.open(Access.of(url, api_key="aWQ6a2V5"), "images")
    assert await documents(ancestor) == [{"path": "/a"}, {"path": "/b"}]
    await ancestor.close()
    assert handler.shown == [
        ("GET", "/images/_count", "ApiKey aWQ6a2V5"),
        ("POST", "/images/_search?scroll=10m", "ApiKey aWQ6a2V5"),
        ("POST", "/_search/scroll", "ApiKey aWQ6a2V5"),
        ("DELETE", "/_search/scroll", "ApiKey aWQ6a2V5"),
    ]
    assert handler.accepts == {"application/json"}


async def test_a_page_that_is_not_whole_is_no_page(answering: tuple[str, type[_Answering]]) -> None:
    url, handler = answering
    handler.answers[:] = [{"count": 2}, page("/a", failed=1), {"succeeded": True}]
    ancestor = await Ancestor.open(Access.of(url), "images")
    with pytest.raises(IndexUnavailable, match="not whole"):
        await documents(ancestor)
    await ancestor.close()


async def test_what_is_no_elasticsearch_is_one_sentence(answering: tuple[str, type[_Answering]]) -> None:
    url, handler = answering
    handler.answers[:] = [["a list"]]
    with pytest.raises(UsageError, match=f"URL: {url} is no Elasticsearch"):
        await Ancestor.open(Access.of(url), "images")


@pytest.mark.parametrize("index", ["", "*", "images*", "a,b", "../x", "_all", "-x", "a b", "a/b"])
async def test_nothing_but_the_name_of_one_index_is_asked_for(index: str) -> None:
    with pytest.raises(UsageError, match="is not the name of one index"):
        await Ancestor.open(Access.of("http://127.0.0.1:9"), index)

"""An index that image-match wrote, read from its beginning to its end; nothing is ever written to it.

Its servers are as old as it is: py-image-dedup came with Elasticsearch 7.3. So requests are those that every version
since 6 understands (a scroll, no point in time), without the headers by which the present client tells its version.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

from elastic_transport import AsyncTransport, TransportError

from shared.errors import UsageError
from shared.index.elastic.access import Access
from shared.index.elastic.troubles import IndexGone, NotPermitted, of_complaint, refuse_partial, translated
from shared.index.port import IndexUnavailable

#: documents of one page: about 2 MB
PAGE = 1_000
#: how long the server keeps its place between two pages
KEPT = "10m"
_PLAIN = {"accept": "application/json", "content-type": "application/json"}
#: one index: no list, no wildcard, no path
_NAME = re.compile(r"[^\s/\\*?\"<>|,#_\-+][^\s/\\*?\"<>|,#]*")

Source = Mapping[str, Any]


class Ancestor:
    """One such index. Made by ``open``; close it when done."""

    def __init__(self, transport: AsyncTransport, access: Access, index: str) -> None:
        self._transport, self._access, self._index = transport, access, index
        self.url = f"{access.url}/{index}"
        #: documents in it
        self.count = 0

    @classmethod
    async def open(cls, access: Access, index: str) -> Ancestor:
        """Look whether it is there and may be read. Raises ``UsageError``: one sentence that says what is wrong."""
        if not _NAME.fullmatch(index):
            raise UsageError(f"INDEX: {index!r} is not the name of one index")
        found = cls(access.transport(), access, index)
        try:
            found.count = await found._counted()
        except IndexGone as error:
            raise UsageError(f"INDEX: there is no {index} at {access.url}") from error
        except NotPermitted as error:
            raise UsageError(f"URL: {error.detail} ({access.who})") from error
        except IndexUnavailable as error:
            raise UsageError(f"URL: {error.detail}") from error
        finally:
            if not found.count:
                await found.close()
        if not found.count:
            raise UsageError(f"INDEX: {index} at {access.url} is empty")
        return found

    async def close(self) -> None:
        await self._transport.close()

    async def _counted(self) -> int:
        answer = await self._ask("GET", f"/{quote(self._index)}/_count")
        if not isinstance(answer.get("count"), int):
            raise IndexUnavailable(f"{self._access.url} is no Elasticsearch")
        return int(answer["count"])

    async def pages(self, fields: Sequence[str]) -> AsyncIterator[list[Source]]:
        """All documents, in no particular order, with these of their fields.

        Raises ``IndexUnavailable`` (also for a page that is not whole).
        """
        body = {"size": PAGE, "sort": ["_doc"], "_source": list(fields)}
        answer = await self._ask("POST", f"/{quote(self._index)}/_search?scroll={KEPT}", body)
        try:
            while hits := self._hits(answer):
                yield [hit.get("_source", {}) for hit in hits]
                answer = await self._ask("POST", "/_search/scroll", {"scroll": KEPT, "scroll_id": answer["_scroll_id"]})
        finally:
            await self._forget(answer)

    def _hits(self, answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        refuse_partial(answer, self.url)
        return cast(list[Mapping[str, Any]], answer["hits"]["hits"])

    async def _forget(self, answer: Mapping[str, Any]) -> None:
        """The place that the server keeps; it would forget it by itself."""
        if "_scroll_id" in answer:
            await self._ask("DELETE", "/_search/scroll", {"scroll_id": [answer["_scroll_id"]]})

    async def _ask(self, method: str, target: str, body: object = None) -> Mapping[str, Any]:
        """The answer. Raises ``IndexGone``, ``NotPermitted``, ``IndexUnavailable`` or ``IndexRefused``."""
        try:
            meta, answer = await self._transport.perform_request(method, target, body=body, headers=_PLAIN)
        except TransportError as error:
            raise translated(error, self._access.url, ca_file=self._access.called("index_ca_file")) from error
        said = answer if isinstance(answer, Mapping) else {}
        if meta.status >= 300:
            complaint = said.get("error")
            raise of_complaint(meta.status, complaint if isinstance(complaint, Mapping) else {}, self._access.url)
        return said

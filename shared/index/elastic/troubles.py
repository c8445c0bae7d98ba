"""[pure] What the client raises and what the server answers, in photosift's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import elastic_transport
from elasticsearch import ApiError, UnsupportedProductError

from shared.errors import PermanentError
from shared.index.port import IndexUnavailable

#: everything that a call of the client may raise
RAISED = (ApiError, elastic_transport.TransportError, UnsupportedProductError)
#: busy or just starting: worth another try at once
_BUSY = {429, 502, 503, 504}
_REFUSED = {401: "it refuses the password or key", 403: "it does not permit that"}


class IndexGone(IndexUnavailable):
    """The index is not there."""

    code = "index-gone"


class IndexReadOnly(IndexUnavailable):
    """The index takes no writes now."""

    code = "index-read-only"


class NotPermitted(IndexUnavailable):
    """Elasticsearch and we do not trust each other."""

    code = "index-not-permitted"


class NotElasticsearch(IndexUnavailable):
    """Something else answers there."""

    code = "index-not-elasticsearch"


class IndexRefused(PermanentError):
    """Elasticsearch refuses what was asked."""

    code = "index-refused"


def translated(error: Exception, url: str, *, ca_file: str = "index_ca_file") -> Exception:
    """The error as photosift's; ``ca_file``: what the setting is called where the URL came from."""
    if isinstance(error, UnsupportedProductError):
        return NotElasticsearch(f"{url} is no Elasticsearch that this photosift can talk to (8.18 to 9.x)")
    if isinstance(error, ApiError):
        return _of_answer(error, url)
    if isinstance(error, elastic_transport.ConnectionTimeout):
        return IndexUnavailable(f"{url} did not answer in time")
    if isinstance(error, elastic_transport.TlsError):
        return NotPermitted(f"{url}: its certificate is not trusted; name who vouches for it in {ca_file}: {error}")
    return IndexUnavailable(f"{url} does not answer: {error}")


def _of_answer(error: ApiError, url: str) -> Exception:
    body = error.body if isinstance(error.body, Mapping) else {}
    complaint = body.get("error") if isinstance(body.get("error"), Mapping) else {}
    return of_complaint(error.meta.status, complaint or {}, url)


def of_complaint(status: int, complaint: Mapping[str, Any], url: str) -> Exception:
    """From a status and the ``error`` of an answer, or of an item of a bulk answer."""
    kind, reason = str(complaint.get("type", "")), str(complaint.get("reason", f"status {status}"))
    if kind == "cluster_block_exception":
        return IndexReadOnly(_blocked(reason, url))
    if kind == "index_not_found_exception":
        return IndexGone(f"{url}: {reason}")
    if status in _REFUSED:
        return NotPermitted(f"{url}: {_REFUSED[status]}: {reason}")
    if status in _BUSY or status >= 500:
        return IndexUnavailable(f"{url}: {reason}")
    return IndexRefused(f"{url}: {kind}: {reason}")


def _blocked(reason: str, url: str) -> str:
    if "flood-stage" in reason or "read-only-allow-delete" in reason:
        return (
            f"{url}: its disk is full (flood stage), so it takes no writes; free some space there, "
            "then everything goes on by itself"
        )
    return f"{url}: {reason}"


def worth_another_try(error: BaseException) -> bool:
    """Refused connections and a busy server, not time-outs (they took long enough) nor a full disk."""
    if isinstance(error, ApiError):
        return error.meta.status in _BUSY and not isinstance(_of_answer(error, ""), IndexReadOnly)
    return isinstance(error, elastic_transport.ConnectionError) and not isinstance(error, elastic_transport.TlsError)


def refuse_partial(answer: Mapping[str, Any], url: str) -> None:
    """Raises ``IndexUnavailable`` for an answer that some shards did not give: it may miss a pair (index.md)."""
    if "error" in answer:
        raise of_complaint(answer.get("status", 500), answer["error"], url)
    if answer.get("timed_out") or answer.get("_shards", {}).get("failed"):
        raise IndexUnavailable(f"{url}: the answer is not whole")

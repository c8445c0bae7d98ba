"""[pure] Documents of the port as Elasticsearch's, and back."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np

from shared.index.elastic.words import tokens
from shared.index.port import ContentDoc, FileDoc
from shared.messages.analysis import Facts
from shared.messages.base import FileStat
from shared.paths import PhotoPath, from_text, to_text
from shared.signature import Signature

#: contents fall into so many lots, evenly: a search that finds too many is put again for a part of them
LOTS = 65_536


def content_source(doc: ContentDoc) -> dict[str, Any]:
    """Signature and facts are kept; the rest follows from them and is only searched."""
    return {
        "signature": b64encode(doc.signature.compact).decode(),
        "facts": doc.facts.model_dump(exclude_defaults=True),
        "lot": lot_of(doc.sha256),
        **_findable(doc.signature),
    }


def _findable(signature: Signature) -> dict[str, Any]:
    """A featureless picture has neither words nor direction: it is never found (I4)."""
    if signature.is_featureless:
        return {}
    return {"words": tokens(signature), "vector": signature.compact.hex(), "steps": steps(signature)}


def steps(signature: Signature) -> str:
    """Each value as the four steps from -2 to 2 that it is above: 1088 bits, as hexadecimal digits.

    As many bits differ between two signatures as their values are steps apart, all together.
    """
    values = signature.values
    return np.packbits(np.concatenate([values > step for step in (-2, -1, 0, 1)])).tobytes().hex()


def lot_of(sha256: str) -> int:
    return crc32(sha256.encode()) % LOTS


def content_doc(sha256: str, source: Mapping[str, Any]) -> ContentDoc:
    return ContentDoc(sha256=sha256, signature=signature_in(source), facts=Facts.model_validate(source["facts"]))


def signature_in(source: Mapping[str, Any]) -> Signature:
    return Signature(b64decode(source["signature"]))


def file_source(doc: FileDoc) -> dict[str, Any]:
    text, encoded = to_text(doc.path.rel)
    more = {
        "path": text,
        "path_b64": encoded,
        "stat": None if doc.stat is None else doc.stat.model_dump(),
        "known_since": doc.known_since,
        "reason": doc.reason,
        "explanation": doc.explanation,
        "doubt": doc.doubt,
    }
    source = {
        "id": doc.path.file_id,
        "root": doc.path.root,
        "state": doc.state,
        "sha256": doc.sha256,
        "version": doc.version,
        "more": _without_nothing(more),
    }
    return _without_nothing(source)


def _without_nothing(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def file_doc(source: Mapping[str, Any]) -> FileDoc:
    more = source["more"]
    return FileDoc(
        path=PhotoPath(source["root"], from_text(more["path"], more.get("path_b64"))),
        version=source["version"],
        state=source["state"],
        sha256=source.get("sha256"),
        stat=FileStat.model_validate(more["stat"]) if "stat" in more else None,
        known_since=more["known_since"],
        reason=more.get("reason"),
        explanation=more.get("explanation"),
        doubt=more.get("doubt"),
    )

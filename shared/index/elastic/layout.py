"""[pure] What stands in Elasticsearch: names, fields, and the parameters by which an index is recognised.

Two indices, each versioned and behind an alias: contents, with words and vectors, and files. Anything that is not
searched for stands in one object that Elasticsearch keeps and does not look into.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from shared.index.port import IndexMismatch
from shared.signature import COMPACT

Kind = Literal["contents", "files"]
KINDS: tuple[Kind, ...] = ("contents", "files")
#: of the fields below; another one is migrated to (migration.py)
FORMAT = "1"
#: where the parameters stand in ``_meta``
META = "photosift"
Parameters = Mapping[str, str]


def parameters_for(mode: str) -> dict[str, str]:
    return {"format": FORMAT, "mode": mode, "values": str(COMPACT)}


def alias_of(name: str, kind: Kind) -> str:
    return f"{name}-{kind}"


def numbered(name: str, kind: Kind, number: int) -> str:
    """The index behind the alias."""
    return f"{alias_of(name, kind)}-{number:06}"


def number_of(index: str) -> int:
    """The number in the name of an index; 0 where there is none."""
    last = index.rpartition("-")[2]
    return int(last) if last.isdigit() else 0


def settings_of(kind: Kind) -> dict[str, Any]:
    """One shard holds millions; a second node gets a copy. What is acknowledged is synced (I6).

    The refresh interval is explicit, or an index that nobody searches would not refresh at all.
    """
    ordered = {"sort.field": "id", "sort.order": "asc"} if kind == "files" else {}  # walks read it in this order
    return {
        "number_of_shards": 1,
        "auto_expand_replicas": "0-1",
        "refresh_interval": "5s",
        "translog.durability": "request",
        **ordered,
    }


def mappings_of(kind: Kind, parameters: Parameters) -> dict[str, Any]:
    return {"dynamic": "strict", "_meta": {META: dict(parameters)}, **(_CONTENTS if kind == "contents" else _FILES)}


def _vector(element_type: str, dims: int, similarity: str) -> dict[str, Any]:
    """Compared one by one: a graph would miss copies (ADR 12)."""
    kind = {"type": "dense_vector", "element_type": element_type, "dims": dims}
    return {**kind, "similarity": similarity, "index": True, "index_options": {"type": "flat"}}


def _searched_only(kind: str) -> dict[str, Any]:
    return {"type": kind, "doc_values": False}


_UNSEEN = {"type": "object", "enabled": False}
_CONTENTS: dict[str, Any] = {
    "_source": {"excludes": ["words", "vector", "steps", "lot"]},  # they follow from the signature
    "properties": {
        "words": _searched_only("keyword"),
        "vector": _vector("byte", COMPACT, "cosine"),
        "steps": _vector("bit", 4 * COMPACT, "l2_norm"),
        "lot": {"type": "integer", "doc_values": False},
        "signature": {"type": "binary"},
        "facts": _UNSEEN,
    },
}
_FILES: dict[str, Any] = {
    "properties": {
        "id": {"type": "keyword"},
        "root": _searched_only("keyword"),
        "state": _searched_only("keyword"),
        "sha256": _searched_only("keyword"),
        "version": {"type": "long"},
        "more": _UNSEEN,
    },
}


def made_with(mapping: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that an index was made with, from its mapping; empty for one that is not ours."""
    found: dict[str, str] = mapping.get("_meta", {}).get(META, {})
    return found


def refuse_mismatch(index: str, found: Parameters, wanted: Parameters) -> None:
    """Raises ``IndexMismatch``, with advice, where an index was made with other parameters."""
    if found == wanted:
        return
    if not found:
        raise IndexMismatch(f"{index} was not made by photosift. Choose another index_name.")
    if all(found.get(key) == wanted[key] for key in ("mode", "values")):
        raise IndexMismatch(
            f"{index} has format {found.get('format')!r}, not {wanted['format']!r}. "
            "Run: photosift migrate-index (nothing is analysed anew), or use the photosift that made it."
        )
    said = ", ".join(
        f"{key} {found.get(key)!r}, not {wanted[key]!r}" for key in wanted if found.get(key) != wanted[key]
    )
    raise IndexMismatch(
        f"{index} has {said}. Put the setting analysis.signature back, or choose another index_name "
        "to have every photo analysed anew."
    )

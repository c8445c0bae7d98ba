"""An index as image-match 1.1.2 and py-image-dedup leave it on Elasticsearch, written here in their exact shape."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from services.analyser.examining import signature_of
from tests.support.elasticsearch import for_tests

#: what py-image-dedup makes its index with; every other field Elasticsearch maps by itself
MAPPINGS = {"properties": {"path": {"type": "keyword", "ignore_above": 256}}}
WORDS, LENGTH = 63, 16


def words(signature: list[int]) -> dict[str, int]:
    """``simple_word_0`` … ``simple_word_62``."""
    padded = np.sign(np.array([*signature, *[0] * LENGTH]))
    starts = np.linspace(0, len(signature), WORDS, endpoint=False).astype(int)
    powers = 3 ** np.arange(LENGTH)
    return {f"simple_word_{n}": int((padded[at : at + LENGTH] + 1) @ powers) for n, at in enumerate(starts)}


def record(path: str, signature: list[int], metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What image-match indexes for a file; without ``metadata`` as its ``add_image`` is called alone."""
    found = {"path": path, "signature": signature, **words(signature), "timestamp": datetime.now().isoformat()}
    return {**found, "metadata": dict(metadata)} if metadata else found


def noted(path: Path, **more: Any) -> dict[str, Any]:
    """What py-image-dedup keeps of a file."""
    seen = path.stat()
    return {
        "path": str(path),
        "py-image-dedup_datamodel-version": 5,
        "filesize": seen.st_size,
        "file_modification_date": seen.st_mtime,
        "pixelcount": 307_200,
        "exif_data": {"Make": "Maker", "ExposureTime": 0.01},
        **more,
    }


@dataclass(frozen=True)
class OldIndex:
    """One on a real server."""

    url: str
    name: str

    def add(self, *records: Mapping[str, Any]) -> None:
        lines = [line for each in records for line in (json.dumps({"index": {}}), json.dumps(each))]
        said = self.ask(f"{self.name}/_bulk?refresh=true", "\n".join(lines) + "\n", kind="application/x-ndjson")
        assert not said["errors"], said

    def add_photo(self, path: Path, *, alone: bool = False, **more: Any) -> None:
        """As py-image-dedup does; ``alone``: as image-match does by itself."""
        signature = signature_of(os.fsencode(path), "exact")
        self.add({**record(str(path), signature, None if alone else noted(path)), **more})

    def everything(self) -> Any:
        """All documents with their versions: what must not change."""
        return self.ask(f"{self.name}/_search?version=true&seq_no_primary_term=true&size=1000")["hits"]["hits"]

    def ask(self, path: str, body: str | None = None, *, method: str | None = None, kind: str = "") -> Any:
        data = None if body is None else body.encode()
        request = urllib.request.Request(f"{self.url}/{path}", data=data, method=method)
        request.add_header("Content-Type", kind or "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())


@contextlib.contextmanager
def old_index() -> Iterator[OldIndex]:
    """An empty one, removed at the end."""
    old = OldIndex(for_tests().url, f"images{uuid4().hex[:12]}")
    old.ask(old.name, json.dumps({"mappings": MAPPINGS}), method="PUT")
    try:
        yield old
    finally:
        old.ask(old.name, method="DELETE")

"""The generated documents are those of today's message types, and hang together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.bus.topology import declared
from shared.messages.envelope import message_types
from shared.messages.schemas import FOLDER, PARTIES, asyncapi, documents, main, schema_of
from shared.messages.subjects import addresses_of, subject_of
from tests.support.messages import envelope_of, samples


def test_docs_messages_are_up_to_date() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert found == documents(), "run: python -m shared.messages.schemas"


def test_writing_removes_what_no_type_stands_for(tmp_path: Path) -> None:
    (tmp_path / "photosift.file.eaten.v1.json").write_text("{}")
    main(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == set(documents())


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


def resolve(reference: str, document: dict[str, Any]) -> Any:
    file, _, pointer = reference.partition("#")
    found = json.loads(documents()[file.removeprefix("./")]) if file else document
    for token in filter(None, pointer.split("/")):
        found = found[token.replace("~1", "/").replace("~0", "~")]
    return found


@pytest.mark.parametrize("name", documents())
def test_every_reference_leads_somewhere(name: str) -> None:
    document = json.loads(documents()[name])
    for reference in references(document):
        assert resolve(reference, document)


@pytest.mark.parametrize("message", samples(), ids=lambda m: m.TYPE)
def test_a_sample_has_what_its_schema_requires_and_nothing_else(message) -> None:
    schema, wire = schema_of(type(message)), envelope_of(message).model_dump(mode="json")
    assert set(schema["required"]) <= set(wire) <= set(schema["properties"])
    data = resolve(schema["properties"]["data"]["$ref"], schema)
    assert set(data["required"]) <= set(wire["data"]) <= set(data["properties"])
    assert data["additionalProperties"] is False


@pytest.mark.parametrize("message", samples(), ids=lambda m: m.TYPE)
def test_a_messages_subject_is_one_of_its_channels(message) -> None:
    channels = {c["address"] for c in asyncapi()["channels"].values()}
    patterns = [
        re.sub(r"\{\w+\}", r"[^.]+", re.escape(a).replace(r"\{", "{").replace(r"\}", "}"))
        for a in addresses_of(type(message))
    ]
    assert set(addresses_of(type(message))) <= channels
    assert any(re.fullmatch(p, subject_of(message)) for p in patterns)


def test_every_type_is_a_message_of_the_document_with_sender_and_receiver() -> None:
    document = asyncapi()
    assert set(document["components"]["messages"]) == set(message_types())
    for name, kind in message_types().items():
        senders, receivers = PARTIES[name.split(".")[1]]
        for address in addresses_of(kind):
            channel = address.replace("{", "").replace("}", "")
            for party, action in [(s, "send") for s in senders] + [(r, "receive") for r in receivers]:
                assert document["operations"][f"{party}-{action}-{channel}"]["action"] == action


def test_every_channel_is_stored_by_a_stream() -> None:
    for channel in asyncapi()["channels"].values():
        assert declared().stream_of(channel["address"])

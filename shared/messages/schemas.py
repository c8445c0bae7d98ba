"""[pure] JSON Schemas of every message and an AsyncAPI 3.0 document, made from the message types.

``python -m shared.messages.schemas`` writes them to ``docs/messages``; a test says when that was forgotten.
https://json-schema.org/draft/2020-12/schema ; https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from shared.messages.base import Message
from shared.messages.envelope import Envelope, message_types
from shared.messages.subjects import addresses_of

FOLDER = Path(__file__).parents[2] / "docs" / "messages"
CONTENT_TYPE = "application/cloudevents+json"

#: who sends and who receives, by the second word of a type; people and audit may follow all of it
PARTIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "file": (("watcher",), ("analyser",)),
    "analysis": (("analyser",), ("resolver",)),
    "decision": (("resolver",), ("person",)),
    "command": (("resolver",), ("executor",)),
    "outcome": (("executor",), ("resolver", "person")),
    "request": (("person",), ("resolver", "executor")),
    "lead": (("resolver",), ("resolver", "person")),
    "deadletter": (("analyser", "resolver", "executor"), ("person",)),
}

_PARAMETERS = {
    "partition": "0..63, from the hash of root and path: one file's messages are always in the same one.",
    "root": "From the name of the victim's root: the watcher that has the root listens there.",
    "stream": "The stream of the message that could not be handled, in lower case.",
}


def documents() -> dict[str, str]:
    """Every generated file's text by its name."""
    found = {f"{name}.json": _text(schema_of(kind)) for name, kind in message_types().items()}
    return {**found, "asyncapi.json": _text(asyncapi())}


def schema_of(kind: type[Message]) -> dict[str, Any]:
    """JSON Schema of a message in its envelope."""
    envelope = Envelope.model_json_schema(by_alias=True)
    data = kind.model_json_schema()
    definitions = {**data.pop("$defs", {}), kind.__name__: data}
    envelope["properties"]["type"] = {"const": kind.TYPE}
    envelope["properties"]["specversion"] = {"const": "1.0"}
    envelope["properties"]["data"] = {"$ref": f"#/$defs/{kind.__name__}"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{kind.TYPE}.json",
        **envelope,
        "title": kind.TYPE,
        "description": _summary(kind),
        "$defs": dict(sorted(definitions.items())),
    }


def asyncapi() -> dict[str, Any]:
    """The whole bus in one document; payloads refer to the schemas beside it."""
    kinds = message_types()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "photosift",
            "version": "1",
            "description": "What photosift's services say to each other: CloudEvents 1.0, structured, over NATS.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"bundled": {"host": "127.0.0.1", "protocol": "nats"}},
        "channels": {_channel(a): _channel_object(a, kind) for kind in kinds.values() for a in addresses_of(kind)},
        "operations": {
            name: operation for kind in kinds.values() for name, operation in sorted(_operations(kind).items())
        },
        "components": {"messages": {name: _message(kind) for name, kind in kinds.items()}},
    }


def _channel(address: str) -> str:
    return address.replace("{", "").replace("}", "")


def _channel_object(address: str, kind: type[Message]) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": address,
        "messages": {kind.TYPE: {"$ref": f"#/components/messages/{kind.TYPE}"}},
    }
    named = {n: {"description": text} for n, text in _PARAMETERS.items() if f"{{{n}}}" in address}
    return {**channel, "parameters": named} if named else channel


def _operations(kind: type[Message]) -> dict[str, Any]:
    """One for every service that sends or receives it."""
    senders, receivers = PARTIES[kind.TYPE.split(".")[1]]
    roles = [(s, "send") for s in senders] + [(r, "receive") for r in receivers]
    return {
        f"{service}-{action}-{_channel(address)}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{_channel(address)}"},
        }
        for service, action in roles
        for address in addresses_of(kind)
    }


def _message(kind: type[Message]) -> dict[str, Any]:
    return {
        "name": kind.TYPE,
        "title": kind.__name__,
        "summary": _summary(kind),
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": f"./{kind.TYPE}.json"},
    }


def _summary(kind: type[Message]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main(folder: Path = FOLDER) -> None:
    """Write what differs; remove what no message type stands for any more."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = documents()
    for stale in folder.glob("*.json"):
        if stale.name not in wanted:
            stale.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))

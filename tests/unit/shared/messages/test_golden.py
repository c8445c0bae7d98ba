"""One file for every message type: today's code writes exactly that, and reads it back.

A file is never changed: stored messages of last year look like it. A field that is added, renamed or retyped gets a
new ``TYPE``, with a file of its own. ``python -m tests.unit.shared.messages.test_golden`` writes those that are missing.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.messages.base import Message
from shared.messages.envelope import decode, encode, message_types
from tests.support.messages import envelope_of, samples

GOLDEN = Path(__file__).parents[3] / "golden"
SAMPLES = {m.TYPE: m for m in samples()}


def golden_text(message: Message) -> str:
    """Indented for reviews; field order as on the wire."""
    return json.dumps(json.loads(encode(envelope_of(message))), indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", message_types())
def test_a_message_is_written_as_its_golden_file_says(name: str) -> None:
    assert name in SAMPLES, f"add a sample of {name} to tests/support/messages.py"
    path = GOLDEN / f"{name}.json"
    assert path.exists(), f"python -m {__name__} writes the file that is missing: {path.name}"
    assert golden_text(SAMPLES[name]) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("photosift.*.json")), ids=lambda p: p.stem)
def test_a_golden_file_is_read_as_what_it_was(path: Path) -> None:
    envelope, message = decode(path.read_bytes())
    assert message == SAMPLES[path.stem]
    assert envelope == envelope_of(message)


def test_the_wire_has_no_spaces_and_no_nulls() -> None:
    for message in samples():
        wire = encode(envelope_of(message))
        assert b"null" not in wire
        assert wire == json.dumps(json.loads(wire), ensure_ascii=False, separators=(",", ":")).encode()


def main() -> None:
    for name, message in SAMPLES.items():
        path = GOLDEN / f"{name}.json"
        if not path.exists():
            path.write_text(golden_text(message), encoding="utf-8")


if __name__ == "__main__":
    main()

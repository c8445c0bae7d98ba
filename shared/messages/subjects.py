"""[pure] Where each message is published. No file name is ever in a subject: a partition at most."""

from __future__ import annotations

from shared.messages.base import Message
from shared.messages.commands import RemoveItem, TakeFile
from shared.messages.deadletters import DeadLetter
from shared.messages.files import PassFinished
from shared.messages.outcomes import RequestAnswered
from shared.paths import partition_of, root_token

#: the second word of a message's type, and the stream's word in its subject
DOMAINS = {
    "file": "fs",
    "analysis": "sig",
    "decision": "dec",
    "command": "cmd",
    "outcome": "out",
    "request": "req",
    "lead": "lead",
}
#: streams whose subjects carry the file's partition, which keeps one file's messages in order
PARTITIONED = ("fs", "sig")
#: the streams of account DATA; the others' dead letters stay in CONTROL
DATA_DOMAINS = ("fs", "sig")


def subject_of(message: Message) -> str:
    """The one subject a message may be published on (a retry has a prefix of its own, ``topology.retry_subject``)."""
    if isinstance(message, DeadLetter):
        return f"photosift.{_dead_letters_of(message.origin)}"
    if isinstance(message, PassFinished):
        return "photosift.fs.pass"
    _, word, kind, _ = message.TYPE.split(".")
    domain = DOMAINS[word]
    if domain in PARTITIONED:
        return f"photosift.{domain}.{partition_of(message.about)}.{kind}"
    if isinstance(message, TakeFile | RemoveItem):
        return f"{commands_for_root(message.root)}.{kind}"
    if isinstance(message, RequestAnswered) and message.by.startswith("resolver"):
        # S20: only executors can write below photosift.out, so whoever answers does it among what is its own
        domain = "dec"
    return f"photosift.{domain}.{kind}"


def commands_for_root(root: str) -> str:
    """Where the commands for a root's executor begin (S23); a root's name may be anything, so its hash stands there."""
    return f"photosift.cmd.{root_token(root)}"


def _dead_letters_of(origin: str) -> str:
    """In the account of the origin, named after the origin's stream."""
    domain = origin.split(".")[1]
    return f"{'dlq' if domain in DATA_DOMAINS else 'dlqc'}.{domain}"


def addresses_of(kind: type[Message]) -> tuple[str, ...]:
    """All subjects of a message type, ``{…}`` for what differs from message to message."""
    if issubclass(kind, DeadLetter):
        return ("photosift.dlq.{stream}", "photosift.dlqc.{stream}")
    if issubclass(kind, PassFinished):
        return ("photosift.fs.pass",)
    _, word, name, _ = kind.TYPE.split(".")
    domain = DOMAINS[word]
    if domain in PARTITIONED:
        return (f"photosift.{domain}.{{partition}}.{name}",)
    if issubclass(kind, TakeFile | RemoveItem):
        return (f"photosift.{domain}.{{root}}.{name}",)
    if issubclass(kind, RequestAnswered):
        return (f"photosift.{domain}.{name}", f"photosift.dec.{name}")
    return (f"photosift.{domain}.{name}",)

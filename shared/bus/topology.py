"""[pure] Streams, subjects and consumers as data. ``setup`` declares them on the server; services only bind to them.

Every stream keeps to its size and refuses what does not fit (``discard: new``: the publisher waits, nothing accepted is
lost); a janitor purges what all its consumers have acknowledged. Streams without a consumer are records for people:
they drop their oldest instead, since nobody would ever make room in them and a full one would stop the rest (S19).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.bus import names
from shared.messages.base import Message
from shared.messages.subjects import commands_for_root, subject_of
from shared.paths import PARTITIONS

MIB = 1 << 20
#: encoded; so that its dead letter, in base64, still fits a message (LONGEST_MESSAGE) and the server's 1 MiB
LONGEST_STORED = 700_000
#: the server drops a repeated message id for this long
DUPLICATE_WINDOW = 120.0
#: handed out again when nobody says anything for this long
ACK_WAIT = 60.0
#: what is stored is published again under this prefix, with its stream sequence: people and audit see that alone
STORED = "stored."


class Account(StrEnum):
    """Walls inside the server: a reply subject reaches only its own account (bus.md, traps)."""

    DATA = "DATA"
    CONTROL = "CONTROL"


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A stream, kept on disk until its consumers have acknowledged."""

    name: str
    account: Account
    #: subject filter, exactly what the stream stores
    subject: str
    max_bytes: int
    #: bytes of one message; None: the server's own limit
    max_message: int | None = LONGEST_STORED
    #: a record without consumers: full means that the oldest goes
    drops_oldest: bool = False
    #: only the last message on a subject matters
    keeps_last: bool = False


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """A durable pull consumer with explicit acknowledgements, delivering for ever."""

    name: str
    stream: str
    #: the subjects it delivers
    filters: tuple[str, ...]
    #: 1 keeps the order: the next is handed out when this one is done with
    max_ack_pending: int
    ack_wait: float
    #: where a retry is published, so that it blocks nobody (G4); None: the server delays it in place
    retry_prefix: str | None = None

    @property
    def is_ordered(self) -> bool:
        return self.max_ack_pending == 1


@dataclass(frozen=True)
class Topology:
    """Everything declared on the server."""

    streams: tuple[Stream, ...]
    consumers: tuple[Consumer, ...]

    def stream(self, name: str) -> Stream:
        """Raises ``KeyError``."""
        return {s.name: s for s in self.streams}[name]

    def consumer(self, name: str) -> Consumer:
        """Raises ``KeyError``."""
        return {c.name: c for c in self.consumers}[name]

    def family(self, prefix: str) -> tuple[Consumer, ...]:
        """The consumer of this name, or all of this prefix."""
        return tuple(c for c in self.consumers if c.name.startswith(prefix))

    def consumers_of(self, stream: str) -> tuple[Consumer, ...]:
        return tuple(c for c in self.consumers if c.stream == stream)

    def stream_of(self, subject: str) -> Stream:
        """The stream that stores a subject. Raises ``KeyError``."""
        domain = subject.split(".")[1]
        return {s.subject.split(".")[1]: s for s in self.streams}[domain]


def declared(
    *, size_factor: float = 1.0, ack_wait: float = ACK_WAIT, watchers: Mapping[str, str] | None = None
) -> Topology:
    """The topology. ``size_factor`` scales the streams' sizes (about 5 GiB at most), ``ack_wait`` is in seconds.

    ``watchers``: which watcher has a root, by the root's name; where all belong to one that has no name, it is the
    executor for whatever is asked.
    """
    consumers = (*_consumers(ack_wait), *_executors(ack_wait, watchers or {}))
    return Topology(tuple(_streams(size_factor)), consumers)


def _streams(factor: float) -> Iterator[Stream]:
    def size(mib: int) -> int:
        return int(mib * MIB * factor)

    data, control = Account.DATA, Account.CONTROL
    yield Stream(name="FS", account=data, subject=names.SUBJECT_FS, max_bytes=size(1024))
    yield Stream(name="SIG", account=data, subject=names.SUBJECT_SIG, max_bytes=size(1024))
    yield Stream(name="DEC", account=control, subject=names.SUBJECT_DEC, max_bytes=size(1024), drops_oldest=True)
    yield Stream(name="REQ", account=control, subject=names.SUBJECT_REQ, max_bytes=size(64))
    yield Stream(name="CMD", account=control, subject=names.SUBJECT_CMD, max_bytes=size(512))
    yield Stream(name="OUT", account=control, subject=names.SUBJECT_OUT, max_bytes=size(512))
    lead = names.SUBJECT_LEAD
    yield Stream(name="LEAD", account=control, subject=lead, max_bytes=size(16), drops_oldest=True, keeps_last=True)
    for name, account in (("DLQ", data), ("DLQC", control)):
        yield Stream(
            name=name,
            account=account,
            subject=f"photosift.{name.lower()}.>",
            max_bytes=size(256),
            max_message=None,
            drops_oldest=True,
        )


def _consumers(ack_wait: float) -> Iterator[Consumer]:
    retry = "photosift.fs.retry"
    for n in range(PARTITIONS):
        yield Consumer(
            name=f"{names.ANALYSER_FS}{n}",
            stream="FS",
            filters=(f"photosift.fs.{n}.*",),
            max_ack_pending=1,
            ack_wait=ack_wait,
            retry_prefix=retry,
        )
    yield Consumer(
        name=names.ANALYSER_FS_RETRY,
        stream="FS",
        filters=(f"{retry}.>",),
        max_ack_pending=1,
        ack_wait=ack_wait,
        retry_prefix=retry,
    )
    for name, stream, subject, at_once in (
        (names.RESOLVER_SIG, "SIG", names.SUBJECT_SIG, 1024),
        (names.RESOLVER_OUT, "OUT", names.SUBJECT_OUT, 1024),
        (names.RESOLVER_REQ, "REQ", names.SUBJECT_REQ, 64),
    ):
        yield Consumer(name=name, stream=stream, filters=(subject,), max_ack_pending=at_once, ack_wait=ack_wait)


def _executors(ack_wait: float, watchers: Mapping[str, str]) -> Iterator[Consumer]:
    """Each watcher is asked about its own roots alone (S23); what people request is heard by every one."""
    for watcher in sorted({*watchers.values()} or {""}):
        roots = sorted(root for root, its in watchers.items() if its == watcher)
        alone = not any(watchers.values())
        asked = (names.SUBJECT_CMD,) if alone else tuple(f"{commands_for_root(root)}.>" for root in roots)
        for consumer, stream, filters in (
            (names.EXECUTOR_CMD, "CMD", asked),
            (names.EXECUTOR_REQ, "REQ", (names.SUBJECT_REQ,)),
        ):
            name = names.of_watcher(consumer, watcher)
            yield Consumer(name=name, stream=stream, filters=filters, max_ack_pending=64, ack_wait=ack_wait)


_RETRIED = re.compile(r"^(photosift\.fs)\.retry\.")


def retry_subject(consumer: Consumer, message: Message) -> str:
    """Where a retried message of an ordered consumer goes: same tokens, beside its partition (G4)."""
    assert consumer.retry_prefix is not None, consumer.name
    return f"{consumer.retry_prefix}.{subject_of(message).removeprefix('photosift.fs.')}"


def belongs(subject: str, message: Message) -> bool:
    """Whether a message may stand on this subject.

    One that does not was put there by a detour (a reply subject), not by who may publish it (S20).
    """
    return _RETRIED.sub(r"\1.", subject) == subject_of(message)

"""Who may do what on the server (S20), and the nats-server configuration that says so.

Three walls. Accounts: what is published in one, by whatever detour (a pull's reply subject is checked by no
permission), cannot appear in another; people and audit only see one-way copies of what was stored. Permissions: every
user has an allow list for both directions. Types: a consumer dead-letters what does not belong on its subject.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shared.bus import names
from shared.bus.topology import STORED, Account, Topology
from shared.secretfiles import new_password

PEOPLE = "PEOPLE"
AUDIT = "AUDIT"

Sync = Literal["always", "fast"]


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A user and all that it may do. Nothing else is allowed."""

    user: str
    account: str
    #: subjects it may publish
    publishes: tuple[str, ...] = ()
    #: names of the consumers it may pull from and acknowledge; a family ends with "-"
    consumes: tuple[str, ...] = ()
    #: streams of whose consumers it may use any but those that are another user's: how many watchers there are, and
    #: what they are called, is no matter of the server's configuration
    consumes_of: tuple[str, ...] = ()
    #: streams whose state and consumers it may read
    reads: tuple[str, ...] = ()
    #: streams whose messages it may read again
    fetches: tuple[str, ...] = ()
    #: subjects it may follow, besides its own inbox
    follows: tuple[str, ...] = ()
    #: may declare and purge the account's streams and consumers
    declares: bool = False


_DATA, _CONTROL = Account.DATA.value, Account.CONTROL.value

GRANTS: tuple[Grant, ...] = (
    Grant(user="watcher", account=_DATA, publishes=(names.SUBJECT_FS,), reads=("FS",)),
    Grant(
        user="analyser",
        account=_DATA,
        publishes=(names.SUBJECT_SIG, "photosift.fs.retry.>", "photosift.dlq.fs"),
        consumes=(names.ANALYSER_FS,),
        reads=("FS",),
    ),
    Grant(
        user="resolver-data",
        account=_DATA,
        publishes=("photosift.dlq.sig",),
        consumes=(names.RESOLVER_SIG,),
        reads=("SIG",),
    ),
    Grant(
        user="resolver",
        account=_CONTROL,
        publishes=(
            *(names.SUBJECT_DEC, names.SUBJECT_CMD, names.SUBJECT_LEAD),
            *("photosift.dlqc.out", "photosift.dlqc.req"),
        ),
        consumes=(names.RESOLVER_OUT, names.RESOLVER_REQ),
        reads=("DEC", "CMD", "OUT", "REQ"),
        fetches=("DEC", "CMD", "OUT", "REQ", "LEAD"),
    ),
    Grant(
        user="executor",
        account=_CONTROL,
        publishes=(names.SUBJECT_OUT, "photosift.dlqc.cmd", "photosift.dlqc.req"),
        consumes=(names.EXECUTOR_CMD, names.EXECUTOR_REQ),
        consumes_of=("CMD", "REQ"),
        reads=("CMD", "REQ"),
    ),
    Grant(user="setup-data", account=_DATA, declares=True),
    Grant(user="setup-control", account=_CONTROL, declares=True),
    Grant(user="person", account=PEOPLE, publishes=(names.SUBJECT_REQ,), follows=("photosift.>",)),
    Grant(user="audit", account=AUDIT, follows=("photosift.>",)),
)

#: the users behind each service's connections
SERVICE_USERS: Mapping[str, tuple[str, ...]] = {
    "watcher": ("watcher", "executor"),
    "analyser": ("analyser",),
    "resolver": ("resolver-data", "resolver"),
    "person": ("person",),
    "audit": ("audit",),
    "steward": ("setup-data", "setup-control"),
}


@dataclass(frozen=True)
class Credential:
    """A user's name and password; the password is in no representation (S21)."""

    user: str
    password: str

    @property
    def is_anonymous(self) -> bool:
        """For a server without accounts, which fences nothing: the composition root then only proposes (S20)."""
        return not self.password

    def __repr__(self) -> str:
        return f"Credential({self.user!r}, …)"


def grant_of(user: str) -> Grant:
    """Raises ``KeyError``."""
    return {g.user: g for g in GRANTS}[user]


def inbox_prefix(user: str) -> str:
    """Each user has replies of its own: nobody listens to another's."""
    return f"_INBOX_{user}"


def new_credentials() -> dict[str, Credential]:
    """A fresh random password for every user."""
    return {g.user: Credential(g.user, new_password()) for g in GRANTS}


def may_publish(grant: Grant, subject: str) -> bool:
    """Whether the server will let this user publish there."""
    return any(covers(allowed, subject) for allowed in grant.publishes)


def covers(pattern: str, subject: str) -> bool:
    """NATS' subject matching: ``*`` is one token, ``>`` one or more at the end."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


def permissions(grant: Grant, topology: Topology) -> dict[str, list[str]]:
    """Allow lists for ``publish`` and ``subscribe``, as short as the user's work lets them be; see ``refusals``."""
    publish = [*grant.publishes, *_api(grant, topology)]
    # whoever never asks the server for anything gets no inbox
    inbox = [f"{inbox_prefix(grant.user)}.>"] if publish else []
    return {"publish": publish, "subscribe": [*inbox, *grant.follows]}


def refusals(grant: Grant, topology: Topology) -> list[str]:
    """What it may not publish although its allow list covers it: the consumers that are another user's."""
    others = {family for other in GRANTS if other.user != grant.user for family in other.consumes}
    return [
        subject
        for stream in grant.consumes_of
        for consumer in topology.consumers_of(stream)
        if any(consumer.name.startswith(family) for family in others)
        for subject in _use_of(stream, consumer.name)
    ]


def _use_of(stream: str, consumer: str) -> Iterator[str]:
    yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
    yield f"$JS.ACK.{stream}.{consumer}.>"


def _api(grant: Grant, topology: Topology) -> Iterator[str]:
    for stream in grant.consumes_of:
        yield from _use_of(stream, "*")
    for family in () if grant.consumes_of else grant.consumes:
        for consumer in topology.family(family):
            yield from _use_of(consumer.stream, consumer.name)
    for stream in grant.reads:
        yield f"$JS.API.STREAM.INFO.{stream}"
        yield f"$JS.API.CONSUMER.LIST.{stream}"
    for stream in grant.fetches:
        yield f"$JS.API.STREAM.MSG.GET.{stream}"
    if grant.declares:
        for declared in (s.name for s in topology.streams if s.account.value == grant.account):
            for verb in ("CREATE", "UPDATE", "INFO", "PURGE"):
                yield f"$JS.API.STREAM.{verb}.{declared}"
            yield f"$JS.API.CONSUMER.LIST.{declared}"
            yield f"$JS.API.CONSUMER.CREATE.{declared}.>"


def configuration(
    credentials: Mapping[str, Credential],
    topology: Topology,
    *,
    store: Path,
    listen: str = "127.0.0.1:-1",
    sync: Sync = "always",
) -> str:
    """The configuration file of a nats-server for photosift, as JSON (which nats-server reads as its own language).

    ``store`` is where JetStream keeps its files; port -1 in ``listen`` is a free one, which the server's log names.
    """
    found = server_settings(credentials, topology, store=store, listen=listen, sync=sync)
    return json.dumps(found, indent=1)


def server_settings(
    credentials: Mapping[str, Credential], topology: Topology, *, store: Path | None, listen: str, sync: Sync
) -> dict[str, Any]:
    """The server's settings by name, as ``configuration`` writes them; without ``store`` its command line names one."""
    jetstream: dict[str, Any] = {
        **({"store_dir": str(store)} if store else {}),
        "max_memory_store": 16 << 20,
        # the streams' sizes are reserved when they are declared; room to enlarge them later
        "max_file_store": 2 * sum(s.max_bytes for s in topology.streams),
    }
    if sync == "always":
        jetstream["sync_interval"] = "always"
    return {
        "server_name": "photosift",
        "listen": listen,
        "max_payload": 1 << 20,
        "jetstream": jetstream,
        "accounts": _accounts(credentials, topology),
    }


def _accounts(credentials: Mapping[str, Credential], topology: Topology) -> dict[str, Any]:
    # each account shows its own streams: a detour in DATA is not seen as a command by those who follow
    copies = [
        {"stream": {"account": s.account.value, "subject": f"{STORED}{s.subject}"}, "to": s.subject}
        for s in topology.streams
    ]
    ask = names.SUBJECT_REQ
    accounts: dict[str, dict[str, Any]] = {
        _DATA: {"jetstream": "enabled", "exports": _shown(Account.DATA, topology)},
        _CONTROL: {
            "jetstream": "enabled",
            "exports": [*_shown(Account.CONTROL, topology), {"service": ask, "accounts": [PEOPLE]}],
        },
        PEOPLE: {"imports": [*copies, {"service": {"account": _CONTROL, "subject": ask}}]},
        AUDIT: {"imports": copies},
    }
    for name, account in accounts.items():
        grants = [g for g in GRANTS if g.account == name]
        account["users"] = [_user(g, credentials[g.user], topology) for g in grants]
    return accounts


def _shown(account: Account, topology: Topology) -> list[dict[str, Any]]:
    streams = (s for s in topology.streams if s.account is account)
    return [{"stream": f"{STORED}{s.subject}", "accounts": [PEOPLE, AUDIT]} for s in streams]


def _user(grant: Grant, credential: Credential, topology: Topology) -> dict[str, Any]:
    allowed, refused = permissions(grant, topology), refusals(grant, topology)
    said: dict[str, dict[str, Any]] = {
        way: {"allow": subjects} if subjects else {"deny": ">"} for way, subjects in allowed.items()
    }
    if refused:
        said["publish"]["deny"] = refused
    return {"user": credential.user, "password": credential.password, "permissions": said}

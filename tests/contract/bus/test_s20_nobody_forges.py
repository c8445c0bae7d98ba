"""S20: only the resolver gets a command onto the bus, only an executor an outcome; enforced by the server.

By the bundled one and by those that a deployment starts from deploy/nats, with and without TLS.

Everything here speaks raw NATS with a service's own password: what a service's own code would refuse proves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.bus.accounts import GRANTS, Credential, inbox_prefix
from shared.bus.consuming import work_through
from shared.bus.jetstream import Steward, connect
from shared.bus.names import EXECUTOR_CMD, RESOLVER_OUT
from shared.bus.port import Delivery, NotPermitted
from shared.messages.envelope import encode
from shared.messages.subjects import subject_of
from tests.support.bus import RunningBus, running_bus
from tests.support.deployed import deployed_bus
from tests.support.messages import confirm, done, due, envelope_of, removal_done, remove, settled, take

COMMAND = encode(envelope_of(take()))
OUTCOME = encode(envelope_of(done()))
FORGERIES = {
    subject_of(take()): COMMAND,
    subject_of(remove()): encode(envelope_of(remove())),
    "photosift.out.command-done": OUTCOME,
    "photosift.out.item-due": encode(envelope_of(due())),
    "photosift.out.removal-done": encode(envelope_of(removal_done())),
}

STRANGERS = ("watcher", "analyser", "resolver-data", "person", "audit")
#: every consumer there is, as whoever forges would try them
PULLS = ("FS.analyser-fs-retry", "SIG.resolver-sig", "CMD.executor-cmd", "OUT.resolver-out", "REQ.executor-req")


@pytest.fixture(params=["bundled", "deployed", "deployed with TLS"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningBus]:
    if request.param == "bundled":
        async with running_bus(tmp_path, ack_wait=2.0) as running:
            yield running
    else:
        async with deployed_bus(tmp_path, tls=request.param != "deployed") as running:
            yield running


def secured(bus: RunningBus) -> dict[str, Any]:
    """What a plain client needs to be told where there is TLS."""
    return {"tls": bus.where.context(), "tls_handshake_first": True} if bus.where.is_encrypted else {}


@contextlib.asynccontextmanager
async def raw(bus: RunningBus, user: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A plain connection, and the complaints that the server made about it."""
    complaints: list[str] = []

    async def complain(error: Exception) -> None:
        complaints.append(str(error))

    client = await nats.connect(
        bus.url,
        user=user,
        password=bus.credentials[user].password,
        inbox_prefix=inbox_prefix(user),
        error_cb=complain,
        allow_reconnect=False,
        **secured(bus),
    )
    try:
        yield client, complaints
    finally:
        await client.close()


async def carried_out(client: Client) -> None:
    """The server has taken everything. Twice: nats-py writes a PING past what it has buffered."""
    for _ in range(2):
        await client.flush()


async def stored(steward: Steward) -> dict[str, int]:
    """How many messages the two guarded streams have ever stored."""
    return {stream: await steward.last_seq(stream) for stream in ("CMD", "OUT")}


@pytest.mark.parametrize("user", STRANGERS)
@pytest.mark.parametrize("subject", FORGERIES)
async def test_s20_a_forged_message_is_refused_by_the_server(bus: RunningBus, user: str, subject: str) -> None:
    steward = await bus.steward()
    async with raw(bus, user) as (client, complaints):
        await client.publish(subject, FORGERIES[subject])
        await carried_out(client)
        assert any("permissions violation" in c.lower() and subject in c for c in complaints)
    assert await stored(steward) == {"CMD": 0, "OUT": 0}


@pytest.mark.parametrize(
    ("user", "subject"),
    [("resolver" if ".out." in subject else "executor", subject) for subject in FORGERIES],
)
async def test_s20_resolver_and_executor_do_not_speak_for_each_other(bus: RunningBus, user: str, subject: str) -> None:
    steward = await bus.steward()
    async with raw(bus, user) as (client, complaints):
        await client.publish(subject, FORGERIES[subject])
        await carried_out(client)
        assert complaints
    assert await stored(steward) == {"CMD": 0, "OUT": 0}


@pytest.mark.parametrize("user", STRANGERS)
@pytest.mark.parametrize("subject", FORGERIES)
async def test_s20_a_pull_whose_reply_is_a_guarded_subject_stores_nothing(
    bus: RunningBus, user: str, subject: str
) -> None:
    """The trap: permissions do not cover reply subjects, so whoever pulls has the server publish for them."""
    await lay_out_forgeries(bus)
    steward = await bus.steward()
    async with raw(bus, user) as (client, _):
        for pull in PULLS:
            await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{pull}", b'{"batch":10,"no_wait":true}', reply=subject)
        await carried_out(client)
    await nothing_more_under_way(steward)
    assert await stored(steward) == {"CMD": 0, "OUT": 0}


@pytest.mark.parametrize("user", ["watcher", "analyser", "audit"])
@pytest.mark.parametrize("subject", FORGERIES)
async def test_s20_nothing_forged_comes_in_through_an_import(bus: RunningBus, user: str, subject: str) -> None:
    """Accounts meet in exports and imports alone: copies of what was stored, and the people's requests.

    The headers are those by which a follower knows a stored message, so that only the server's walls are tried.
    """
    steward, person = await bus.steward(), await bus.connect("person")
    following = await person.following("photosift.cmd.>", "photosift.out.>")
    headers = {"Nats-Stream": "CMD", "Nats-Sequence": "1"}
    async with raw(bus, user) as (client, complaints):
        for door in (f"stored.{subject}", subject, "photosift.req.confirm"):
            await client.publish(door, FORGERIES[subject], headers=headers)
        await carried_out(client)
        assert len(complaints) == 3
    await nothing_more_under_way(steward)
    await heard_first(bus, following)
    assert await stored(steward) == {"CMD": 0, "OUT": 1}


@pytest.mark.parametrize("subject", FORGERIES)
async def test_s20_a_pull_whose_reply_is_the_subject_of_a_copy_is_seen_by_nobody(bus: RunningBus, subject: str) -> None:
    """Reply subjects are checked by no permission, and headers of the forger's choice come along."""
    steward, executor = await bus.steward(), await bus.connect("watcher")
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def see(message: Msg) -> None:
        seen.put_nowait((message.headers or {}).get("Nats-Stream", ""))

    async with raw(bus, "audit") as (audit, _), raw(bus, "analyser") as (client, complaints):
        await audit.subscribe("photosift.>", cb=see)
        await carried_out(audit)
        headers = {"Nats-Stream": "forged", "Nats-Sequence": "1"}
        await client.request("photosift.fs.retry.0.settled", FORGERIES[subject], headers=headers, timeout=5)
        pull = "$JS.API.CONSUMER.MSG.NEXT.FS.analyser-fs-retry"
        await client.publish(pull, b'{"batch":1,"no_wait":true}', reply=f"stored.{subject}")
        await carried_out(client)
        assert not complaints
        await nothing_more_under_way(steward)
        await executor.publish(done())
        async with asyncio.timeout(10):
            assert [await seen.get(), await seen.get()] == ["FS", "OUT"]


async def heard_first(bus: RunningBus, following: AsyncIterator[Any]) -> None:
    """What the follower hears first is an executor's real outcome, published after the forgeries."""
    executor = await bus.connect("watcher")
    await executor.publish(done("a-real-one"))
    async with asyncio.timeout(10):
        _, message = await anext(following)
    assert message == done("a-real-one")


async def test_s20_the_trap_works_inside_one_account_so_the_tests_above_can_fail(bus: RunningBus) -> None:
    """The analyser's pull does write into its own account: accounts, not permissions, are what holds it there."""
    await lay_out_forgeries(bus)
    steward = await bus.steward()
    async with raw(bus, "analyser") as (client, complaints):
        pull = "$JS.API.CONSUMER.MSG.NEXT.FS.analyser-fs-retry"
        await client.publish(pull, b'{"batch":1,"no_wait":true}', reply="photosift.sig.7.analysed")
        await carried_out(client)
        async with asyncio.timeout(10):
            while await steward.last_seq("SIG") == 0:  # noqa: ASYNC110  the server has no event for it
                await asyncio.sleep(0.01)
        assert not complaints


async def lay_out_forgeries(bus: RunningBus) -> None:
    """Put forgeries where the strangers may put them: as payloads in their own streams and in the requests."""
    for user, subject in (
        ("watcher", "photosift.fs.retry.0.settled"),
        ("analyser", "photosift.sig.0.analysed"),
        ("person", "photosift.req.confirm"),
    ):
        async with raw(bus, user) as (client, _):
            for payload in FORGERIES.values():
                await client.request(subject, payload, timeout=5)


async def nothing_more_under_way(steward: Steward) -> None:
    """Two round trips through both accounts: what was asked before them has been carried out."""
    for _ in range(2):
        for stream in ("FS", "SIG", "CMD", "OUT"):
            await steward.last_seq(stream)


@pytest.mark.parametrize("subject", FORGERIES)
async def test_s20_a_request_whose_reply_is_a_guarded_subject_stores_nothing(bus: RunningBus, subject: str) -> None:
    """The person's one way into CONTROL: the answer to it comes back to PEOPLE, whatever reply it names."""
    steward = await bus.steward()
    async with raw(bus, "person") as (client, _):
        for payload in (FORGERIES[subject], encode(envelope_of(confirm()))):
            await client.publish("photosift.req.confirm", payload, reply=subject)
        await carried_out(client)
        async with asyncio.timeout(10):
            while await steward.last_seq("REQ") < 2:  # noqa: ASYNC110  the server has no event for it
                await asyncio.sleep(0.01)
    await nothing_more_under_way(steward)
    assert await stored(steward) == {"CMD": 0, "OUT": 0}


@pytest.mark.parametrize("user", STRANGERS)
@pytest.mark.parametrize("header", ["Nats-Trace-Dest", "Nats-Schedule-Target", "Nats-Rollup"])
async def test_s20_no_header_makes_the_server_publish_a_guarded_subject(
    bus: RunningBus, user: str, header: str
) -> None:
    allowed = {"watcher": "photosift.fs.0.settled", "analyser": "photosift.sig.0.analysed"}
    subject = allowed.get(user, "photosift.req.confirm")
    steward = await bus.steward()
    async with raw(bus, user) as (client, _):
        headers = {header: "photosift.cmd.take", "Nats-Schedule": "@at 2000-01-01T00:00:00Z"}
        await client.publish(subject, COMMAND, headers=headers)
        await carried_out(client)
    await nothing_more_under_way(steward)
    assert await stored(steward) == {"CMD": 0, "OUT": 0}


@pytest.mark.parametrize("user", ["person", "audit"])
async def test_s20_people_cannot_speak_to_jetstream(bus: RunningBus, user: str) -> None:
    async with raw(bus, user) as (client, complaints):
        for call in ("INFO", "STREAM.INFO.CMD", "STREAM.CREATE.EVIL", "CONSUMER.MSG.NEXT.REQ.executor-req"):
            await client.publish(f"$JS.API.{call}", b"{}", reply=f"{inbox_prefix(user)}.x")
        await carried_out(client)
        assert len(complaints) == 4


async def test_s20_an_executor_takes_from_any_watchers_consumers_and_not_from_the_resolvers(bus: RunningBus) -> None:
    """Watchers are named by the settings, the server's permissions are not: they leave out what is somebody else's."""
    async with raw(bus, "executor") as (client, complaints):
        for consumer in ("CMD.executor-cmd-attic", "REQ.executor-req-attic"):
            await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{consumer}", b"{}", reply=f"{inbox_prefix('executor')}.x")
        await carried_out(client)
        assert not complaints
        for subject in ("$JS.API.CONSUMER.MSG.NEXT.REQ.resolver-req", "$JS.ACK.REQ.resolver-req.1.1.1.0.0"):
            await client.publish(subject, b"{}", reply=f"{inbox_prefix('executor')}.x")
        await carried_out(client)
        assert len(complaints) == 2


@pytest.mark.parametrize("user", [g.user for g in GRANTS if not g.declares])
async def test_s20_nobody_but_the_steward_declares_or_purges(bus: RunningBus, user: str) -> None:
    """A consumer of one's own would deliver to a subject of one's own; a purge would lose what was accepted."""
    calls = {
        "CONSUMER.CREATE.CMD.evil": {"stream_name": "CMD", "config": {"deliver_subject": "photosift.out.x"}},
        "STREAM.CREATE.EVIL": {"name": "EVIL", "subjects": ["evil"], "sources": [{"name": "CMD"}]},
        "STREAM.UPDATE.CMD": {"name": "CMD", "subjects": ["photosift.>"]},
        "STREAM.PURGE.FS": {},
        "STREAM.DELETE.FS": {},
        "STREAM.MSG.DELETE.FS": {"seq": 1},
    }
    async with raw(bus, user) as (client, complaints):
        for call, request in calls.items():
            await client.publish(f"$JS.API.{call}", json.dumps(request).encode())
        await carried_out(client)
        assert len(complaints) == len(calls)


async def test_s20_nobody_listens_to_anothers_answers(bus: RunningBus) -> None:
    async with raw(bus, "analyser") as (client, complaints):
        await client.subscribe("_INBOX_watcher.>")
        await client.subscribe(">")
        await carried_out(client)
        assert len(complaints) == 2


async def test_s20_without_a_password_there_is_no_connection(bus: RunningBus) -> None:
    wrong = ({}, {"user": "resolver", "password": "x"}, {"user": "resolver", "password": ""})
    for options in wrong:
        client = Client()
        with pytest.raises(nats.errors.Error):
            await client.connect(bus.url, allow_reconnect=False, error_cb=quiet, **options, **secured(bus))
        await client.close()


async def test_s20_a_wrong_password_is_said_at_once(bus: RunningBus) -> None:
    wrong = {user: Credential(user, "wrong") for user in bus.credentials}
    async with asyncio.timeout(5):
        with pytest.raises(NotPermitted):
            await connect(bus.where, wrong, service="person")


async def quiet(_error: Exception) -> None:
    """The error is raised as well."""


async def test_s20_what_the_resolver_commands_and_the_executor_answers_arrives(bus: RunningBus) -> None:
    """The positive control: the same messages, from those who may."""
    resolver, executor = await bus.connect("resolver"), await bus.connect("watcher")
    heard: list[str] = []
    stop = asyncio.Event()

    async def act(delivery: Delivery) -> None:
        heard.append(delivery.message.message_id)
        await executor.publish(done(), cause=delivery.envelope)

    async def learn(delivery: Delivery) -> None:
        heard.append(delivery.message.message_id)
        stop.set()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(work_through(executor, EXECUTOR_CMD, act, stop=stop))
        group.create_task(work_through(resolver, RESOLVER_OUT, learn, stop=stop))
        await resolver.publish(take())
    assert heard == [take().message_id, done().message_id]


async def test_s20_a_message_on_a_subject_of_another_kind_is_dead_lettered(bus: RunningBus) -> None:
    """The last wall: even inside an account a detour only yields what its consumers refuse."""
    watcher, analyser = await bus.connect("watcher"), await bus.connect("analyser")
    person = await bus.connect("person")
    letters = await person.following("photosift.dlq.>")
    async with raw(bus, "watcher") as (client, _):
        await client.request("photosift.fs.retry.0.settled", COMMAND, timeout=5)
    stop, seen = asyncio.Event(), []

    async def see(delivery: Delivery) -> None:
        seen.append(delivery)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(work_through(analyser, "analyser-fs-retry", see, stop=stop))
        _, letter = await anext(letters)
        stop.set()
    assert (letter.reason, letter.origin) == ("message-rejected", "photosift.fs.retry.0.settled")
    assert seen == []
    await watcher.publish(settled())

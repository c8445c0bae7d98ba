"""S20, S21: who may do what, as data. What the server makes of it is tried in tests/contract/bus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.accounts import (
    GRANTS,
    PEOPLE,
    SERVICE_USERS,
    Credential,
    configuration,
    covers,
    grant_of,
    may_publish,
    new_credentials,
    permissions,
    refusals,
)
from shared.bus.passwords import read_credentials, write_credentials
from shared.bus.topology import Account, declared
from shared.errors import UsageError

TOPOLOGY = declared()
tokens = st.lists(st.sampled_from("abc"), min_size=1, max_size=4)


def config() -> dict:
    return json.loads(configuration(new_credentials(), TOPOLOGY, store=Path("/state/js")))


@pytest.mark.parametrize(("subject", "owner"), [("photosift.cmd.take", "resolver"), ("photosift.out.x", "executor")])
def test_s20_a_guarded_subject_has_one_publisher(subject: str, owner: str) -> None:
    allowed = {g.user for g in GRANTS for pattern in permissions(g, TOPOLOGY)["publish"] if covers(pattern, subject)}
    assert allowed == {owner}


def test_s20_whoever_may_pull_in_control_is_a_service_of_control() -> None:
    """Whoever pulls can write stored payloads anywhere inside the account."""
    for grant in GRANTS:
        pulls = [p for p in permissions(grant, TOPOLOGY)["publish"] if "MSG.NEXT" in p]
        assert bool(pulls) == (grant.user in ("analyser", "resolver-data", "resolver", "executor"))


def test_s20_people_have_no_door_but_requests() -> None:
    imports = config()["accounts"][PEOPLE]["imports"]
    services = [i["service"] for i in imports if "service" in i]
    assert services == [{"account": "CONTROL", "subject": "photosift.req.>"}]
    assert permissions(grant_of("person"), TOPOLOGY)["publish"] == ["photosift.req.>"]


def test_s20_data_exports_copies_and_nothing_else() -> None:
    accounts = config()["accounts"]
    assert accounts["DATA"].get("imports") is None
    assert accounts["CONTROL"].get("imports") is None
    assert [list(e) for e in accounts["DATA"]["exports"]] == [["stream", "accounts"]] * 3


def test_s20_data_shows_nobody_a_command() -> None:
    """Whoever pulls in DATA can put stored payloads on any subject there, also on those of the copies."""
    for account in ("PEOPLE", "AUDIT"):
        imports = [i["stream"] for i in config()["accounts"][account]["imports"] if "stream" in i]
        shown = {i["subject"] for i in imports if i["account"] == "DATA"}
        assert shown == {"stored.photosift.fs.>", "stored.photosift.sig.>", "stored.photosift.dlq.>"}


def test_s20_no_user_may_publish_copies_everything_or_system_subjects() -> None:
    for grant in GRANTS:
        for pattern in permissions(grant, TOPOLOGY)["publish"]:
            assert pattern.startswith(("photosift.", "$JS.API.", "$JS.ACK."))
            assert pattern.split(".")[1] not in (">", "*")
            assert not covers(pattern, "photosift.anything.else")


def test_s20_nobody_reads_anothers_inbox_and_audit_has_none() -> None:
    for grant in GRANTS:
        inboxes = [s for s in permissions(grant, TOPOLOGY)["subscribe"] if s.startswith("_INBOX")]
        assert inboxes == ([] if grant.user == "audit" else [f"_INBOX_{grant.user}.>"])
    users = {u["user"]: u for a in config()["accounts"].values() for u in a["users"]}
    assert users["audit"]["permissions"] == {"publish": {"deny": ">"}, "subscribe": {"allow": ["photosift.>"]}}


def test_every_user_is_in_the_configuration_once() -> None:
    users = [u["user"] for a in config()["accounts"].values() for u in a["users"]]
    assert sorted(users) == sorted(g.user for g in GRANTS)
    assert {u for service in SERVICE_USERS.values() for u in service} == set(users)


def test_every_consumer_has_exactly_one_user() -> None:
    for consumer in TOPOLOGY.consumers:
        pull = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
        users = [g.user for g in GRANTS if any(covers(p, pull) for p in permissions(g, TOPOLOGY)["publish"])]
        users = [user for user in users if pull not in refusals(grant_of(user), TOPOLOGY)]
        assert len(users) == 1, consumer.name
        assert grant_of(users[0]).account == TOPOLOGY.stream(consumer.stream).account.value


def test_every_publisher_is_in_the_account_of_its_stream() -> None:
    """Or is a person, whose requests go through the one service import."""
    for grant in GRANTS:
        for subject in grant.publishes:
            account = TOPOLOGY.stream_of(subject).account
            assert grant.account == account.value or (grant.account == PEOPLE and account == Account.CONTROL)


def test_every_message_is_fsynced_unless_fast_is_asked_for() -> None:
    always = config()["jetstream"]
    fast = json.loads(configuration(new_credentials(), TOPOLOGY, store=Path("/js"), sync="fast"))["jetstream"]
    assert (always["sync_interval"], fast.get("sync_interval")) == ("always", None)


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("a.*.c", "a.b.c", True),
        ("a.b", "a.c", False),
        ("a.b", "ab", False),
    ],
)
def test_subjects_match_as_in_nats(pattern: str, subject: str, expected: bool) -> None:
    assert covers(pattern, subject) is expected


@given(tokens, tokens)
def test_plain_subjects_match_themselves_alone(a: list[str], b: list[str]) -> None:
    assert covers(".".join(a), ".".join(b)) == (a == b)


@given(tokens, st.integers(0, 3))
def test_a_wildcard_matches_what_it_was_made_from(subject: list[str], place: int) -> None:
    starred = [("*" if i == place else token) for i, token in enumerate(subject)]
    assert covers(".".join(starred), ".".join(subject))


def test_what_a_user_may_publish_is_what_its_grant_says() -> None:
    assert may_publish(grant_of("watcher"), "photosift.fs.3.settled")
    assert not may_publish(grant_of("watcher"), "photosift.fs")
    assert not may_publish(grant_of("analyser"), "photosift.fs.3.settled")


def test_s21_passwords_are_strong_private_and_unspoken(tmp_path: Path) -> None:
    credentials = new_credentials()
    assert "…" in repr(credentials["watcher"])
    assert credentials["watcher"].password not in repr(credentials)
    write_credentials(tmp_path, "nats://x:1", credentials)
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert read_credentials(tmp_path) == ("nats://x:1", credentials)
    write_credentials(tmp_path, "nats://x:2", credentials)
    assert [p.name for p in tmp_path.iterdir()] == ["credentials.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"url":1}', '{"url":"x","users":[]}', '{"url":"x","users":{}}', "\xff"]
)
def test_a_broken_file_is_a_usage_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError):
        read_credentials(tmp_path)


def test_an_empty_or_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError):
            read_credentials(folder)


def test_an_anonymous_credential_has_no_password() -> None:
    assert Credential("watcher", "").is_anonymous
    assert not new_credentials()["watcher"].is_anonymous

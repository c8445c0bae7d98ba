"""A command is all it takes, and nothing happens without one: published by hand, as the resolver's user, while ``run`` runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import nats
import pytest

from shared.bus.accounts import inbox_prefix
from shared.bus.passwords import read_credentials
from shared.clock import SystemClock, utc
from shared.messages.base import FileRef
from shared.messages.commands import Evidence, TakeFile
from shared.messages.envelope import decode, encode, wrap
from shared.messages.subjects import subject_of
from tests.support.overhearing import Event, Overheard, Watched, tiny, watched, write
from tests.support.program import files_below

pytestmark = pytest.mark.timeout(300)

DAY = 86_400.0


async def test_s8_s20_a_command_published_as_the_resolvers_user_is_executed_and_without_it_nothing_is(
    tmp_path: Path,
) -> None:
    """The executor may act at once, the resolver never asks: the two differ by more time than its settings allow."""
    target = tmp_path / "Duplicates"
    async with watched(
        tmp_path,
        PHOTOSIFT_ACTION="move",
        PHOTOSIFT_TARGET=str(target),
        PHOTOSIFT_KEEPER_AGE_SECONDS="0",
        PHOTOSIFT_DEDUPLICATION__MAX_MODIFICATION_TIME_DIFFERENCE="0:00:01",
    ) as w:
        for name, age in (("new.jpg", DAY), ("old.jpg", 2 * DAY)):
            made = write(tmp_path / name, tiny(1))
            os.utime(made, (time.time() - age,) * 2)
            made.rename(w.photos / name)
        await w.heard.until(is_decided_and_all_is_said)
        await w.look_around()
        await w.heard.until(is_decided_and_all_is_said)
        (decided,) = w.heard.of("decision.group-decided")
        assert [d["action"] for d in decided.data["duplicates"]] == ["propose"]
        assert not target.exists()
        assert {e.subject for e in w.heard.events if ".cmd." in e.subject or ".out." in e.subject} == set()

        before = files_below(w.photos)
        true = command_for(w.heard, decided, target)
        another = true.victim.model_copy(update={"sha256": "0" * 64})
        untrue = true.model_copy(
            update={"victim": another, "keeper": true.keeper.model_copy(update={"sha256": "0" * 64})}
        )
        await publish(w, untrue, correlation="untrue")
        assert await outcome_of(w, "untrue") == ("refused", "victim-changed")
        assert files_below(w.photos) == before

        await publish(w, true, correlation="by hand")
        assert await outcome_of(w, "by hand") == ("moved", None)
        victim, keeper = true.victim.file.path, true.keeper.file.path
        assert files_below(target / w.photos.name) == {victim: tiny(1)}
        assert files_below(w.photos) == {name: content for name, content in before.items() if name != victim}
        assert keeper in files_below(w.photos)
        await w.heard.until(lambda h: h.of("analysis.forgotten", victim))
        await w.look_around()
        assert w.heard.of("deadletter") == []
        assert not [line for line in w.log if "crashed" in line or "[error" in line]


def is_decided_and_all_is_said(heard: Overheard) -> bool:
    """The resolver has decided, and then said that it has caught up with everything and asks for nothing."""
    decided = [n for n, e in enumerate(heard.events) if e.kind == "decision.group-decided"]
    analysed = [n for n, e in enumerate(heard.events) if e.kind == "analysis.analysed"]
    said = [n for n, e in enumerate(heard.events) if e.kind == "decision.caught-up" and not e.data["open_commands"]]
    return bool(decided) and max(said, default=-1) > max(decided[-1], analysed[-1])


def command_for(heard: Overheard, decided: Event, target: Path) -> TakeFile:
    """What the resolver would publish, from what it was told itself."""
    (duplicate,) = decided.data["duplicates"]
    return TakeFile(
        decision_id=decided.data["decision_id"],
        batch_id="by hand",
        action="move",
        victim=evidence_of(heard, duplicate["member"]["file"]["path"]),
        keeper=evidence_of(heard, decided.data["keeper"]["file"]["path"]),
        match_class=duplicate["match_class"],
        distance=duplicate["distance"],
        expires_at=time.time() + 600,
        target=str(target),
    )


def evidence_of(heard: Overheard, path: str) -> Evidence:
    data = heard.of("analysis.analysed", path)[-1].data
    stat = {key: data["stat"][key] for key in ("size", "mtime_ns", "ctime_ns", "dev", "ino")}
    return Evidence(file=FileRef.model_validate(data["file"]), sha256=data["sha256"], version=data["version"], **stat)


async def publish(w: Watched, command: TakeFile, *, correlation: str) -> None:
    """As the resolver's user on the bundled server; returns when the server has stored it."""
    url, credentials = read_credentials(w.state / "nats")
    envelope = wrap(
        command,
        source="resolver",
        time=utc(SystemClock().now()).isoformat(),
        traceparent=f"00-{'1' * 32}-{'1' * 16}-01",
        correlation=correlation,
    )
    resolver = await nats.connect(
        url, user="resolver", password=credentials["resolver"].password, inbox_prefix=inbox_prefix("resolver")
    )
    try:
        answer = await resolver.request(subject_of(decode(encode(envelope))[1]), encode(envelope), timeout=60)
        assert b'"stream":"CMD"' in answer.data, answer.data
    finally:
        await resolver.close()


async def outcome_of(w: Watched, correlation: str) -> tuple[str, str | None]:
    def outcomes(heard: Overheard) -> list[Event]:
        return [e for e in heard.of("outcome.command-done") if e.correlation == correlation]

    await w.heard.until(outcomes)
    (outcome,) = outcomes(w.heard)
    return outcome.data["outcome"], outcome.data.get("code")

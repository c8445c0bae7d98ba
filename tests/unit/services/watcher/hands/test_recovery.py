"""kill -9 at every step, then anything at all happens to the files, then a restart: nothing is ever lost. (S12)"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from services.watcher.disk.port import FaultPoint
from services.watcher.hands.journalfile import JournalFailed
from services.watcher.hands.sight import Sight
from tests.support.executing import Stage, at_step, contents_in, photos_in

SAME = b"the same picture"
Body = Callable[[Path, dict[str, Path], str, str, int], None]


def dying_at(step: str, number: int) -> FaultPoint:
    """Die as by ``kill -9`` when the step comes for the n-th time."""
    left = [number]

    def fault(now: str) -> None:
        left[0] -= now == step
        if now == step and left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return fault


def take_until(folder: Path, paths: dict[str, Path], action: str, step: str, number: int) -> None:
    stage = Stage(folder, paths=paths)
    with stage.hand(action, fault=dying_at(step, number)) as hand:
        hand.executor.take(stage.command(action=action))


def restore_until(folder: Path, paths: dict[str, Path], action: str, step: str, number: int) -> None:
    stage = Stage(folder, paths=paths)
    with stage.hand(action, fault=dying_at(step, number)) as hand:
        hand.restoring.restore(hand.held())


def steps_of(stage: Stage, action: str) -> list[tuple[str, int]]:
    """Every announcement of one act, with how often the step came by then."""
    seen: list[str] = []
    stage.pair()
    with stage.hand(action, fault=seen.append) as hand:
        assert hand.executor.take(stage.command(action=action)).outcome in ("moved", "quarantined")
    return [(step, seen[: n + 1].count(step)) for n, step in enumerate(seen)]


def killed_at(stage: Stage, action: str, step: str, number: int, body: Body = take_until) -> None:
    """A plain fork: nothing here holds a thread or a connection, and there are hundreds of these."""
    child = os.fork()
    if child == 0:
        try:
            body(stage.folder, stage.paths, action, step, number)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, (step, number)


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, Path]:
    """Root in memory, target on disk: every move crosses devices (a target in memory is refused)."""
    folder = Path("/dev/shm") / f"photosift-{os.getpid()}-{tmp_path.name}"
    if not folder.parent.is_dir() or os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    return {"photos": folder}


KINDS = ("delete", "move", "move-across")
WHAT = ("nothing", "keeper-deleted", "keeper-edited", "victim-edited", "target-altered", "expired", "not-allowed")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.long)])
def test_s12_killed_at_a_step_then_anything_happens_then_restarted_nothing_is_lost(
    kind: str, what: str, every: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The victim's bytes are never lost; with an untouched keeper they are there exactly twice, else never less than once."""
    action = "delete" if kind == "delete" else "move"
    paths = request.getfixturevalue("elsewhere") if kind == "move-across" else {}
    try:
        _kill_at_steps(tmp_path, paths, action, what, every)
    finally:
        for path in paths.values():
            _remove(path.parent, path.name)


def _remove(parent: Path, prefix: str) -> None:
    for path in parent.glob(f"{prefix}*"):
        shutil.rmtree(path)


def _kill_at_steps(folder: Path, paths: dict[str, Path], action: str, what: str, every: int) -> None:
    def stage_named(name: str) -> Stage:
        (folder / name).mkdir()
        return Stage(folder / name, paths={k: p.with_name(f"{p.name}-{name}") for k, p in paths.items()})

    steps = [s for s in steps_of(stage_named("dry"), action) if s[0] != "execute:done" or what == "nothing"]
    assert len(steps) > 12
    for step, number in steps[WHAT.index(what) % every :: every]:
        stage = stage_named(f"{step}-{number}".replace(":", "-"))
        victim, keeper = stage.pair()
        killed_at(stage, action, step, number)
        _alter(stage, what, victim, keeper)
        with stage.hand("propose" if what == "not-allowed" else action) as hand:
            results = hand.recovery.settle_all()
            assert hand.bench.journal.open_intents() == [], (step, number)
            held = [Path(os.fsdecode(hand.bench.places.where(item.record))) for item in hand.held()]
        _check(stage, what, victim, keeper, held, f"{step} {number}: {[(r.outcome, r.code) for r in results]}")


def _alter(stage: Stage, what: str, victim: Path, keeper: Path) -> None:
    if what == "keeper-deleted":
        keeper.unlink()
    elif what == "keeper-edited":
        keeper.write_bytes(b"keeper edited")
    elif what == "victim-edited":
        for path in photos_in(stage.root() / "a", stage.root() / ".photosift"):
            path.write_bytes(b"victim edited")
    elif what == "target-altered":
        for path in photos_in(stage.target):
            path.write_bytes(b"altered in the target")
    elif what == "expired":
        stage.clock.at += 10_000


def _check(stage: Stage, what: str, victim: Path, keeper: Path, held: list[Path], said: str) -> None:
    there = contents_in(stage.root(), stage.target)
    if what in ("nothing", "expired", "not-allowed"):
        assert there == {SAME: 2}, said
        assert victim.exists() != bool(held), said
        assert keeper.read_bytes() == SAME
    elif what == "keeper-deleted":
        assert there == {SAME: 1}, said
        assert victim.exists() or held, said
    elif what == "keeper-edited":
        assert there == {SAME: 1, b"keeper edited": 1}, said
    elif what == "victim-edited":
        assert there.get(SAME, 0) + there.get(b"victim edited", 0) >= 2, said
        assert there[SAME] >= 1, said
    else:
        assert there[SAME] >= 1, said
        assert sum(there.values()) >= 2, said
    assert photos_in(stage.root() / ".photosift" / "private") == [], said


@pytest.mark.parametrize("kind", KINDS)
def test_s12_a_restore_killed_at_every_step_is_finished_or_still_held(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    action = "delete" if kind == "delete" else "move"
    paths = request.getfixturevalue("elsewhere") if kind == "move-across" else {}
    try:
        seen: list[str] = []
        stage = _taken(tmp_path, paths, action, "dry")
        with stage.hand(action, fault=seen.append) as hand:
            assert len(hand.restoring.restore(hand.held()).back) == 1
        for step, number in [(s, seen[: n + 1].count(s)) for n, s in enumerate(seen)]:
            stage = _taken(tmp_path, paths, action, f"{step}-{number}".replace(":", "-"))
            killed_at(stage, action, step, number, restore_until)
            with stage.hand(action) as hand:
                hand.recovery.settle_all()
                states = [i.state for i in hand.bench.items.in_state("held", "restoring", "restored")]
                assert states in (["held"], ["restored"]), (step, number)
                if states == ["held"]:
                    assert len(hand.restoring.restore(hand.held()).back) == 1, (step, number)
            assert contents_in(stage.root(), stage.target) == {SAME: 2}, (step, number)
            assert (stage.root() / "a" / "victim.jpg").read_bytes() == SAME, (step, number)
    finally:
        for path in paths.values():
            _remove(path.parent, path.name)


def _taken(folder: Path, paths: dict[str, Path], action: str, name: str) -> Stage:
    (folder / name).mkdir()
    stage = Stage(folder / name, paths={k: p.with_name(f"{p.name}-{name}") for k, p in paths.items()})
    stage.pair()
    with stage.hand(action) as hand:
        assert hand.executor.take(stage.command(action=action)).item_id
    return stage


def test_s12_an_interrupted_act_is_finished_when_everything_still_holds(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.pair()
    killed_at(stage, "delete", "execute:before-result", 1)
    with stage.hand() as hand:
        assert [r.outcome for r in hand.recovery.settle_all()] == ["quarantined"]
        assert len(hand.held()) == 1
        assert [u.message.message_id.split(":")[0] for u in hand.bench.journal.unsaid()] == ["out"]
        assert hand.recovery.settle_all() == []


@pytest.mark.parametrize("action", ["delete", "move"])
@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("keeper-deleted", "keeper-gone"),
        ("keeper-edited", "keeper-changed"),
        ("expired", "expired"),
        ("not-allowed", "not-allowed-to-act"),
        ("place-taken", "interrupted"),
    ],
)
def test_s12_an_interrupted_act_goes_home_when_anything_stands_against_it(
    tmp_path: Path, action: str, what: str, code: str
) -> None:
    stage = Stage(tmp_path)
    victim, keeper = stage.pair()
    killed_at(stage, action, "execute:before-result", 1)
    _alter(stage, what, victim, keeper)
    if what == "place-taken":
        victim.write_bytes(b"somebody else's")
    with stage.hand("propose" if what == "not-allowed" else action) as hand:
        (result,) = hand.recovery.settle_all()
        assert (result.outcome, result.code) == ("undone", code)
        held = hand.held()
        assert len(held) == (what == "place-taken")
        if held:
            victim.unlink()
            assert len(hand.restoring.restore(held).back) == 1
    assert victim.read_bytes() == SAME


def test_s12_an_intent_in_a_root_that_is_away_stays_open_and_keeps_its_files_from_others(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.pair()
    stage.write("c/other.jpg", SAME)
    killed_at(stage, "delete", "execute:before-look-again", 1)
    with stage.hand(sight=Sight(doubt=lambda _: "away")) as hand:
        assert hand.recovery.settle_all() == []
        assert len(hand.bench.journal.open_intents()) == 1
    with stage.hand() as hand:
        as_victim = stage.command("b/keeper.jpg", "c/other.jpg")
        assert hand.executor.take(as_victim).code == "victim-is-keeper"  # S3
        hand.recovery.settle_all()
        assert len(hand.held()) == 1
        again = as_victim.model_copy(update={"expires_at": as_victim.expires_at + 1})
        assert hand.executor.take(again).outcome == "quarantined"


def test_s12_a_journal_that_cannot_be_written_stops_the_executor_before_anything_is_moved(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    victim, _ = stage.pair()
    with stage.hand() as hand:
        break_it = at_step("execute:before-intent", hand.bench.file._db.close)
        hand.executor._fault = break_it
        with pytest.raises(JournalFailed):
            hand.executor.take(stage.command())
        assert victim.exists()

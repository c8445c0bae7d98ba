"""The outcome of a scan: every file exactly once, in the form that stays."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from services.report import Skipped, build, rows
from services.resolver.commanding import Terms, commands_for
from services.resolver.planning import Past, plan
from services.resolver.ranking import Candidate
from shared.index.port import FileDoc
from shared.messages.outcomes import CommandDone
from shared.messages.resolution import GroupDecided
from tests.support.model import candidate, document, policy, signature

ROOTS = {"photos": Path("/srv/photos")}


def decide(files: list[Candidate], action: str = "propose") -> list[GroupDecided]:
    signatures = {f.sha256: signature(1, n) for n, f in enumerate(files)}
    found = plan(files, signatures, policy(action=action, classes=frozenset({"same-bytes", "similar"})), Past())
    return [d.message(f"d{n}", 0.0) for n, d in enumerate(found)]


def answer(decided: GroupDecided, path: str, outcome: str, code: str | None = None) -> tuple[GroupDecided, CommandDone]:
    (duplicate,) = [d for d in decided.duplicates if d.member.file.path == path]
    done = CommandDone(
        command_id=f"c-{path}",
        decision_id=decided.decision_id,
        batch_id="b",
        action="move",
        outcome=outcome,
        code=code,
        explanation="said so",
        victim=duplicate.member.file,
        keeper=decided.keeper.file,
        sha256=duplicate.member.sha256,
        match_class=duplicate.match_class,
        distance=duplicate.distance,
        done_at=1.0,
    )
    return decided, done


def report(files: list[FileDoc], decisions=(), acted=(), skipped=(), **changes):
    made = build(
        files=files,
        contents={},
        decisions=decisions,
        acted=acted,
        skipped=skipped,
        seconds={"analyse": 1.5},
        roots=ROOTS,
        version="0.1.0",
        **changes,
    )
    assert json.loads(json.dumps(made)) == made
    return made


def every_path(made) -> list[str]:
    def raw(entry) -> bytes:
        return b64decode(entry["path_b64"]) if "path_b64" in entry else entry["path"].encode()

    encoded = {entry["path"] for entry in made["unique_b64"]}
    found = [path.encode() for path in made["unique"] if path not in encoded]
    found += [raw(entry) for entry in made["unique_b64"]]
    for group in made["groups"]:
        found += [raw(group["keeper"]), *(raw(d) for d in group["duplicates"])]
    return sorted(map(str, found + [raw(e) for e in (*made["unreadable"], *made["skipped"])]))


A, B, C = candidate("a.jpg", pixels=(400, 300)), candidate("b.jpg", pixels=(40, 30)), candidate("c.jpg")
GONE = FileDoc(path=B.path, version=2, state="gone", sha256=B.sha256, stat=B.stat, reason="taken")


def unreadable(file: Candidate) -> FileDoc:
    return FileDoc(path=file.path, version=1, state="unreadable", reason="truncated", explanation="It ends too early.")


def test_groups_unique_unreadable_and_skipped() -> None:
    made = report(
        [document(A), document(B), document(C), unreadable(candidate("x.jpg"))],
        decide([A, B]),
        skipped=[Skipped(path=b"/srv/photos/.@__thumb/a.jpg", rule="litter", reason="a NAS made it")],
    )
    assert made["unique"] == ["/srv/photos/c.jpg"]
    ((group),) = made["groups"]
    assert group["keeper"] == {
        "path": "/srv/photos/a.jpg",
        "sha256": A.sha256,
        "width": 400,
        "height": 300,
        "bytes": 1_000,
    }
    (duplicate,) = group["duplicates"]
    assert duplicate["path"] == "/srv/photos/b.jpg"
    assert (duplicate["class"], duplicate["action"], duplicate["decided_by"]) == (
        "similar",
        "propose",
        "higher-pixel-count",
    )
    assert made["unreadable"][0]["reason"] == "truncated"
    assert made["skipped"][0]["rule"] == "litter"
    assert made["counts"]["files"] == 5
    assert made["seconds"] == {"analyse": 1.5}
    assert made["version"] == "0.1.0"


def test_what_was_moved_stands_with_its_keeper_whether_the_index_knows_it_yet_or_not() -> None:
    (decided,) = decide([A, B], "move")
    for doc in (document(B), GONE):
        made = report([document(A), doc], [], [answer(decided, "b.jpg", "moved")])
        (group,) = made["groups"]
        assert [d["action"] for d in group["duplicates"]] == ["moved"]
        assert made["unique"] == []
        assert made["counts"]["moved"] == 1


def test_what_was_put_back_since_is_no_longer_moved() -> None:
    (decided,) = decide([A, B], "move")
    back = FileDoc(path=B.path, version=3, state="analysed", sha256=B.sha256, stat=B.stat)
    made = report([document(A), back], [], [answer(decided, "b.jpg", "moved")])
    assert (made["groups"], len(made["unique"])) == ([], 2)


def test_a_refusal_is_said_where_the_file_still_is() -> None:
    (decided,) = decide([A, B], "move")
    made = report([document(A), document(B)], [decided], [answer(decided, "b.jpg", "refused", "part-of-a-unit")])
    ((duplicate,),) = [g["duplicates"] for g in made["groups"]]
    assert (duplicate["action"], duplicate["reason"]) == ("refused", "part-of-a-unit: said so")


def test_one_keeper_has_one_group_for_all_that_was_moved_and_all_that_is_proposed() -> None:
    small = candidate("c.jpg", pixels=(39, 30))
    (decided,) = decide([A, B, small], "move")
    (left,) = decide([A, small])
    made = report([document(A), GONE, document(small)], [left], [answer(decided, "b.jpg", "quarantined")])
    ((group),) = made["groups"]
    assert {d["path"].rpartition("/")[2]: d["action"] for d in group["duplicates"]} == {
        "b.jpg": "quarantined",
        "c.jpg": "propose",
    }


def test_a_keeper_that_was_moved_in_its_turn_leaves_its_group_to_its_own_keeper() -> None:
    best = candidate("best.jpg", pixels=(4_000, 3_000))
    (first,), (second,) = decide([A, B], "move"), decide([best, A], "move")
    gone = FileDoc(path=A.path, version=2, state="gone")
    acted = [answer(first, "b.jpg", "moved"), answer(second, "a.jpg", "moved")]
    made = report([document(best), gone, GONE], [], acted)
    ((group),) = made["groups"]
    assert group["keeper"]["path"] == "/srv/photos/best.jpg"
    assert sorted(d["path"] for d in group["duplicates"]) == ["/srv/photos/a.jpg", "/srv/photos/b.jpg"]


def test_a_decision_about_a_file_that_is_gone_leaves_the_others_unique() -> None:
    made = report([document(A), GONE], decide([A, B]))
    assert (made["groups"], made["unique"]) == ([], ["/srv/photos/a.jpg"])


def test_a_path_that_is_not_utf8_is_given_in_base64_too() -> None:
    latin, twin = candidate(b"\xc9t\xe9.jpg", content="x"), candidate(b"\xc9t\xe8.jpg", content="x")
    alone = candidate(b"\xff.jpg")
    made = report([document(f) for f in (latin, twin, alone)], decide([latin, twin]))
    assert b64decode(made["groups"][0]["keeper"]["path_b64"]) in (
        b"/srv/photos/\xc9t\xe9.jpg",
        b"/srv/photos/\xc9t\xe8.jpg",
    )
    assert [b64decode(e["path_b64"]) for e in made["unique_b64"]] == [b"/srv/photos/\xff.jpg"]
    assert made["unique"] == ["/srv/photos/\\xff.jpg"]


def test_a_file_that_is_in_the_index_is_not_skipped_too_and_one_path_is_skipped_once() -> None:
    skipped = [
        Skipped(path=b"/srv/photos/a.jpg", rule="r", reason=""),
        *(Skipped(path=b"/srv/photos/l.jpg", rule=rule, reason="") for rule in ("same-file-as", "other")),
    ]
    made = report([document(A)], skipped=skipped)
    assert [s["path"] for s in made["skipped"]] == ["/srv/photos/l.jpg"]


def test_rows_for_people_number_the_groups_and_show_the_keeper_first() -> None:
    odd = candidate(b"z\xff.jpg", content="z", pixels=(50, 50)), candidate(b"zz\xff.jpg", content="z", pixels=(50, 50))
    groups = decide([A, B]) + [d.model_copy(update={"decision_id": "o"}) for d in decide(list(odd))]
    table = rows(report([document(f) for f in (A, B, *odd)], groups))
    assert [(r.group, r.action) for r in table] == [(1, "keep"), (1, "propose"), (2, "keep"), (2, "propose")]
    assert table[0].path == b"/srv/photos/a.jpg"
    assert (table[1].width, table[1].size, table[1].decided_by) == (40, 1_000, "higher-pixel-count")
    assert b"\xff" in table[2].path


@given(st.lists(st.sampled_from(["unique", "pair", "unreadable", "gone", "moved", "skipped"]), max_size=12))
def test_every_file_stands_exactly_once(kinds: list[str]) -> None:
    files, decisions, acted, skipped, expected = [], [], [], [], []
    for n, kind in enumerate(kinds):
        keeper, other = candidate(f"{n}.jpg", pixels=(9, 9)), candidate(f"{n}-b.jpg", pixels=(1, 1))
        if kind == "skipped":
            skipped.append(Skipped(path=b"/srv/photos/%d" % n, rule="r", reason=""))
            expected.append(f"/srv/photos/{n}")
            continue
        files.append(unreadable(keeper) if kind == "unreadable" else document(keeper))
        if kind == "gone":
            files[-1] = FileDoc(path=keeper.path, version=2, state="gone")
            continue
        expected.append(f"/srv/photos/{n}.jpg")
        if kind in ("pair", "moved"):
            files.append(document(other))
            (decided,) = decide([keeper, other], "move")
            expected.append(f"/srv/photos/{n}-b.jpg")
            if kind == "pair":
                decisions.append(decided)
            else:
                acted.append(answer(decided, f"{n}-b.jpg", "moved"))
    made = report(files, decisions, acted, skipped)
    assert every_path(made) == sorted(str(path.encode()) for path in expected)
    assert made["counts"]["files"] == len(expected)
    assert len(rows(made)) == made["counts"]["groups"] + made["counts"]["duplicates"]


def test_the_words_of_a_command_are_those_of_the_report() -> None:
    """What is asked of the executor names the files that the report shows."""
    files = [candidate("a.jpg", content="x"), candidate("b.jpg", content="x")]
    (decision,) = plan(files, {files[0].sha256: signature(1)}, policy(action="move"), Past())
    terms = Terms(batch_id="b", target="/t", now=0.0, expiry_seconds=1.0, keeper_age_seconds=0.0)
    (command,) = commands_for([("d", decision)], terms, lambda _: False).commands
    made = report([document(f) for f in files], [decision.message("d", 0.0)])
    assert made["groups"][0]["duplicates"][0]["path"] == f"/srv/photos/{command.victim.file.path}"

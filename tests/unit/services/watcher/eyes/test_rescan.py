"""What a listed folder says, compared with what is known of it. (S14, S16)"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.watcher.eyes.known import Facts, Known
from services.watcher.eyes.rescan import changed, compare, is_renamed, lies_in, lies_in_any, topmost
from services.watcher.ignoring import Skip

FILE = 0o100644


def facts(*, size: int = 1, mtime: int = 2, ctime: int = 3, dev: int = 4, ino: int = 5, birth: int | None = 6) -> Facts:
    return Facts(FILE, 1, size, mtime, ctime, dev, ino, birth)


def known(name: bytes = b"a.jpg", **changes: int | None) -> Known:
    f = facts(**changes)  # type: ignore[arg-type]
    return Known(b"", name, f.size, f.mtime_ns, f.ctime_ns, f.dev, f.ino, f.birth_ns, 1, 1, 0.0)


def test_s16_nothing_changed() -> None:
    assert changed(known(), facts()) is None


def test_s16_each_of_size_mtime_and_ctime_tells_of_other_bytes() -> None:
    for other in (facts(size=9), facts(mtime=9), facts(ctime=9)):
        assert changed(known(), other) == "modified"


def test_s16_another_inode_on_the_same_device_is_another_file() -> None:
    assert changed(known(), facts(ino=9)) == "modified"
    assert changed(known(), facts(birth=9)) == "modified"


def test_s8_a_remount_alone_changes_nothing() -> None:
    assert changed(known(), facts(dev=9)) == "refreshed"
    assert changed(known(), facts(dev=9, ino=9)) == "refreshed"
    assert changed(known(), facts(ino=9), stable_inodes=False) == "refreshed"


def test_s16_a_rename_needs_inode_size_mtime_and_birth_to_agree() -> None:
    assert is_renamed(known(), facts(ctime=99))
    for other in (facts(size=9), facts(mtime=9), facts(ino=9), facts(birth=9), facts(dev=9), facts(birth=None)):
        assert not is_renamed(known(), other)
    assert not is_renamed(known(birth=None), facts(birth=None))


def test_s14_a_name_that_could_not_be_looked_at_is_not_missing() -> None:
    difference = compare({}, {b"a.jpg": known()}, listed={b"a.jpg"}, skipped={})
    assert not difference.missing


def test_a_known_name_may_be_deleted_left_out_or_something_else_now() -> None:
    names = [b"deleted.jpg", b"excluded.jpg", b"link.jpg", b"folder.jpg"]
    difference = compare(
        {},
        {name: known(name) for name in names},
        listed={b"excluded.jpg", b"link.jpg", b"folder.jpg"},
        skipped={b"excluded.jpg": Skip("exclusion", ""), b"link.jpg": Skip("symbolic-link", "")},
        folders=[b"folder.jpg"],
    )
    assert difference.missing == [
        (b"deleted.jpg", "deleted"),
        (b"excluded.jpg", "ignored"),
        (b"folder.jpg", "deleted"),
        (b"link.jpg", "deleted"),
    ]


NAMES = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
FACTS = st.builds(facts, size=st.integers(0, 2), ino=st.integers(1, 3))


@given(st.dictionaries(NAMES, FACTS), st.dictionaries(NAMES, FACTS))
def test_s16_telling_what_a_comparison_found_makes_the_snapshot_equal_the_disk(
    before: dict[bytes, Facts], now: dict[bytes, Facts]
) -> None:
    snapshot = {n: known(n, size=f.size, ino=f.ino) for n, f in before.items()}
    found = compare(now, snapshot, listed=now.keys(), skipped={})
    after = {n: (f.size, f.ino) for n, f in before.items()}
    after |= {name: (f.size, f.ino) for name, f in (*found.new, *found.modified)}
    for name, _ in found.missing:
        del after[name]
    assert after == {n: (f.size, f.ino) for n, f in now.items()}
    assert {n for n, _ in found.new} == now.keys() - before.keys()


def test_folders_inside_one_another_are_told() -> None:
    assert lies_in(b"a/b", b"a")
    assert lies_in(b"a", b"a")
    assert lies_in(b"a", b"")
    assert not lies_in(b"ab", b"a")
    assert topmost([b"a/b", b"a", b"a-b", b"c/d", b"a/b/c"]) == [b"a", b"a-b", b"c/d"]


PATHS = st.lists(st.sampled_from([b"a", b"b", b"ab"]), min_size=1, max_size=4).map(b"/".join)


@given(PATHS, st.sets(PATHS))
def test_looking_up_ancestors_is_the_same_as_asking_each_folder(path: bytes, folders: set[bytes]) -> None:
    assert lies_in_any(path, folders) == any(lies_in(path, folder) for folder in folders)

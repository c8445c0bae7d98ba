"""Is it the root that was known, and are its files gone? (S4, S14)"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.watcher.eyes.roots import (
    ELSEWHERE,
    Held,
    Identity,
    Observed,
    Recognised,
    Shares,
    Top,
    Unknown,
    changed_mounts,
    hold,
    overlapping,
    recognise,
    repeated,
    too_many,
)

DISK = Identity(kind="ext4", fsid="ext4:1", ino=2, birth_ns=3)
MEMORY = Identity(kind="tmpfs", fsid=None, ino=1, birth_ns=3)
SHARE = Identity(kind="nfs4", fsid=None, ino=9, birth_ns=None)
POOL = Identity(kind="fuse.mergerfs", fsid=None, ino=1, birth_ns=3)


def seen(identity: Identity | None, *, found: int = 10, sampled: int = 10, is_empty: bool = False) -> Observed:
    return Observed(identity=identity, found=found, sampled=sampled, is_empty=is_empty)


def is_unknown(remembered: Identity | None, observed: Observed) -> bool:
    return isinstance(recognise(remembered, observed), Unknown)


def test_s14_a_root_that_is_not_there_is_unknown() -> None:
    verdict = recognise(DISK, Observed(identity=None, obstacle="it cannot be read: gone"))
    assert verdict == Unknown("it cannot be read: gone")
    assert is_unknown(None, seen(None))


def test_s14_what_was_never_known_is_recognised() -> None:
    assert recognise(None, seen(DISK, sampled=0)) == Recognised()
    assert recognise(DISK, seen(SHARE, sampled=0)) == Recognised()


def test_s14_a_root_known_by_hearsay_is_recognised_by_half_of_its_files_or_not_at_all() -> None:
    assert recognise(ELSEWHERE, seen(DISK, found=5)) == Recognised()
    assert is_unknown(ELSEWHERE, seen(DISK, found=4))
    assert is_unknown(ELSEWHERE, seen(MEMORY, found=0, is_empty=True))
    assert Identity.from_text(ELSEWHERE.to_text()) == ELSEWHERE


def test_s14_another_disk_in_the_place_of_the_root_is_unknown() -> None:
    other = Identity(kind="ext4", fsid="ext4:2", ino=2, birth_ns=3)
    assert is_unknown(DISK, seen(other))
    assert is_unknown(SHARE, seen(DISK))


def test_s14_the_folder_below_an_unmounted_disk_is_unknown() -> None:
    assert is_unknown(DISK, seen(Identity(kind="ext4", fsid="ext4:2", ino=7, birth_ns=8), found=0, is_empty=True))
    assert is_unknown(MEMORY, seen(Identity(kind="tmpfs", fsid=None, ino=1, birth_ns=99), found=0, is_empty=True))


def test_s14_an_empty_share_or_pool_is_unknown_even_if_its_top_is_the_same() -> None:
    assert is_unknown(SHARE, seen(SHARE, found=0, is_empty=True))
    assert is_unknown(POOL, seen(POOL, found=0, is_empty=True))
    assert is_unknown(POOL, seen(POOL, found=1))


def test_s14_the_very_same_folder_may_be_empty() -> None:
    assert recognise(DISK, seen(DISK, found=0, is_empty=True)) == Recognised()
    assert recognise(MEMORY, seen(MEMORY, found=0)) == Recognised()


def test_s14_another_top_folder_is_believed_when_the_known_files_lie_in_it() -> None:
    restored = Identity(kind="ext4", fsid="ext4:1", ino=77, birth_ns=88)
    assert recognise(DISK, seen(restored, found=5)) == Recognised()
    assert is_unknown(DISK, seen(restored, found=4))
    assert recognise(SHARE, seen(SHARE)) == Recognised()


def test_an_identity_survives_the_state_folder() -> None:
    assert Identity.from_text(DISK.to_text()) == DISK
    assert Identity.from_text(SHARE.to_text()) == SHARE


def test_s14_a_mount_inside_that_went_is_unknown_only_where_files_are_known() -> None:
    assert changed_mounts({b"usb": DISK}, {}, {b"usb": 3}).keys() == {b"usb"}
    assert changed_mounts({b"usb": DISK}, {}, {b"usb": 0}) == {}
    assert changed_mounts({b"usb": DISK}, {b"usb": seen(DISK)}, {b"usb": 3}) == {}


def test_s14_a_mount_over_known_files_is_unknown() -> None:
    assert changed_mounts({}, {b"usb": seen(DISK, found=0)}, {b"usb": 3}).keys() == {b"usb"}
    assert changed_mounts({}, {b"usb": seen(DISK, found=0, sampled=0)}, {b"usb": 0}) == {}


def test_s14_another_mount_in_the_place_of_one_inside_is_unknown() -> None:
    assert changed_mounts({b"usb": DISK}, {b"usb": seen(SHARE)}, {b"usb": 3}).keys() == {b"usb"}


# --- disappearances -------------------------------------------------------------------------------------------------

SHARES = Shares(0.05, 50)


def test_s14_fifty_files_may_vanish_from_a_small_library_and_one_in_twenty_from_a_large_one() -> None:
    assert too_many({1: 50}, {}, {1: 60}, SHARES) is None
    assert too_many({1: 51}, {}, {1: 60}, SHARES) == (51, 60)
    assert too_many({1: 500}, {}, {1: 10_000}, SHARES) is None
    assert too_many({1: 501}, {}, {1: 10_000}, SHARES) == (501, 10_000)


def test_s14_every_device_has_its_own_share() -> None:
    assert too_many({1: 0, 2: 51}, {}, {1: 100_000, 2: 100}, SHARES) == (51, 100)


def test_s14_what_was_told_lately_counts_with_what_is_missing_now() -> None:
    assert too_many({1: 30}, {1: 30}, {1: 100}, SHARES) == (60, 130)
    assert too_many({1: 0}, {1: 300}, {1: 100}, SHARES) is None


@given(st.lists(st.integers(1, 40), max_size=20), st.integers(60, 400))
def test_s14_no_series_of_small_losses_takes_more_than_the_share(losses: list[int], whole: int) -> None:
    """Whatever is told piece by piece stays within what may vanish at once."""
    told, known = 0, whole
    for loss in losses:
        lost = min(loss, known)
        if too_many({1: lost}, {1: told}, {1: known}, SHARES) is None:
            told, known = told + lost, known - lost
    assert told <= max(50, 0.05 * whole)


def test_s14_what_is_held_is_believed_after_a_second_look_and_a_persons_word() -> None:
    first = hold(None, 60, 100)
    assert not first.is_believed
    assert not hold(first, 60, 100).is_believed
    confirmed = Held(count=60, of=100, rescans=1, confirmed=True)
    assert not confirmed.is_believed
    assert hold(confirmed, 60, 100).is_believed
    assert Held.from_text(confirmed.to_text()) == confirmed


# --- overlap --------------------------------------------------------------------------------------------------------


def test_s4_nested_and_equal_roots_overlap() -> None:
    a, b = Top("a", b"/photos", 1, 2), Top("b", b"/photos/2019", 1, 3)
    c, d = Top("c", b"/bind", 1, 2), Top("d", b"/photos-old", 1, 9)
    found = overlapping([a, b, c, d])
    assert found.keys() == {"a", "b", "c"}
    assert "contains" in overlapping([a, b, d])["a"]
    assert "lies in" in overlapping([a, b, d])["b"]
    assert repeated([a, b, c, d]) == {"c": "a"}


def test_s4_separate_roots_do_not_overlap() -> None:
    assert overlapping([Top("a", b"/x/a", 1, 2), Top("b", b"/x/ab", 1, 3)]) == {}

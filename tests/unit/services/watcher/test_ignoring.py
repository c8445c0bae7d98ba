"""Which names are left out, by which rule. (S22, S24)"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.watcher.ignoring import (
    Ignoring,
    compiled,
    extension_of,
    file_skip,
    folder_skip,
    managed_and_not_allowed,
    managed_folder_of,
    manager_by,
    normalised,
    not_live,
)

PICTURES = frozenset({"jpg", "jpeg", "png", "heic"})

NAME = st.binary(min_size=1, max_size=40).filter(lambda b: b"/" not in b and b"\0" not in b and b not in (b".", b".."))


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (b".photosift", "private"),
        (b".snapshot", "snapshot"),
        (b".snapshots", "snapshot"),
        (b"#snapshot", "snapshot"),
        (b".zfs", "snapshot"),
        (b"@GMT-2024.01.31-10.00.00", "snapshot"),
        (b".@__thumb", "snapshot"),
        (b".Trash", "trash"),
        (b".Trash-1000", "trash"),
        (b".Trashes", "trash"),
        (b"#recycle", "trash"),
        (b"@Recycle", "trash"),
        (b"$RECYCLE.BIN", "trash"),
        (b"lost+found", "trash"),
        (b".stversions", "version-folder"),
        (b".dropbox.cache", "version-folder"),
        (b"@eaDir", "litter"),
        (b"@tmp", "litter"),
        (b".AppleDouble", "litter"),
        (b".Spotlight-V100", "litter"),
    ],
)
def test_s22_folders_that_hold_no_live_photos_are_not_entered(name: bytes, rule: str) -> None:
    skip = folder_skip(name)
    assert skip is not None
    assert skip.rule == rule
    assert skip.reason


@pytest.mark.parametrize("name", [b"2019", b"Trash the dress", b"snapshots", b".hidden", b"tmp", b"@home", b"recycle"])
def test_ordinary_folders_are_entered(name: bytes) -> None:
    assert folder_skip(name) is None


def test_s22_some_names_count_only_inside_another_folder() -> None:
    assert folder_skip(b"Archive") is None
    archive = folder_skip(b"Archive", b".sync")
    assert archive is not None
    assert archive.rule == "version-folder"
    trash = folder_skip(b"Trash", b"share")
    assert trash is not None
    assert trash.rule == "trash"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (b".DS_Store", "litter"),
        (b"Thumbs.db", "litter"),
        (b"._IMG_1.jpg", "litter"),
        (b".trashed-1699999999-IMG_1.jpg", "trash"),
        (b".syncthing.IMG_1.jpg.tmp", "temporary"),
        (b".IMG_1.jpg.Xa81bQ", "temporary"),
        (b"IMG_1.jpg.part", "temporary"),
        (b"IMG_1.jpg.crdownload", "temporary"),
        (b"IMG_1.jpg.filepart", "temporary"),
        (b"IMG_1.jpg.tmp", "temporary"),
        (b".nfs000000000001", "temporary"),
        (b"~IMG_1.jpg", "temporary"),
        (b".~lock.IMG_1.jpg#", "temporary"),
        (b"notes.txt", "extension"),
        (b"README", "extension"),
        (b".jpg", "extension"),
        (b"IMG_1.jpg~", "extension"),
    ],
)
def test_files_are_left_out_by_a_named_rule(name: bytes, rule: str) -> None:
    skip = file_skip(name, PICTURES)
    assert skip is not None
    assert skip.rule == rule


@pytest.mark.parametrize(
    "name", [b"a.jpg", b"A.JPG", b"a.b.JpEg", b".hidden.jpg", b".a.b.jpg", b"a\nb.png", b"\xff\xfe.heic", b"a .jpg"]
)
def test_pictures_are_looked_at(name: bytes) -> None:
    assert file_skip(name, PICTURES) is None


def test_extensions_are_the_same_with_dot_and_in_capitals() -> None:
    assert normalised([".JPG", "jpg", " .Png", "."]) == {"jpg", "png"}


@given(NAME)
@example("a.Ά".encode())
def test_the_ending_of_any_name_is_lower_case_and_has_no_dot(name: bytes) -> None:
    ending = extension_of(name)
    assert "." not in ending
    assert ending == ending.lower()


@given(
    st.lists(NAME, min_size=1, max_size=5), st.sampled_from([b".photosift", b".snapshots", b"#recycle", b".stversions"])
)
def test_s22_nothing_below_a_folder_that_is_not_entered_is_live(parts: list[bytes], folder: bytes) -> None:
    assert not_live(b"/".join([folder, *parts])) is not None
    assert not_live(b"/".join([b"2019", folder, *parts])) is not None


def test_s22_a_photo_in_an_ordinary_folder_is_live() -> None:
    assert not_live(b"2019/trip/a.jpg") is None
    assert not_live(b"a.jpg") is None
    assert not_live(b"2019/.trashed-1-a.jpg") is not None


def test_s22_own_folders_are_left_out_by_their_path() -> None:
    rules = Ignoring(extensions=PICTURES, private=frozenset({b"/photos/dup"}))
    skip = rules.folder(b"/photos", b"dup")
    assert skip is not None
    assert skip.rule == "private"
    assert rules.folder(b"/photos/sub", b"dup") is None


def test_an_exclusion_is_searched_in_the_absolute_path() -> None:
    rules = Ignoring(extensions=PICTURES, exclusions=compiled(["/private/", r"\.edit\."]))
    assert rules.file(b"/photos/private", b"a.jpg").rule == "exclusion"  # type: ignore[union-attr]
    assert rules.file(b"/photos", b"a.edit.jpg").rule == "exclusion"  # type: ignore[union-attr]
    assert rules.file(b"/photos", b"a\n.jpg") is None
    assert rules.file(b"/photos/\xff", b"private.jpg") is None


def test_folders_inside_are_left_out_when_the_setting_says_so() -> None:
    skip = Ignoring(extensions=PICTURES, recursive=False).folder(b"/photos", b"sub")
    assert skip is not None
    assert skip.rule == "not-recursive"


@pytest.mark.parametrize(
    "name",
    [
        b".stfolder",
        b".sync",
        b".sync_1a2b.db",
        b"._sync_1a2b.db",
        b".dropbox",
        b"digikam4.db",
        b"Main.lrcat",
        b".immich",
    ],
)
def test_s24_a_managers_mark_makes_its_folder_a_managed_one(name: bytes) -> None:
    assert manager_by(name)


def test_s24_a_photo_betrays_no_manager() -> None:
    assert manager_by(b"a.jpg") is None


def test_s24_the_innermost_managed_folder_is_found() -> None:
    assert managed_folder_of(b"phone/DCIM/a.jpg", {b"phone"}) == b"phone"
    assert managed_folder_of(b"phone/DCIM/a.jpg", {b"phone", b"phone/DCIM"}) == b"phone/DCIM"
    assert managed_folder_of(b"phone/DCIM/a.jpg", {b""}) == b""
    assert managed_folder_of(b"a.jpg", {b""}) == b""
    assert managed_folder_of(b"phones/a.jpg", {b"phone"}) is None
    assert managed_folder_of(b"a.jpg", ()) is None


def test_s24_a_library_is_managed_by_its_own_name() -> None:
    assert managed_folder_of(b"Mine.photoslibrary/originals/1/a.jpg", ()) == b"Mine.photoslibrary"
    assert managed_folder_of(b"Previews.lrdata/a.jpg", ()) == b"Previews.lrdata"


@pytest.mark.parametrize(
    ("markers", "allowed", "above", "closed"),
    [
        ([], [], False, None),
        ([], [], True, b""),
        ([], [b""], True, None),
        ([b""], [b""], False, None),
        ([b""], [b"phone"], False, None),
        ([b"phone"], [b""], False, b"phone"),
        ([b"phone"], [b""], True, b"phone"),
        ([b"", b"phone"], [b"", b"phone"], True, None),
        ([b"phone", b"phone/DCIM"], [b"phone"], False, b"phone/DCIM"),
    ],
)
def test_s24_a_word_opens_its_folder_and_no_managed_one_inside(
    markers: list[bytes], allowed: list[bytes], above: bool, closed: bytes | None
) -> None:
    assert managed_and_not_allowed(b"phone/DCIM/a.jpg", markers, allowed, from_above=above) == closed

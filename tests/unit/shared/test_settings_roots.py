"""A folder named on the command line gets a name once and keeps it; a path is found below its root."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import Root, Settings
from shared.errors import UnsafePath, UsageError
from shared.paths import PhotoPath
from shared.settings_roots import (
    REMEMBERED,
    all_known_roots,
    choose_roots,
    chosen_and_remembered,
    existing_folder,
    photo_path,
    remembered_names,
    unique_names,
)


@given(st.lists(st.sampled_from(["a", "a-2", "b", "root"]), max_size=8), st.frozensets(st.sampled_from(["a", "b-2"])))
def test_names_are_unique_and_those_that_are_free_stay(wanted: list[str], taken: frozenset[str]) -> None:
    given_names = unique_names(wanted, taken)
    assert len(set(given_names) | taken) == len(wanted) + len(taken)
    assert all(name == want or name.startswith(f"{want}-") for name, want in zip(given_names, wanted, strict=True))


def test_a_folder_of_the_settings_keeps_its_name_and_role() -> None:
    configured = (Root(name="phone", path=Path("/p/DCIM"), role="incoming"),)
    chosen = choose_roots([Path("/p/DCIM"), Path("/q/phone")], configured, {})
    assert chosen.roots == (configured[0], Root(name="phone-2", path=Path("/q/phone")))


def test_s14_two_folders_of_one_name_never_become_one_root(tmp_path: Path) -> None:
    state = tmp_path / "state"
    one, two = tmp_path / "a" / "Pictures", tmp_path / "b" / "Pictures"
    assert [r.name for r in chosen_and_remembered([one], (), state).roots] == ["Pictures"]
    assert [r.name for r in chosen_and_remembered([two], (), state).roots] == ["Pictures-2"]
    assert [r.name for r in chosen_and_remembered([two, one], (), state).roots] == ["Pictures-2", "Pictures"]
    assert remembered_names(state) == {one: "Pictures", two: "Pictures-2"}


def test_s14_commands_at_the_same_time_give_different_names(tmp_path: Path) -> None:
    folders = [tmp_path / str(n) / "Pictures" for n in range(8)]
    together = threading.Barrier(len(folders))

    def name(folder: Path) -> None:
        together.wait()
        chosen_and_remembered([folder], (), tmp_path / "state")

    threads = [threading.Thread(target=name, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(remembered_names(tmp_path / "state").values())) == len(folders)


def test_s4_a_folder_named_twice_is_looked_at_once_and_an_inner_one_is_pointed_out() -> None:
    chosen = choose_roots([Path("/a"), Path("/a/b"), Path("/a")], (), {})
    assert [root.path for root in chosen.roots] == [Path("/a"), Path("/a/b")]
    assert "/a is named more than once; it is looked at once" in chosen.notes
    assert "/a/b lies inside /a: copies between the two are only proposed" in chosen.notes


def test_a_link_to_a_folder_is_the_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert existing_folder(f"{tmp_path}/link") == tmp_path / "real"


def test_what_is_no_folder_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file: not a folder"):
        existing_folder(f"{tmp_path}/file")
    with pytest.raises(UsageError, match="nope: no such folder"):
        existing_folder(f"{tmp_path}/nope")
    with pytest.raises(UsageError):
        existing_folder(f"{tmp_path}/{'x' * 300}")


def test_a_name_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n"))
    folder.mkdir()
    assert chosen_and_remembered([folder], (), tmp_path / "state").roots[0].name == r"caf\xe9\n"
    assert list(remembered_names(tmp_path / "state")) == [folder]


def test_a_damaged_record_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / REMEMBERED).write_text("{")
    with pytest.raises(UsageError, match=f"{REMEMBERED}: cannot be read"):
        chosen_and_remembered([tmp_path], (), tmp_path)


def test_a_state_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="state folder"):
        chosen_and_remembered([tmp_path], (), tmp_path / "file")


def test_the_settings_win_over_what_is_remembered() -> None:
    settings = Settings(roots=(Root(name="a", path=Path("/a")),), target=Path("/t"))
    remembered = {Path("/a"): "other", Path("/b"): "a", Path("/c"): "c", Path("/t/d"): "d"}
    assert [(r.name, str(r.path)) for r in all_known_roots(settings, remembered)] == [("a", "/a"), ("c", "/c")]


ROOTS = (Root(name="all", path=Path("/nowhere/photos")), Root(name="in", path=Path("/nowhere/photos/in")))


@pytest.mark.parametrize(
    ("given_path", "root", "rel"),
    [
        ("/nowhere/photos/a/b.jpg", "all", b"a/b.jpg"),
        ("/nowhere/photos/in/b.jpg", "in", b"b.jpg"),
        ("/nowhere/photos/x/../in/b.jpg", "in", b"b.jpg"),
        ("in:sub/b.jpg", "in", b"sub/b.jpg"),
        ("/nowhere/photos/\udcff.jpg", "all", b"\xff.jpg"),
    ],
)
def test_a_path_is_found_below_its_innermost_root(given_path: str, root: str, rel: bytes) -> None:
    assert photo_path(given_path, ROOTS) == PhotoPath(root, rel)


def test_a_path_that_is_gone_is_found_through_a_link_to_its_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    roots = (Root(name="r", path=tmp_path / "real"),)
    assert photo_path(f"{tmp_path}/link/gone.jpg", roots) == PhotoPath("r", b"gone.jpg")


def test_a_link_among_the_photos_is_itself_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("/etc/passwd")
    assert photo_path(f"{tmp_path}/a.jpg", (Root(name="r", path=tmp_path),)) == PhotoPath("r", b"a.jpg")


def test_a_path_outside_all_roots_is_refused() -> None:
    with pytest.raises(UsageError, match=r"/etc/passwd: lies below no root \(/nowhere/photos, "):
        photo_path("/etc/passwd", ROOTS)
    with pytest.raises(UsageError, match="lies below no root"):
        photo_path("/nowhere/photos2/a.jpg", ROOTS)


def test_s9_a_root_path_leads_nowhere_else() -> None:
    with pytest.raises(UnsafePath):
        photo_path("in:../../etc/passwd", ROOTS)


@pytest.mark.parametrize("role", ["reference", "backup", "incoming"])
def test_s22_naming_a_folder_inside_a_root_of_the_settings_lifts_no_protection(role: Literal["reference"]) -> None:
    configured = (Root(name="all", path=Path("/p")), Root(name="master", path=Path("/p/master"), role=role))
    [inside] = choose_roots([Path("/p/master/2020")], configured, {}).roots
    assert inside.role == role


def test_s22_a_protected_root_inside_a_named_folder_stays_protected() -> None:
    configured = (Root(name="master", path=Path("/p/master"), role="reference"), Root(name="x", path=Path("/p/x")))
    chosen = choose_roots([Path("/p")], configured, {})
    assert [(root.path, root.role) for root in chosen.roots] == [
        (Path("/p"), "library"),
        (Path("/p/master"), "reference"),
    ]
    assert any("/p/master" in note for note in chosen.notes)

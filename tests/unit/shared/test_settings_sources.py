"""Settings come from a file, the environment and the command line; a mistake is one line that says where."""

from __future__ import annotations

import string
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import Analysis, Breaker, Deduplication, Root, Settings, Watch
from shared.errors import UsageError
from shared.settings_complaints import SettingsWrong
from shared.settings_rules import RULE_NAMES, RuleName
from shared.settings_sources import Override, load, load_with_origins, read_environment, read_yaml
from shared.settings_yaml import variables, yaml_text


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without any settings, and no user's settings either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def written(place: Path, text: str, name: str = "photosift.yaml") -> Path:
    file = place / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def complaints(place: Path, text: str = "", **variables: str) -> tuple[str, ...]:
    file = written(place, text, "nas.yaml")
    with pytest.raises(SettingsWrong) as caught:
        load(config=file.relative_to(place), environ=variables)
    return caught.value.complaints


# ------------------------------------------------------------------------------------------ which file


def test_nothing_anywhere_gives_the_defaults_and_the_users_state_folder(place: Path) -> None:
    loaded = load_with_origins(environ={})
    assert loaded.file is None
    assert loaded.settings == Settings(state_dir=place / "state" / "photosift")
    assert loaded.settings.acting == "propose"  # S6


def test_the_file_is_the_named_one_then_the_variables_then_the_working_folders_then_the_users(place: Path) -> None:
    named = written(place, "stats_port: 1", "named.yaml")
    by_variable = written(place, "stats_port: 2", "variable.yaml")
    in_place = written(place, "stats_port: 3")
    users = written(place, "stats_port: 4", "config/photosift/photosift.yaml")
    environ = {"PHOTOSIFT_CONFIG": str(by_variable)}
    assert load(config=named, environ=environ).stats_port == 1
    assert load(environ=environ).stats_port == 2
    assert load(environ={}).stats_port == 3
    in_place.unlink()
    assert load(environ={}).stats_port == 4
    users.unlink()
    assert load(environ={}).stats_port == 8000


def test_a_named_file_that_is_missing_is_an_error_and_not_the_defaults(place: Path) -> None:
    with pytest.raises(UsageError, match=r"--config: nope\.yaml: no such file"):
        load(config=Path("nope.yaml"), environ={})
    with pytest.raises(UsageError, match=r"PHOTOSIFT_CONFIG: .*: a folder, not a settings file"):
        load(environ={"PHOTOSIFT_CONFIG": str(place)})
    with pytest.raises(UsageError, match=r"PHOTOSIFT_CONFIG: nope\.yaml: no such file"):
        load(environ={"PHOTOSIFT_CONFIG": "nope.yaml"})


# -------------------------------------------------------------------------------------------- who wins


def test_a_variable_wins_over_the_file_and_an_option_over_both(place: Path) -> None:
    written(place, "deduplication: {max_distance: 0.2, across_roots: true}\nstats_port: 1\nwatch: {settle_seconds: 7}")
    environ = {"PHOTOSIFT_DEDUPLICATION__MAX_DISTANCE": "0.3", "PHOTOSIFT_STATS_PORT": "2"}
    option = Override(key="deduplication.max_distance", value=0.4, option="--max-distance")
    loaded = load_with_origins(environ=environ, overrides=[option])
    settings = loaded.settings
    assert (settings.deduplication.max_distance, settings.stats_port) == (0.4, 2)
    assert (settings.deduplication.across_roots, settings.watch.settle_seconds) == (True, 7)
    origins = {".".join(map(str, key)): str(origin) for key, origin in loaded.origins.items()}
    assert origins["deduplication.max_distance"] == "--max-distance"
    assert origins["stats_port"] == "PHOTOSIFT_STATS_PORT"
    assert origins["watch.settle_seconds"] == "photosift.yaml, line 3"


def test_a_list_is_replaced_as_a_whole(place: Path) -> None:
    written(place, "watch:\n  extensions: [jpg, png]\n")
    assert load(environ={"PHOTOSIFT_WATCH__EXTENSIONS": "heic"}).watch.extensions == (".heic",)
    assert load(environ={"PHOTOSIFT_WATCH__EXTENSIONS": ""}).watch.extensions == ()


@pytest.mark.parametrize("text", ["heic,  *.JPG , .png", '["HEIC", ".jpg", "png"]'])
def test_lists_are_json_or_separated_by_commas(place: Path, text: str) -> None:
    assert load(environ={"PHOTOSIFT_WATCH__EXTENSIONS": text}).watch.extensions == (".heic", ".jpg", ".png")


def test_roots_may_be_paths_alone_and_are_resolved(place: Path) -> None:
    (place / "real").mkdir()
    (place / "link").symlink_to("real")
    one, two = load(environ={"PHOTOSIFT_ROOTS": f"{place}/link,{place}/other"}).roots
    assert one == Root(name="real", path=place / "real")
    assert two == Root(name="other", path=place / "other")


def test_relative_folders_of_the_file_are_relative_to_it(place: Path) -> None:
    file = written(place, "roots: [photos]\ntarget: ../away\nstate_dir: ~/mine", "sub/nas.yaml")
    settings = load(config=file, environ={})
    assert settings.roots[0].path == place / "sub" / "photos"
    assert settings.target == place / "sub" / ".." / "away"
    assert settings.state_dir == place / "mine"


def test_texts_stay_texts_whatever_yaml_takes_them_for(place: Path) -> None:
    text = "roots:\n  - {name: 2019, path: /a}\n  - {name: no, path: /b}\n  - {name: 1:30, path: /c}\n"
    written(place, text + "deduplication: {max_modification_time_difference: 1:05:00}\nallow_delete: yes")
    settings = load(environ={})
    assert [root.name for root in settings.roots] == ["2019", "no", "1:30"]
    assert settings.deduplication.max_modification_time_difference == timedelta(hours=1, minutes=5)
    assert settings.allow_delete is True


def test_a_section_of_which_only_the_name_is_left_is_as_good_as_none(place: Path) -> None:
    written(place, "watch:\nroots:\nmanaged_folders:\n")
    assert load(environ={}).watch == Watch()


def test_an_empty_folder_is_no_folder_and_not_the_working_one(place: Path) -> None:
    written(place, "target: ''")
    assert load(environ={"PHOTOSIFT_STATE_DIR": ""}).target is None


def test_variables_that_are_no_settings_are_left_alone(place: Path) -> None:
    environ = {"PHOTOSIFT_TEST_DATA": "/d", "PHOTOSIFT_CONFIG": "", "PHOTOSIFTER": "x", "HOME": "/h"}
    assert read_environment(environ).values == {}


# --------------------------------------------------------------------------------------------- mistakes

MISTAKES = [
    ("acton: move", "nas.yaml, line 1: acton: unknown setting; did you mean action?"),
    (
        "watch:\n  settle_second: 3",
        "nas.yaml, line 2: watch.settle_second: unknown setting; did you mean watch.settle_seconds?",
    ),
    ("max_distance: 0.2", "nas.yaml, line 1: max_distance: unknown setting; did you mean deduplication.max_distance?"),
    ("\naction: removed", "nas.yaml, line 2: action: 'removed': not one of these; allowed: propose | move | delete"),
    (
        "action: proppose",
        "nas.yaml, line 1: action: 'proppose': did you mean propose?; allowed: propose | move | delete",
    ),
    (
        "deduplication:\n  max_distance: 1.5",
        "nas.yaml, line 2: deduplication.max_distance: '1.5': input should be less than or equal to 1; "
        "allowed: a number from 0 to 1",
    ),
    ("stats_port: many", "nas.yaml, line 1: stats_port: 'many': not a whole number; allowed: a whole number from 0 to"),
    (
        "deduplication: {max_distance: nan}",
        "nas.yaml, line 1: deduplication.max_distance: 'nan': input should be a finite",
    ),
    (
        "deduplication: {max_modification_time_difference: 5:00}",
        "'5:00': not a duration of the form H:MM:SS; allowed: H:MM:SS, or nothing",
    ),
    (
        "watch: {extensions: jpg}",
        "nas.yaml, line 1: watch.extensions: 'jpg': a text, not a list; as a list: [jpg]; allowed: a",
    ),
    ("watch: {exclusions: ['(']}", "nas.yaml, line 1: watch.exclusions.0: '(': not a regular expression: missing )"),
    (
        "automatic_classes: similar",
        "'similar': a text, not a list; as a list: [similar]; allowed: a list of same-bytes | similar",
    ),
    ("automatic_classes: [similr]", "nas.yaml, line 1: automatic_classes.0: 'similr': did you mean similar?"),
    ("target: [a]", "nas.yaml, line 1: target: '[\"a\"]': not the name of a folder"),
    ("watch: 3", "nas.yaml, line 1: watch: not a section with settings"),
    ("roots: [{name: a}]", "nas.yaml, line 1: roots.0.path: is missing; allowed: a folder"),
    ("roots:\n- path: /a\n  rol: x", "nas.yaml, line 3: roots.0.rol: unknown setting; did you mean roots.role?"),
    ("roots: [/a/x, /b/x]", "nas.yaml, line 1: roots: two roots are called 'x'"),
    ("roots: ['']", "nas.yaml, line 1: roots.0.path: '': no folder is named"),
    ("managed_folders: [Phone]", "'Phone': neither an absolute path nor root:path"),
    ("index_url: elastic", "'elastic': not a URL that starts with http or https"),
    ("action: delete", "nas.yaml, line 1: action: delete also needs allow_delete: true"),
    ("action: move", "nas.yaml, line 1: action: move needs a target"),
    ("roots: [/a/b]\ntarget: /a", "nas.yaml, line 2: target is, or contains, the root b"),
    ("breaker: {at_least: 5, at_most: 3}", "nas.yaml, line 1: breaker: at_least is more than at_most"),
    ("stats_port: 1\nstats_port: 2", "nas.yaml, line 2: stats_port: stands there twice; allowed: once"),
    (
        "py_image_dedup: {dry_run: true}",
        "nas.yaml, line 1: py_image_dedup: this is py-image-dedup's file; carry it over",
    ),
    ("? [a]\n: 1", "nas.yaml, line 1: ?: unknown setting"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_a_mistake_in_the_file_is_one_line_with_file_line_key_and_what_is_allowed(
    place: Path, text: str, said: str
) -> None:
    (line,) = complaints(place, text)
    assert said in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PHOTOSIFT_TYPO", "1", "PHOTOSIFT_TYPO: unknown setting; allowed: PHOTOSIFT_ and a setting of"),
        ("PHOTOSIFT_STATE_DRI", "1", "PHOTOSIFT_STATE_DRI: unknown setting; did you mean PHOTOSIFT_STATE_DIR?"),
        ("PHOTOSIFT_MAX_DISTANCE", "1", "did you mean PHOTOSIFT_DEDUPLICATION__MAX_DISTANCE?"),
        ("PHOTOSIFT_WATCH_SETTLE_SECONDS", "1", "did you mean PHOTOSIFT_WATCH__SETTLE_SECONDS?"),
        ("PHOTOSIFT_CONFG", "x", "did you mean PHOTOSIFT_CONFIG?"),
        (
            "PHOTOSIFT_STATS_PORT",
            "x",
            "PHOTOSIFT_STATS_PORT: 'x': not a whole number; allowed: a whole number from 0 to 65535",
        ),
        (
            "PHOTOSIFT_WATCH__EXCLUSIONS",
            "[ab]c",
            "'[ab]c': what starts with [ or { is read as JSON, and this is no list",
        ),
        (
            "PHOTOSIFT_ROOTS",
            "{}",
            "PHOTOSIFT_ROOTS: '{}': what starts with [ or { is read as JSON, and this is no list",
        ),
        ("PHOTOSIFT_ROOTS", '{"path": "/a"}', "and this is no list; allowed: a list of {name, path, role}"),
        (
            "PHOTOSIFT_WATCH",
            "1",
            "PHOTOSIFT_WATCH: a section, no setting; allowed: a variable for each setting in it, such as "
            "PHOTOSIFT_WATCH__OBSERVER",
        ),
        ("PHOTOSIFT_WATCH__EXCLUSIONS", "a,(", "PHOTOSIFT_WATCH__EXCLUSIONS: '(': not a regular expression"),
        (
            "PHOTOSIFT_ROOTS",
            '[{"path": "/a", "role": "x"}]',
            "PHOTOSIFT_ROOTS: 'x': not one of these; allowed: library",
        ),
        ("PHOTOSIFT_ACTION", "move", "PHOTOSIFT_ACTION: action: move needs a target"),
    ],
)
def test_a_mistake_in_a_variable_is_one_line_that_names_it(place: Path, variable: str, value: str, said: str) -> None:
    (line,) = complaints(place, **{variable: value})
    assert said in line


def test_every_mistake_is_said_at_once(place: Path) -> None:
    lines = complaints(place, "acton: x\nstats_port: x", PHOTOSIFT_TYPO="1", PHOTOSIFT_ACTION="x")
    assert len(lines) == 4


def test_a_value_with_control_characters_stays_one_line_and_moves_no_cursor(place: Path) -> None:
    (line,) = complaints(place, PHOTOSIFT_ACTION="a\n\x1b[2Jb")
    assert line.isprintable()


def test_s21_no_password_of_an_address_is_shown(place: Path) -> None:
    (line,) = complaints(place, "nats_url: http://me:hunter2@nas")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "line 1: not YAML"),
        ("a: b: c", "line 1: not YAML: mapping values are not allowed here"),
        ("- a", "not a list of settings"),
        ("just words", "not a list of settings"),
        ("a: 1\n---\nb: 1", "not YAML: but found another document"),
        ("&a [*a]", "nested too deeply"),
        ("a: \x01", "not YAML"),
    ],
)
def test_a_file_that_is_no_settings_file_is_one_line(place: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"nas\.yaml") as caught:
        load(config=written(place, text, "nas.yaml"), environ={})
    assert said in caught.value.detail
    assert "\n" not in caught.value.detail


def test_a_file_that_is_no_text_is_one_line(place: Path) -> None:
    (place / "nas.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        load(config=place / "nas.yaml", environ={})


# ------------------------------------------------------------------------------------------- round trips

words = st.text(string.ascii_letters + "äß日 .-_:#'\"[]{},%&*!|>@`\\\x1b\n\t\U0001f4f7", min_size=1, max_size=12)
names = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)
shares = st.floats(0, 1)
positive = st.floats(0, 1e9, exclude_min=True)
# a folder is compared after its links are resolved: one that does not exist resolves to itself
folders = st.lists(names, min_size=1, max_size=3).map(lambda parts: Path("/nowhere-at-all", *parts))
durations = st.timedeltas(timedelta(0), timedelta(days=4000))
settings = st.builds(
    Settings,
    roots=st.lists(
        st.builds(Root, name=names, path=folders, role=st.sampled_from(["library", "backup", "incoming"])),
        max_size=3,
        unique_by=lambda root: root.name,
    ).map(tuple),
    action=st.just("propose"),
    dry_run=st.booleans(),
    automatic_classes=st.sampled_from([(), ("same-bytes",), ("same-bytes", "similar")]),
    retention_days=st.none() | positive,
    managed_folders=st.lists(folders.map(str), max_size=2).map(tuple),
    state_dir=folders,
    stats_host=words,
    stats_port=st.integers(0, 65535),
    analysis=st.builds(Analysis, threads=st.integers(0, 256), use_exif=st.booleans(), memory_mb=st.integers(64, 10**9)),
    deduplication=st.builds(
        Deduplication,
        max_distance=shares,
        rules=st.lists(st.sampled_from(RULE_NAMES), max_size=5).map(tuple),
        max_modification_time_difference=st.none() | durations,
    ),
    watch=st.builds(
        Watch,
        settle_seconds=positive,
        extensions=st.lists(st.sampled_from([".jpg", ".heic", ".ä"]), max_size=3).map(tuple),
        exclusions=st.lists(st.sampled_from(["a,b", "[ab]", r"\d+", ".*/x/.*", '"']), max_size=3).map(tuple),
    ),
    breaker=st.builds(Breaker, share=shares, at_least=st.integers(1, 20), at_most=st.integers(20, 10**7)),
)


@given(settings)
def test_settings_written_as_yaml_load_to_the_same(given_settings: Settings) -> None:
    layer = read_yaml(yaml_text(given_settings), name="x", folder=Path("/"))
    assert layer.complaints == ()
    assert Settings.model_validate(layer.values) == given_settings


@given(settings)
def test_settings_written_as_variables_load_to_the_same(given_settings: Settings) -> None:
    layer = read_environment(variables(given_settings))
    assert layer.complaints == ()
    assert Settings.model_validate(layer.values) == given_settings


def test_the_rules_of_the_resolver_are_those_that_a_setting_may_name() -> None:
    from services.resolver.ranking import RULES

    assert set(RULES) == set(get_args(RuleName))

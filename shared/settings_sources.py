"""Where settings come from: one YAML file, then ``PHOTOSIFT_…`` variables, then the command line; the last one wins.

Every scalar is read as text, in the file as in a variable, and given its type by the models: ``0:05:00`` is no number
of base 60, and a root called ``2019`` or ``no`` keeps its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from shared.config import Settings
from shared.errors import UsageError
from shared.paths import printable
from shared.settings_complaints import Origin, SettingsWrong, complaints_of, quoted, unknown_variable
from shared.settings_places import placed
from shared.settings_schema import PREFIX, Key, Leaf, leaves, sections

FILE_NAME = "photosift.yaml"
FILE_VARIABLE = "PHOTOSIFT_CONFIG"
#: variables with our prefix that are no settings
NOT_SETTINGS = (FILE_VARIABLE, "PHOTOSIFT_TEST_DATA")
#: lists inside lists are no settings of ours; a file that refers to itself must not be followed for ever
DEEPEST = 8


@dataclass(frozen=True, kw_only=True)
class Override:
    """A value from the command line."""

    #: ``deduplication.max_distance``
    key: str
    value: Any
    #: ``--max-distance``, for what is said of a mistake
    option: str


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Settings, and where each came from."""

    settings: Settings
    origins: Mapping[Key, Origin]
    #: the file that was read, if any
    file: Path | None


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What one source says."""

    values: dict[str, Any]
    origins: dict[Key, Origin]
    complaints: tuple[str, ...] = ()


def load(
    *, config: Path | None = None, environ: Mapping[str, str] | None = None, overrides: Sequence[Override] = ()
) -> Settings:
    """The settings in force. Raises ``SettingsWrong`` with a line for every mistake, ``UsageError`` for no file."""
    return load_with_origins(config=config, environ=environ, overrides=overrides).settings


def load_with_origins(
    *, config: Path | None = None, environ: Mapping[str, str] | None = None, overrides: Sequence[Override] = ()
) -> Loaded:
    """``load``, with where each value came from. ``environ``: the process's own unless given."""
    environ = os.environ if environ is None else environ
    file = find_file(config, environ)
    layers = [
        read_file(file) if file else Layer(values={}, origins={}),
        read_environment(environ),
        read_overrides(overrides),
    ]
    values, origins = _merged(layers)
    complaints = [line for layer in layers for line in layer.complaints]
    try:
        settings = Settings.model_validate(_with_state_dir(_without_empty(values)))
    except ValidationError as error:
        raise SettingsWrong([*complaints, *complaints_of(error, origins)]) from error
    if complaints:
        raise SettingsWrong(complaints)
    return Loaded(settings=settings, origins=origins, file=file)


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    """A section or a list of which only the name stands there is as good as none."""
    may_be_empty = {*sections(), *(leaf.key[0] for leaf in leaves() if leaf.kind in ("list", "roots"))}
    return {name: value for name, value in values.items() if value is not None or name not in may_be_empty}


def _with_state_dir(values: dict[str, Any]) -> dict[str, Any]:
    """The state folder is always known after loading: the user's own unless one is set."""
    if values.get("state_dir"):
        return values
    import platformdirs

    return {**values, "state_dir": platformdirs.user_state_path("photosift")}


def find_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """``--config``, ``PHOTOSIFT_CONFIG``, ``./photosift.yaml``, or the user's own; one that is named must exist."""
    named = config or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if named is not None:
        named = named.expanduser()
        if not named.is_file():
            said_by = "--config" if config else FILE_VARIABLE
            why = "a folder, not a settings file" if named.is_dir() else "no such file"
            raise UsageError(f"{said_by}: {printable(os.fsencode(named))}: {why}")
        return named
    import platformdirs

    usual = (Path(FILE_NAME), platformdirs.user_config_path("photosift") / FILE_NAME)
    return next((path for path in usual if path.is_file()), None)


# ---------------------------------------------------------------------------------------------- the file


def read_file(file: Path) -> Layer:
    """What the file says. Raises ``UsageError`` where it cannot be read or is no YAML."""
    return read_yaml(_content(file), name=printable(os.fsencode(file)), folder=file.absolute().parent)


def _content(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise UsageError(f"{printable(os.fsencode(file))}: {why}") from error


def read_yaml(text: str, *, name: str, folder: Path) -> Layer:
    """What YAML text says; ``folder`` is what relative paths are relative to."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UsageError(f"{name}{at}: not YAML: {problem}") from error
    reader = _Reader(name=name, origins={}, complaints=[])
    values = reader.read(node, ())
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise UsageError(f"{name}: not a list of settings such as `action: propose`")
    return Layer(values=placed(values, folder), origins=reader.origins, complaints=tuple(reader.complaints))


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Turns YAML nodes into texts, lists and mappings, and remembers the lines."""

    name: str
    origins: dict[Key, Origin]
    complaints: list[str]

    def read(self, node: yaml.Node | None, key: Key) -> Any:
        if node is None:
            return None
        if len(key) > DEEPEST:
            raise UsageError(f"{self._place(node)}: nested too deeply")
        self.origins[key] = Origin(source="file", place=self._place(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(each, (*key, n)) for n, each in enumerate(node.value)]
        return None if node.tag == "tag:yaml.org,2002:null" else node.value

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name_node, value in node.value:
            name = str(name_node.value) if isinstance(name_node, yaml.ScalarNode) else "?"
            if name in found:
                dotted = ".".join(map(str, (*key, name)))
                self.complaints.append(f"{self._place(name_node)}: {dotted}: stands there twice; allowed: once")
            found[name] = self.read(value, (*key, name))
            self.origins[(*key, name)] = Origin(source="file", place=self._place(name_node))
        return found

    def _place(self, node: yaml.Node) -> str:
        return f"{self.name}, line {node.start_mark.line + 1}"


# -------------------------------------------------------------------------------------- the environment


def read_environment(environ: Mapping[str, str]) -> Layer:
    """What the variables say; unknown ones with our prefix are complained about."""
    known = {leaf.variable: leaf for leaf in leaves()}
    layer = Layer(values={}, origins={})
    complaints: list[str] = []
    for variable in sorted(v for v in environ if v.startswith(PREFIX) and v not in NOT_SETTINGS):
        leaf = known.get(variable)
        if leaf is None:
            complaints.append(unknown_variable(variable))
            continue
        try:
            _put(layer, leaf.key, _from_variable(leaf, environ[variable]), Origin(source="environment", place=variable))
        except ValueError:
            wrong = "what starts with [ or { is read as JSON, and this is no list"
            allowed = f"{leaf.allowed}, as JSON or separated by commas"
            complaints.append(f"{variable}: {quoted(environ[variable])}: {wrong}; allowed: {allowed}")
    return Layer(values=placed(layer.values, Path.cwd()), origins=layer.origins, complaints=tuple(complaints))


def _from_variable(leaf: Leaf, text: str) -> Any:
    """Lists as JSON or separated by commas; everything else as it is. Raises ``ValueError`` for JSON of no list."""
    if leaf.kind not in ("list", "roots"):
        return None if text == "" and leaf.optional else text
    if text.lstrip().startswith(("[", "{")):
        found = json.loads(text)
        if not isinstance(found, list):
            raise ValueError("no list")
        return found
    return [part.strip() for part in text.split(",") if part.strip()]


# --------------------------------------------------------------------------------------- the command line


def read_overrides(overrides: Iterable[Override]) -> Layer:
    """What the command line says. Its folders are relative to the working folder."""
    layer = Layer(values={}, origins={})
    for each in overrides:
        _put(layer, tuple(each.key.split(".")), each.value, Origin(source="command line", place=each.option))
    return Layer(values=placed(layer.values, Path.cwd()), origins=layer.origins)


def _put(layer: Layer, key: tuple[str, ...], value: Any, origin: Origin) -> None:
    section = layer.values
    for name in key[:-1]:
        section = section.setdefault(name, {})
    section[key[-1]] = value
    layer.origins[key] = origin


# ---------------------------------------------------------------------------------------------- together


def _merged(layers: Iterable[Layer]) -> tuple[dict[str, Any], dict[Key, Origin]]:
    """A later layer wins setting by setting; a list is replaced as a whole, with where its parts came from."""
    values: dict[str, Any] = {}
    origins: dict[Key, Origin] = {}
    for layer in layers:
        _overlay(values, layer.values)
        whole = {leaf.key for leaf in leaves()} & layer.origins.keys()
        origins = {key: origin for key, origin in origins.items() if not any(key[: len(w)] == w for w in whole)}
        origins.update(layer.origins)
    return values, origins


def _overlay(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for name, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(name), dict):
            _overlay(below[name], value)
        else:
            below[name] = value

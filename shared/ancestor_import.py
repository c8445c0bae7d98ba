"""Carries the settings of py-image-dedup over: its YAML file, or its ``PY_IMAGE_DEDUP_…`` variables.

Acting is never turned on: what the old settings did is said, and left for a person to decide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shared.config import Settings, name_of
from shared.errors import UsageError
from shared.paths import printable
from shared.settings_places import placed
from shared.settings_roots import unique_names
from shared.settings_rules import RULE_NAMES
from shared.settings_sources import read_file
from shared.settings_yaml import one_line, value_of, yaml_text

SECTION = "py_image_dedup"
PREFIX = "PY_IMAGE_DEDUP_"

#: old setting -> ours, where the value is the same
SAME: Mapping[str, str] = {
    "analysis.source_directories": "roots",
    "analysis.recursive": "watch.recursive",
    "analysis.across_dirs": "deduplication.across_roots",
    "analysis.file_extensions": "watch.extensions",
    "analysis.exclusions": "watch.exclusions",
    "analysis.threads": "analysis.threads",
    "analysis.use_exif_data": "analysis.use_exif",
    "deduplication.duplicates_target_directory": "target",
    "deduplication.max_file_modification_time_diff": "deduplication.max_modification_time_difference",
    "deduplication.prioritization_rules": "deduplication.rules",
    "remove_empty_folders": "remove_empty_folders",
    "daemon.processing_timeout": "watch.settle_seconds",
    "daemon.timeout": "watch.settle_seconds",
    "daemon.file_observer": "watch.observer",
    "elasticsearch.max_distance": "deduplication.max_distance",
    "stats.enabled": "stats_enabled",
    "stats.port": "stats_port",
}
_NO_INDEX = "photosift keeps its own index and builds it anew from the photos"
#: old setting -> why it has no place here
DROPPED: Mapping[str, str] = {
    "elasticsearch.host": _NO_INDEX,
    "elasticsearch.port": _NO_INDEX,
    "elasticsearch.index": _NO_INDEX,
    "elasticsearch.auto_create_index": _NO_INDEX,
}
_LISTS = ("source_directories", "file_extensions", "exclusions", "prioritization_rules")
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SPAN = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+(?:\.\d+)?)s?)?")
_CLOCK = re.compile(r"(\d+):(\d{1,2}):(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Our settings, and what a person must know about them."""

    #: a file that photosift loads
    text: str
    #: ``old -> ours: value``
    carried: tuple[str, ...]
    #: what could not be carried over, and why
    left: tuple[str, ...]
    #: what the old settings did with duplicates, and how to do it here
    acting: str


@dataclass(kw_only=True)
class _Found:
    values: dict[str, Any] = field(default_factory=dict)
    #: old name, our name, and the value as it was taken over
    carried: list[tuple[str, str, str]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def import_file(file: Path) -> Imported:
    """From ``py_image_dedup.yaml``. Raises ``UsageError`` where it is none."""
    layer = read_file(file)
    if not isinstance(layer.values.get(SECTION), dict):
        raise UsageError(f"{printable(str(file))}: no py-image-dedup file: it has no section {SECTION}")
    return import_values(dict(_flat(layer.values[SECTION], "")), base=file.absolute().parent)


def import_variables(environ: Mapping[str, str], base: Path) -> Imported:
    """From ``PY_IMAGE_DEDUP_…`` variables. Raises ``UsageError`` where there are none."""
    names = {PREFIX + old.replace(".", "_").upper(): old for old in (*SAME, *DROPPED, "dry_run")}
    given = {names.get(v, v): text for v, text in environ.items() if v.startswith(PREFIX)}
    if not given:
        raise UsageError(f"no variable starts with {PREFIX}")
    return import_values({old: _listed(old, text) for old, text in given.items()}, base=base)


def _listed(old: str, text: str) -> Any:
    return [part.strip() for part in text.split(",") if part.strip()] if old.endswith(_LISTS) else text


def _flat(section: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def import_values(old: Mapping[str, Any], *, base: Path) -> Imported:
    """[pure] ``old``: dotted names of the ancestor to texts and lists; ``base``: what its relative folders mean."""
    found = _Found()
    for name, value in _in_order(old):
        if value is not None and name != "dry_run":
            _carry(name, value, found, base)
    found.left += _unclear_dry_run(old)
    _drop_impossible_target(found)
    settings = Settings.model_validate(found.values)
    acting = _acting(old)
    carried = tuple(f"{name} -> {ours}: {value}" for name, ours, value in found.carried)
    keys = [("action",), *(tuple(ours.split(".")) for _, ours, _ in found.carried)]
    text = "".join(_head(acting, found.left)) + yaml_text(settings, keys)
    return Imported(text=text, carried=carried, left=tuple(found.left), acting=acting)


def _carry(name: str, value: Any, found: _Found, base: Path) -> None:
    ours = SAME.get(name)
    if ours is None:
        found.left.append(f"{printable(name)}: {DROPPED.get(name, 'no such setting of py-image-dedup is known')}")
        return
    values = _nested(ours, _translated(name, value, found))
    try:
        alone = Settings.model_validate(placed(values, base))
    except ValidationError as error:
        found.left.append(f"{name}: {printable(one_line(value))}: {error.errors()[0]['msg']}")
        return
    other = next((old for old, taken, _ in found.carried if taken == ours), None)
    if other is not None:
        found.left.append(f"{name}: {printable(one_line(value))}: {other} says the same and counts")
        return
    _overlay(found.values, placed(values, base))
    found.carried.append((name, ours, one_line(value_of(alone, ours.split(".")))))


def _in_order(old: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Of two names for one setting the program's own comes first, whatever the order of the file."""
    return sorted(old.items(), key=lambda item: item[0] == "daemon.timeout")


def _nested(dotted: str, value: Any) -> dict[str, Any]:
    return dict(reduce(lambda inner, name: {name: inner}, reversed(dotted.split(".")), value))


def _overlay(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for name, value in above.items():
        if isinstance(value, dict):
            _overlay(below.setdefault(name, {}), value)
        else:
            below[name] = value


# --------------------------------------------------------------------------------------------- the values


def _translated(name: str, value: Any, found: _Found) -> Any:
    translate: Mapping[str, Callable[[Any, _Found], Any]] = {
        "analysis.source_directories": _roots,
        "analysis.exclusions": _exclusions,
        "deduplication.prioritization_rules": _rules,
        "deduplication.max_file_modification_time_diff": lambda v, _: _span(v),
        "daemon.processing_timeout": lambda v, _: _seconds(v),
        "daemon.timeout": lambda v, _: _seconds(v),
    }
    return translate[name](value, found) if name in translate else value


def _roots(value: Any, _found: _Found) -> Any:
    """Each folder once, each name once: ``photos``, ``photos-2``."""
    folders = list(dict.fromkeys(value if isinstance(value, list) else [value]))
    if not all(isinstance(folder, str) for folder in folders):
        return value
    names = unique_names([name_of(Path(folder)) for folder in folders])
    return [{"name": name, "path": folder} for name, folder in zip(names, folders, strict=True)]


def _exclusions(value: Any, found: _Found) -> Any:
    """One bad expression must not cost the others: what they leave out would be looked at."""
    kept = []
    for text in value if isinstance(value, list) else [value]:
        try:
            re.compile(str(text))
            kept.append(str(text))
        except re.error as error:
            found.left.append(f"analysis.exclusions: {printable(str(text))}: not a regular expression: {error}")
    return kept


def _rules(value: Any, found: _Found) -> Any:
    """``[{name: …}]`` or names; a rule that does not exist here is left out."""
    entries = value if isinstance(value, list) else [value]
    names = [str(entry.get("name") if isinstance(entry, dict) else entry) for entry in entries]
    unknown = [name for name in names if name not in RULE_NAMES]
    found.left += [f"deduplication.prioritization_rules: {printable(name)}: no such rule" for name in unknown]
    return [name for name in names if name in RULE_NAMES]


def _span(value: Any) -> Any:
    """``0:05:00``, ``5m``, ``300`` as a time span; anything else as it is, to be refused by the models."""
    text = str(value).strip()
    clock = _CLOCK.fullmatch(text)
    if clock:
        hours, minutes, seconds = clock.groups()
        return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))
    spans = _SPAN.fullmatch(text)
    if text and spans:
        return timedelta(seconds=sum(float(n or 0) * u for n, u in zip(spans.groups(), _UNITS.values(), strict=True)))
    return value


def _seconds(value: Any) -> Any:
    span = _span(value)
    return span.total_seconds() if isinstance(span, timedelta) else value


# ------------------------------------------------------------------------------------- what must be said


def _drop_impossible_target(found: _Found) -> None:
    try:
        Settings.model_validate(found.values)
    except ValidationError as error:
        target = found.values.pop("target")
        found.carried = [each for each in found.carried if each[1] != "target"]
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        found.left.append(f"deduplication.duplicates_target_directory: {printable(str(target))}: {why}")


_YES, _NO = ("true", "yes", "on", "1", "y", "t"), ("false", "no", "off", "0", "n", "f")


def _dry_run(old: Mapping[str, Any]) -> str:
    return str(old.get("dry_run", "true")).strip().lower()


def _unclear_dry_run(old: Mapping[str, Any]) -> list[str]:
    said = _dry_run(old)
    if said in (*_YES, *_NO):
        return []
    return [f"dry_run: {printable(said)}: neither true nor false; taken for true"]


def _acting(old: Mapping[str, Any]) -> str:
    """What the ancestor did: with ``dry_run: false`` and no target it deletes."""
    if _dry_run(old) not in _NO:
        return "py-image-dedup only listed duplicates (dry_run: true); photosift proposes, too"
    if old.get("deduplication.duplicates_target_directory"):
        return (
            "py-image-dedup moved duplicates to its target (dry_run: false); photosift only proposes until you set "
            "action: move"
        )
    return (
        "py-image-dedup deleted duplicates (dry_run: false and no target); photosift only proposes until you set "
        "action: move with a target, or action: delete with allow_delete: true"
    )


def _head(acting: str, left: list[str]) -> Iterator[str]:
    yield f"# Carried over from py-image-dedup by `photosift config import`.\n# {acting}.\n"
    if left:
        yield "# Not carried over:\n"
        yield from (f"#   {line}\n" for line in left)
    yield "\n"

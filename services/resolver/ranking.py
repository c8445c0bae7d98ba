"""[pure] Which of several files is kept: the ancestor's rules, under their names.

A rule gives every file a key of its own, and the smaller key is better; so a list of rules is a total order with
the path at its end, and the same files give the same keeper in whatever order they arrived. *Ties*: equal keys are a
tie, and the next rule decides; no two files share a path. *Rounding*: distances are sums of floats, so they are
rounded to 1e-9 before they are compared (``clustering.rounded``), else the order of summing could decide.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from shared.errors import UsageError
from shared.messages.analysis import Facts
from shared.messages.base import FileStat
from shared.paths import PhotoPath
from shared.words import counted

Role = Literal["library", "reference", "incoming", "backup"]

#: whose files lead: what is never a victim first, what may keep only its own root's files last (S22)
_LEADING: dict[Role, int] = {"reference": 0, "library": 1, "incoming": 2, "backup": 3}
#: names given to a choice that no rule of the settings made
BY_ROLE, BY_PATH = "role", "path"


class UnknownRule(UsageError):
    """There is no such ranking rule."""

    code = "unknown-rule"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A live file with all that the rules look at."""

    path: PhotoPath
    #: the version that is decided about
    version: int
    sha256: str
    stat: FileStat
    facts: Facts
    role: Role
    #: seconds since the epoch at which it was first known at its place (S15)
    known_since: float
    #: why it may only be proposed (S15)
    doubt: str | None = None
    #: the absolute folder of its root on this host; lengths of paths are those that a person sees
    root_folder: bytes = b""
    #: mean signature distance to the other members of its group, rounded; known before a keeper is
    distance: float = 0.0

    @property
    def file_id(self) -> str:
        return self.path.file_id

    @property
    def score(self) -> float:
        return 1.0 - self.distance


def higher_pixel_count(file: Candidate) -> int:
    return -file.facts.pixels


def lower_pixel_count(file: Candidate) -> int:
    return file.facts.pixels


def more_exif_data(file: Candidate) -> int:
    return -file.facts.exif_tags


def less_exif_data(file: Candidate) -> int:
    return file.facts.exif_tags


def bigger_file_size(file: Candidate) -> int:
    return -file.stat.size


def smaller_file_size(file: Candidate) -> int:
    return file.stat.size


def newer_file_modification_date(file: Candidate) -> int:
    return -file.stat.mtime_ns


def older_file_modification_date(file: Candidate) -> int:
    return file.stat.mtime_ns


def smaller_distance(file: Candidate) -> float:
    return file.distance


def bigger_distance(file: Candidate) -> float:
    return -file.distance


def doesnt_contain_copy_in_file_name(file: Candidate) -> bool:
    """A name containing "copy" loses. Its opposite's name means the same: the ancestor had the two mixed up."""
    return b"copy" in file.path.name.lower()


def longer_file_name(file: Candidate) -> int:
    """Programs append to the name of what they edited."""
    return -_characters(file.path.name)


def shorter_file_name(file: Candidate) -> int:
    return _characters(file.path.name)


def longer_folder_path(file: Candidate) -> int:
    return -_characters(_folder(file))


def shorter_folder_path(file: Candidate) -> int:
    return _characters(_folder(file))


def longer_path(file: Candidate) -> int:
    return -_characters(file.path.below(file.root_folder))


def shorter_path(file: Candidate) -> int:
    return _characters(file.path.below(file.root_folder))


def higher_score(file: Candidate) -> float:
    return -file.score


def lower_score(file: Candidate) -> float:
    return file.score


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A ranking rule."""

    name: str
    #: the smaller key is better
    key: Callable[[Candidate], Any]
    #: what a person reads of a file under this rule
    says: Callable[[Candidate], str]
    #: the same to the last digit, where the two would read alike
    says_exactly: Callable[[Candidate], str] | None = None

    def compare(self, keeper: Candidate, other: Candidate) -> str:
        """Both files under this rule, such that a person sees the difference."""
        mine, its = self.says(keeper), self.says(other)
        if mine == its and self.says_exactly:
            mine, its = self.says_exactly(keeper), self.says_exactly(other)
        return f"the keeper has {mine}, this one {its}"


def _rules() -> Iterable[Rule]:
    for keys, says in _SAYINGS:
        for key in keys:
            name = key.__name__.replace("_", "-")
            yield Rule(name=name, key=key, says=says, says_exactly=_EXACTLY.get(key))
    yield Rule(name="contains-copy-in-file-name", key=doesnt_contain_copy_in_file_name, says=_name_says)


def _name_says(file: Candidate) -> str:
    return '"copy" in the name' if doesnt_contain_copy_in_file_name(file) else 'no "copy" in the name'


_SAYINGS: tuple[tuple[tuple[Callable[[Candidate], Any], ...], Callable[[Candidate], str]], ...] = (
    ((higher_pixel_count, lower_pixel_count), lambda f: f"{f.facts.width} x {f.facts.height} pixels"),
    ((more_exif_data, less_exif_data), lambda f: counted(f.facts.exif_tags, "EXIF tag")),
    ((bigger_file_size, smaller_file_size), lambda f: counted(f.stat.size, "byte")),
    (
        (newer_file_modification_date, older_file_modification_date),
        lambda f: f"modification time {_moment(f.stat.mtime_ns)}",
    ),
    ((smaller_distance, bigger_distance), lambda f: f"mean distance {f.distance:.4f} to the group"),
    ((doesnt_contain_copy_in_file_name,), _name_says),
    (
        (longer_file_name, shorter_file_name),
        lambda f: f"a name of {counted(_characters(f.path.name), 'character')}",
    ),
    (
        (longer_folder_path, shorter_folder_path),
        lambda f: f"a folder path of {counted(_characters(_folder(f)), 'character')}",
    ),
    (
        (longer_path, shorter_path),
        lambda f: f"a path of {counted(_characters(f.path.below(f.root_folder)), 'character')}",
    ),
    ((higher_score, lower_score), lambda f: f"score {f.score:.4f}"),
)

_EXACTLY: Mapping[Callable[[Candidate], Any], Callable[[Candidate], str]] = {
    newer_file_modification_date: lambda f: f"modification time {_moment(f.stat.mtime_ns, fraction=True)}",
    older_file_modification_date: lambda f: f"modification time {_moment(f.stat.mtime_ns, fraction=True)}",
    smaller_distance: lambda f: f"mean distance {f.distance:.9f} to the group",
    bigger_distance: lambda f: f"mean distance {f.distance:.9f} to the group",
    higher_score: lambda f: f"score {f.score:.9f}",
    lower_score: lambda f: f"score {f.score:.9f}",
}

#: every rule by its name
RULES: Mapping[str, Rule] = {rule.name: rule for rule in _rules()}


def rules_named(names: Iterable[str]) -> tuple[Rule, ...]:
    """The rules in the order given. Raises ``UnknownRule``."""
    chosen = []
    for name in names:
        if name not in RULES:
            raise UnknownRule(f"{name!r}; there are: {', '.join(sorted(RULES))}")
        chosen.append(RULES[name])
    return tuple(chosen)


def rank(candidates: Iterable[Candidate], rules: Sequence[Rule]) -> list[Candidate]:
    """The candidates, best first: by role (S22), by each rule in turn, last by path."""
    return sorted(candidates, key=lambda c: (_LEADING[c.role], *(rule.key(c) for rule in rules), c.path))


def decided_by(keeper: Candidate, other: Candidate, rules: Sequence[Rule]) -> str:
    """The first rule that tells the two apart, if it prefers the keeper; else what put the keeper first all the same.

    ``role``: the rules prefer the other, but the keeper's root has the word (S22). ``path``: no rule tells them apart.
    """
    for rule in rules:
        mine, its = rule.key(keeper), rule.key(other)
        if mine != its:
            return rule.name if mine < its else BY_ROLE
    return BY_PATH if keeper.path < other.path else BY_ROLE


def why(keeper: Candidate, other: Candidate, rules: Sequence[Rule]) -> str:
    """One sentence for a person: why the keeper is the one of the two to keep."""
    name = decided_by(keeper, other, rules)
    if name == BY_ROLE:
        return f"the keeper lies in a {keeper.role} root, the other in a {other.role} root"
    if name == BY_PATH:
        return "no rule tells them apart; the first by path is kept"
    return f"{name}: {RULES[name].compare(keeper, other)}"


def _folder(file: Candidate) -> bytes:
    return os.path.dirname(file.path.below(file.root_folder))


def _characters(name: bytes) -> int:
    """As a person counts them: an umlaut is one, whatever its bytes."""
    return len(name.decode("utf-8", "surrogateescape"))


def _moment(nanoseconds: int, *, fraction: bool = False) -> str:
    """UTC; a time outside the calendar (a file system holds what it was told) is shown at its edge."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    shown = datetime.fromtimestamp(min(max(seconds, 0), 253_402_300_799), UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{shown}.{rest:09} UTC" if fraction else f"{shown} UTC"

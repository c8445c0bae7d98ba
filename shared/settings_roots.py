"""Roots named on the command line: each folder gets a name once, and keeps it.

A root's name is part of every file's identity. Two folders called ``Pictures``, scanned on different days, must not
become one root (S14), and ``restore PATH`` must find the root of a path that no settings file names. So the state
folder remembers which name was given to which folder.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.config import Root, Settings, name_of
from shared.errors import UsageError
from shared.paths import PhotoPath, printable

REMEMBERED = "folders.json"
_NONE_KNOWN = "none is known yet: scan or run makes one, adopt brings back one whose state folder was lost"
Role = Literal["library", "reference", "incoming", "backup"]


@dataclass(frozen=True, kw_only=True)
class ChosenRoots:
    """The roots for one command, and what a person should know about them."""

    roots: tuple[Root, ...]
    notes: tuple[str, ...]


def unique_names(wanted: Sequence[str], taken: frozenset[str] = frozenset()) -> list[str]:
    """[pure] The names in their order, each one that is taken already with ``-2``, ``-3`` …"""
    given: list[str] = []
    for name in wanted:
        tries = (name if n == 1 else f"{name}-{n}" for n in range(1, len(wanted) + len(taken) + 2))
        given.append(next(each for each in tries if each not in taken and each not in given))
    return given


def named_folder(given: str | None, option: str) -> Path | None:
    """A folder that an option names and that need not exist, ``~`` replaced. Raises ``UsageError`` for an empty one."""
    if given is None:
        return None
    if not given:
        raise UsageError(f"{option}: no folder is named")
    return Path(os.path.expanduser(given))


def existing_folder(given: str) -> Path:
    """The folder itself, ``~`` replaced, links resolved. Raises ``UsageError`` for a path that is none."""
    shown = printable(given)
    if not given:
        raise UsageError("DIR: no folder is named (an empty one would be the current folder)")
    folder = Path(os.path.expanduser(given))
    try:
        if not folder.is_dir():
            raise UsageError(f"{shown}: {'not a folder' if folder.exists() else 'no such folder'}")
        return Path(os.path.realpath(folder))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{shown}: {why}") from error


def choose_roots(folders: Sequence[Path], configured: Sequence[Root], remembered: Mapping[Path, str]) -> ChosenRoots:
    """[pure] Roots for resolved folders. Those of the settings keep name and role; others, elsewhere, are libraries."""
    once = list(dict.fromkeys(folders))
    known = {root.path: root for root in configured}
    taken = frozenset({root.name for root in configured} | set(remembered.values()))
    new = [folder for folder in once if folder not in known and folder not in remembered]
    names = {**remembered, **dict(zip(new, unique_names([name_of(f) for f in new], taken), strict=True))}
    roots = tuple(known.get(f) or Root(name=names[f], path=f, role=_role_of(f, configured)) for f in once)
    inside = tuple(_protected_inside(once, configured))
    return ChosenRoots(roots=(*roots, *inside), notes=(*_notes(folders, once), *_notes_on(inside)))


def _role_of(folder: Path, configured: Sequence[Root]) -> Role:
    """A folder inside a root of the settings has that one's role: naming it lifts no protection (S22)."""
    around = [root for root in configured if folder.is_relative_to(root.path)]
    return max(around, key=lambda root: len(root.path.parts)).role if around else "library"


def _protected_inside(once: Sequence[Path], configured: Sequence[Root]) -> Iterator[Root]:
    """Roots of the settings that lie in a named folder and are not plain libraries stay what they are (S22)."""
    for root in configured:
        lies_inside = any(root.path != folder and root.path.is_relative_to(folder) for folder in once)
        if root.role != "library" and root.path not in once and lies_inside:
            yield root


def _notes_on(inside: Sequence[Root]) -> Iterator[str]:
    for root in inside:
        yield f"{_shown(root.path)} lies inside and is a {root.role} root of the settings: all is only proposed"


def _notes(folders: Sequence[Path], once: Sequence[Path]) -> Iterator[str]:
    for folder in once:
        if list(folders).count(folder) > 1:
            yield f"{_shown(folder)} is named more than once; it is looked at once"
        for other in once:
            if other != folder and folder.is_relative_to(other):  # S4
                yield f"{_shown(folder)} lies inside {_shown(other)}: copies between the two are only proposed"


def _shown(folder: Path) -> str:
    return printable(os.fsencode(folder))


def all_known_roots(settings: Settings, remembered: Mapping[Path, str]) -> tuple[Root, ...]:
    """[pure] The settings' roots, and the folders named on a command line before; the settings win."""
    paths, names = {root.path for root in settings.roots}, {root.name for root in settings.roots}
    target = settings.target
    others = (
        Root(name=name, path=path)
        for path, name in remembered.items()
        if path not in paths and name not in names and not (target and path.is_relative_to(target))
    )
    return (*settings.roots, *others)


def photo_path(given: str, roots: Sequence[Root]) -> PhotoPath:
    """Root and bytes below it, of a path or of ``root:path``. Links are resolved up to its folder; it need not exist.

    Raises ``UsageError`` for a path outside all roots, and ``UnsafePath`` for a ``root:path`` that is no clean path.
    """
    if not given:
        raise UsageError("no path is named")
    absolute = os.path.abspath(os.path.expanduser(os.fsencode(given)))
    folder, name = os.path.split(absolute)
    whole = os.path.join(os.path.realpath(folder), name)
    holding = [root for root in roots if whole.startswith(_prefix(root))]
    if holding:
        root = max(holding, key=lambda each: len(_prefix(each)))
        return PhotoPath(root.name, whole.removeprefix(_prefix(root)))
    root_name, colon, below = given.partition(":")
    if colon and any(root.name == root_name for root in roots):
        return PhotoPath(root_name, os.fsencode(below))
    known = ", ".join(_shown(root.path) for root in roots) or _NONE_KNOWN
    raise UsageError(f"{printable(os.fsencode(given))}: lies below no root ({known})")


def folder_place(given: str, roots: Sequence[Root]) -> tuple[str, bytes]:
    """Root and bytes below it of a folder; ``b""`` for a root itself, which is named by its own path alone.

    Raises ``UsageError`` for anything else, ``UnsafePath`` for a ``root:path`` that is no clean path.
    """
    if not given:
        raise UsageError("the folder's name is empty")
    real = os.path.realpath(os.fsencode(given))
    for root in roots:
        top = os.fsencode(root.path)
        if real == os.path.realpath(top):
            return root.name, b""
        if given.rstrip("/") == f"{root.name}:" and not os.path.lexists(given):
            raise UsageError(f"{given}: to allow acting in all of this root, give its own path: {_shown(root.path)}")
    place = photo_path(given.rstrip("/") or given, roots)
    return place.root, place.rel


def _prefix(root: Root) -> bytes:
    return os.path.join(os.fsencode(root.path), b"")


# ------------------------------------------------------------------------------------------ remembering


def remembered_names(state_dir: Path) -> dict[Path, str]:
    """The names given before, by resolved folder. Raises ``UsageError`` for a damaged record."""
    try:
        text = (state_dir / REMEMBERED).read_text()
        return {Path(folder): str(name) for folder, name in json.loads(text).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{_shown(state_dir / REMEMBERED)}: cannot be read: {error}") from error


def chosen_and_remembered(folders: Sequence[Path], configured: Sequence[Root], state_dir: Path) -> ChosenRoots:
    """``choose_roots``, remembered before anything uses the names. Raises ``UsageError`` where that is impossible."""
    try:
        with _alone(state_dir):
            before = remembered_names(state_dir)
            chosen = choose_roots(folders, configured, before)
            own = {root.path for root in configured}
            after = {**before, **{root.path: root.name for root in chosen.roots if root.path not in own}}
            if after != before:
                _write(state_dir / REMEMBERED, json.dumps({str(path): name for path, name in after.items()}, indent=1))
    except OSError as error:
        raise UsageError(f"state folder {_shown(state_dir)}: {error.strerror}") from error
    return chosen


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Two commands at once must not give one name to two folders."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(state_dir / f"{REMEMBERED}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and on disk before the names are used."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

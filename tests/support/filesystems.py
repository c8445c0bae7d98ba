"""Real file systems for tests: made in a file, mounted, and unmounted again. Where that cannot be, the test skips and says why.

``mounted(kind, folder)`` is a context manager that gives a ``Place``. Nothing but Linux, root and the tools of ``.ci/packages.txt``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, kw_only=True)
class Place:
    """A mounted file system and what is known of it (design: what filesystems really do)."""

    kind: str
    #: writable, empty, on that file system
    folder: Path
    #: RENAME_NOREPLACE works
    noreplace: bool = True
    #: link(2) works
    links: bool = True
    #: one name for IMG.jpg and img.jpg
    folds_case: bool = False
    #: names are any bytes
    any_bytes: bool = True
    #: owner and mode are kept
    owners: bool = True


TRAITS: dict[str, dict[str, bool]] = {
    "plain": {},
    "tmpfs": {},
    "ext4": {},
    "xfs": {},
    "btrfs": {},
    "overlay": {},
    "exfat": {"noreplace": False, "links": False, "folds_case": True, "any_bytes": False, "owners": False},
    "ntfs": {"noreplace": False, "any_bytes": False},
    "mergerfs": {"noreplace": False},
    "bindfs": {"noreplace": False},
}
_MAKE = {
    "ext2": ("64M", ["mkfs.ext2", "-q", "-F"]),
    "ext4": ("64M", ["mkfs.ext4", "-q", "-F"]),
    "xfs": ("320M", ["mkfs.xfs", "-q", "-f"]),
    "btrfs": ("128M", ["mkfs.btrfs", "-q", "-f"]),
    "exfat": ("64M", ["mkfs.exfat"]),
    "ntfs": ("64M", ["mkntfs", "-q", "-F", "-f"]),
}


@contextlib.contextmanager
def mounted(kind: str, folder: Path, *, size: str | None = None) -> Iterator[Place]:
    """``kind`` mounted below ``folder`` (an empty folder of the test's own)."""
    with contextlib.ExitStack() as stack:
        yield Place(kind=kind, folder=_mount(kind, folder, size, stack), **TRAITS[kind])


def _mount(kind: str, folder: Path, size: str | None, stack: contextlib.ExitStack) -> Path:
    if kind == "plain":
        return folder
    at = _made(folder / "mounted")
    if kind == "tmpfs":
        mount(stack, at, "mount", "-t", "tmpfs", "-o", f"size={size or '64M'}", "photosift-test", at)
    elif kind in _MAKE:
        mount_image(stack, kind, image(kind, folder / "image", size), at)
    elif kind == "overlay":
        lower, upper, work = (_made(folder / name) for name in ("lower", "upper", "work"))
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        mount(stack, at, "mount", "-t", "overlay", "-o", options, "photosift-test", at)
    elif kind == "bindfs":
        mount(stack, at, "bindfs", _made(folder / "source"), at)
    elif kind == "mergerfs":
        branches = [_made(folder / name) for name in ("branch-1", "branch-2")]
        mount(stack, at, "mergerfs", "-o", "category.create=mfs", ":".join(map(str, branches)), at)
    return at


def image(kind: str, path: Path, size: str | None = None) -> Path:
    """A file with an empty file system in it, sparse."""
    usual, make = _MAKE[kind]
    with path.open("wb") as file:
        file.truncate(_bytes(size or usual))
    run(*make, path)
    return path


def mount_image(stack: contextlib.ExitStack, kind: str, path: Path, at: Path, options: str = "rw") -> None:
    """Mount a file through a loop device; by FUSE where that is the only driver."""
    if kind == "exfat":
        loop = run("losetup", "--find", "--show", path).strip()
        stack.callback(run, "losetup", "--detach", loop)
        mount(stack, at, "mount.exfat-fuse", loop, at, "-o", options)
    elif kind == "ntfs":
        mount(stack, at, "ntfs-3g", "-o", f"{options},permissions", path, at)
    else:
        mount(stack, at, "mount", "-t", kind, "-o", f"loop,{options}", path, at)


def mount(stack: contextlib.ExitStack, at: Path, *command: object) -> None:
    """Mount, and unmount when the stack closes. Skips the test where the tool or the permission is missing."""
    run(*command)
    stack.callback(unmount, at)


def unmount(at: Path) -> None:
    subprocess.run(["umount", "--lazy", at], check=True, capture_output=True)


def run(*command: object) -> str:
    """Output of a command that must work; what is missing here is no fault of the code under test."""
    words = [str(word) for word in command]
    if os.geteuid() != 0:
        pytest.skip(f"mounting needs root: {words[0]}")
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed (.ci/packages.txt)")
    done = subprocess.run(words, check=False, capture_output=True, text=True, errors="replace", timeout=60)
    if done.returncode:
        pytest.skip(f"{' '.join(words[:3])} … cannot here: {done.stderr.strip()[-200:]}")
    return done.stdout


@contextlib.contextmanager
def required_in_ci() -> Iterator[None]:
    """A laptop may skip for want of root or tools; with ``CI=true`` that is a failure."""
    try:
        yield
    except pytest.skip.Exception as why:
        if os.environ.get("CI") == "true":
            pytest.fail(f"must not be skipped in CI: {why}")
        raise


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _bytes(size: str) -> int:
    return int(size.removesuffix("M")) << 20


def overwrite_in_image(path: Path, piece: bytes) -> int:
    """Zero every place of these bytes on the device behind a mounted file system's back; how many there were."""
    with path.open("r+b") as file:
        content, at, count = file.read(), -1, 0
        while (at := content.find(piece, at + 1)) >= 0:
            file.seek(at)
            file.write(bytes(len(piece)))
            at += len(piece)
            count += 1
    return count

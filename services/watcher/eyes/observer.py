"""inotify through watchdog: hints that something may have changed, never facts. (S16)

watchdog's own inotify emitter loses what this service needs: it drops the kernel's overflow notice, does not watch
folders that are moved in, and its thread ends at a KeyError. So the emitter here is ours, on watchdog's observer.
Every hint is about the name that is there *now* (the destination of a rename), filtered by the same rules as a pass.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, EventEmitter, EventQueue, ObservedWatch
from watchdog.observers.inotify_c import InotifyConstants as Mask
from watchdog.observers.inotify_c import inotify_add_watch, inotify_init, inotify_rm_watch

from services.watcher.eyes.known import joined
from services.watcher.eyes.looking import AskFolder, folders_of
from services.watcher.eyes.observing import Place
from services.watcher.eyes.stepping import Unreadable
from services.watcher.ignoring import manager_by
from shared.errors import TransientError

_HEADER = struct.Struct("iIII")
_BUFFER = 256 * 1024
_EVENTS = (
    Mask.IN_CREATE | Mask.IN_CLOSE_WRITE | Mask.IN_MODIFY | Mask.IN_ATTRIB | Mask.IN_MOVED_FROM | Mask.IN_MOVED_TO
    | Mask.IN_DELETE | Mask.IN_DELETE_SELF | Mask.IN_MOVE_SELF | Mask.IN_ONLYDIR | Mask.IN_EXCL_UNLINK
)  # fmt: skip
_TOP_WENT = Mask.IN_DELETE_SELF | Mask.IN_MOVE_SELF | Mask.IN_UNMOUNT
_APPEARED = Mask.IN_CREATE | Mask.IN_MOVED_TO
_VANISHED = Mask.IN_DELETE | Mask.IN_MOVED_FROM


class WatchesExhausted(TransientError):
    """The kernel gives out no more inotify watches."""

    code = "watches-exhausted"

    def __init__(self, number: int) -> None:
        limit = "max_user_instances" if number == errno.EMFILE else "max_user_watches"
        self.remedy = f"sudo sysctl -w fs.inotify.{limit}={_doubled(limit)}"
        super().__init__(f"fs.inotify.{limit} is used up; changes are found by rescans instead. More: {self.remedy}")


class CannotWatch(TransientError):
    """The folder cannot be watched."""

    code = "cannot-watch"


class Hint(NamedTuple):
    """Something may have changed."""

    #: ``file`` | ``folder`` (it, and everything below) | ``managed`` (a program's mark appeared in the folder)
    #: | ``lost`` (events were lost: look at everything) | ``exhausted`` (no more watches; ``detail``: what helps)
    #: | ``top`` (the root itself went)
    kind: str
    rel: bytes = b""
    detail: str = ""


class HintEvent(FileSystemEvent):
    """A hint on its way through watchdog's queue, which drops one that repeats the last."""

    event_type = "hint"

    def __init__(self, hint: Hint) -> None:
        super().__init__(src_path=hint.rel)
        self.hint = hint

    @property
    def key(self) -> tuple[Any, ...]:
        return self.hint

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HintEvent) and self.hint == other.hint

    def __hash__(self) -> int:
        return hash(self.hint)


class Observer:
    """Watches one root until ``stop``. ``heard`` is called from a thread of the observer's."""

    def __init__(self, place: Place, ask: AskFolder, heard: Callable[[Hint], None]) -> None:
        def emitter(queue: EventQueue, watch: ObservedWatch, **options: Any) -> EventEmitter:
            return HintEmitter(queue, watch, place=place, ask=ask, **options)

        self._observer = BaseObserver(emitter)  # type: ignore[arg-type]
        self._observer.schedule(_Listener(heard), "root")

    @property
    def is_alive(self) -> bool:
        """Whether everything started still runs: a thread that ended by an error hears nothing more."""
        return self._observer.is_alive() and all(emitter.is_alive() for emitter in self._observer.emitters)

    def start(self) -> None:
        """Watch everything; blocking. Raises ``WatchesExhausted``, ``CannotWatch``, ``Unreadable``."""
        self._observer.start()

    def stop(self) -> None:
        """Blocking; may be called twice."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()


class _Listener(FileSystemEventHandler):
    def __init__(self, heard: Callable[[Hint], None]) -> None:
        self._heard = heard

    def dispatch(self, event: FileSystemEvent) -> None:
        if isinstance(event, HintEvent):
            self._heard(event.hint)


class HintEmitter(EventEmitter):
    """Reads one inotify descriptor that watches every folder of a root."""

    def __init__(
        self,
        queue: EventQueue,
        watch: ObservedWatch,
        *,
        place: Place,
        ask: AskFolder,
        **options: Any,
    ) -> None:
        super().__init__(queue, watch, **options)
        self._place, self._ask = place, ask
        self._folders: dict[int, bytes] = {}
        self._watches: dict[bytes, int] = {}

    # --- beginning and end ----------------------------------------------------------------------------------------

    def on_thread_start(self) -> None:
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._inotify = inotify_init()
        try:
            if self._inotify < 0:
                raise _refused(ctypes.get_errno())
            os.set_blocking(self._inotify, False)
            os.set_inheritable(self._inotify, False)
            self._watch_tree(b"")
        except BaseException:
            self._close()
            raise

    def on_thread_stop(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"!")

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._close()

    def _close(self) -> None:
        for descriptor in (self._inotify, self._wake_read, self._wake_write):
            if descriptor >= 0:
                os.close(descriptor)

    # --- watches --------------------------------------------------------------------------------------------------

    def _watch_tree(self, start: bytes) -> None:
        """Watch each folder before it is listed, so that what appears in between is heard of.

        No descriptor is kept: a person may unmount the disk while it is watched.
        """
        with self._place.open(self._ask) as tree:
            for rel, descriptor in folders_of(tree, start):
                wd: int = inotify_add_watch(self._inotify, f"/proc/self/fd/{descriptor}".encode(), _EVENTS)
                if wd >= 0:
                    self._folders[wd], self._watches[rel] = rel, wd
                elif (number := ctypes.get_errno()) not in (errno.ENOENT, errno.EACCES):
                    raise _refused(number)

    def _forget_tree(self, start: bytes) -> None:
        inside = start + b"/"
        for rel in [rel for rel in self._watches if rel == start or rel.startswith(inside)]:
            wd = self._watches.pop(rel)
            self._folders.pop(wd, None)
            inotify_rm_watch(self._inotify, wd)

    # --- events ---------------------------------------------------------------------------------------------------

    def queue_events(self, timeout: float) -> None:
        ready, _, _ = select.select([self._inotify, self._wake_read], [], [], timeout)
        if self._inotify not in ready:
            return
        with contextlib.suppress(BlockingIOError):
            for wd, mask, name in _parsed(os.read(self._inotify, _BUFFER)):
                self._heard(wd, mask, name)

    def _heard(self, wd: int, mask: int, name: bytes) -> None:
        if mask & Mask.IN_Q_OVERFLOW:
            self._say(Hint("lost", detail="the kernel's queue of events was full"))
        elif (folder := self._folders.get(wd)) is None:
            return
        elif mask & Mask.IN_IGNORED:
            self._folders.pop(wd)
            if self._watches.get(folder) == wd:
                del self._watches[folder]
        elif mask & _TOP_WENT:
            if not folder or mask & Mask.IN_UNMOUNT:
                self._say(Hint("top" if not folder else "folder", folder))
        elif name:
            self._entry(folder, name, mask)

    def _entry(self, folder: bytes, name: bytes, mask: int) -> None:
        rel = joined(folder, name)
        if mask & _APPEARED and (manager := manager_by(name)):
            self._say(Hint("managed", folder, manager))
        if mask & Mask.IN_ISDIR:
            if mask & (_APPEARED | _VANISHED):
                self._folder(rel, mask)
        elif not self._place.skips_name(rel):
            self._say(Hint("file", rel))

    def _folder(self, rel: bytes, mask: int) -> None:
        if self._place.skips_name(rel, folder=True):
            return
        if mask & _VANISHED:
            self._forget_tree(rel)
        else:
            try:
                self._watch_tree(rel)
            except WatchesExhausted as error:
                self._say(Hint("exhausted", detail=error.remedy))
            except (CannotWatch, Unreadable) as error:
                self._say(Hint("lost", detail=str(error)))
        self._say(Hint("folder", rel))

    def _say(self, hint: Hint) -> None:
        self.queue_event(HintEvent(hint))


def _parsed(buffer: bytes) -> Iterator[tuple[int, int, bytes]]:
    """``struct inotify_event``: watch, mask, cookie, length, name padded with NULs (inotify(7))."""
    place = 0
    while place + _HEADER.size <= len(buffer):
        wd, mask, _, length = _HEADER.unpack_from(buffer, place)
        place += _HEADER.size
        yield wd, mask, buffer[place : place + length].rstrip(b"\0")
        place += length


def _refused(number: int) -> TransientError:
    if number in (errno.ENOSPC, errno.EMFILE):
        return WatchesExhausted(number)
    return CannotWatch(os.strerror(number))


def _doubled(limit: str) -> int:
    try:
        with open(f"/proc/sys/fs/inotify/{limit}", encoding="ascii") as file:
            return 2 * int(file.read())
    except (OSError, ValueError):
        return 1_048_576


__all__ = ["CannotWatch", "Hint", "Observer", "Unreadable", "WatchesExhausted"]

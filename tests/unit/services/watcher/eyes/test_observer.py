"""Hints from the kernel: all of them, about the name that is there now. (S16)"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.watcher.eyes.known import Facts
from services.watcher.eyes.observer import Hint, HintEmitter, HintEvent, Observer, WatchesExhausted
from services.watcher.eyes.observing import Place
from services.watcher.ignoring import Ignoring, Skip
from tests.support.filesystems import mounted
from tests.support.seeing import seeing, write

RULES = Ignoring(extensions=frozenset({"jpg"}))


def enter_all(_rel: bytes, _facts: Facts) -> Skip | None:
    return None


def place_of(photos: Path) -> Place:
    return Place(name="photos", path=os.fsencode(photos), ignoring=RULES)


class Ears:
    """Keeps hints, and waits for one."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []
        self._news: queue.Queue[Hint] = queue.Queue()

    def hear(self, hint: Hint) -> None:
        self._news.put(hint)

    def until(self, hint: Hint) -> None:
        deadline = time.monotonic() + 10
        while hint not in self.hints:
            try:
                self.hints.append(self._news.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"{hint} was not heard, but {self.hints}") from None

    def file(self, rel: bytes) -> None:
        self.until(Hint("file", rel))

    def folder(self, rel: bytes) -> None:
        self.until(Hint("folder", rel))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def ears(photos: Path) -> Iterator[Ears]:
    ears = Ears()
    for observer in observing(photos, ears):
        assert observer.is_alive
        yield ears


def observing(photos: Path, ears: Ears) -> Iterator[Observer]:
    observer = Observer(place_of(photos), enter_all, ears.hear)
    observer.start()
    try:
        yield observer
    finally:
        observer.stop()
        observer.stop()  # may be called twice
        assert not observer.is_alive


def test_a_new_file_is_heard_of(photos: Path, ears: Ears) -> None:
    write(photos / "a.jpg")
    ears.file(b"a.jpg")


def test_a_rename_is_heard_of_by_both_its_names(photos: Path, ears: Ears) -> None:
    write(photos / "a.jpg").rename(photos / "b.jpg")
    ears.file(b"a.jpg")
    ears.file(b"b.jpg")


def test_the_filter_asks_for_the_destination_of_a_rename(photos: Path, ears: Ears) -> None:
    write(photos / ".a.jpg.tmp").rename(photos / "a.jpg")
    ears.file(b"a.jpg")
    assert {hint.rel for hint in ears.hints} == {b"a.jpg"}


def test_changes_of_bytes_times_and_the_end_of_a_file_are_heard_of(photos: Path) -> None:
    path = write(photos / "a.jpg")
    for change in (lambda: path.write_bytes(b"x"), lambda: os.utime(path, (1, 1)), path.unlink):
        ears = Ears()
        for _ in observing(photos, ears):
            change()
            ears.file(b"a.jpg")


def test_a_folder_moved_in_is_watched_to_its_bottom(photos: Path, tmp_path: Path, ears: Ears) -> None:
    (tmp_path / "card" / "DCIM").mkdir(parents=True)
    (tmp_path / "card").rename(photos / "card")
    ears.folder(b"card")
    write(photos / "card" / "DCIM" / "a.jpg")
    ears.file(b"card/DCIM/a.jpg")


def test_a_folder_renamed_is_watched_under_its_new_name(photos: Path) -> None:
    (photos / "old" / "in").mkdir(parents=True)
    ears = Ears()
    for _ in observing(photos, ears):
        (photos / "old").rename(photos / "new")
        ears.folder(b"old")
        ears.folder(b"new")
        write(photos / "new" / "in" / "a.jpg")
        ears.file(b"new/in/a.jpg")
        assert Hint("file", b"old/in/a.jpg") not in ears.hints


def test_a_folder_moved_out_is_watched_no_more(photos: Path, tmp_path: Path) -> None:
    (photos / "sub").mkdir()
    ears = Ears()
    for _ in observing(photos, ears):
        (photos / "sub").rename(tmp_path / "sub")
        ears.folder(b"sub")
        write(tmp_path / "sub" / "a.jpg")
        write(photos / "b.jpg")
        ears.file(b"b.jpg")
        assert Hint("file", b"sub/a.jpg") not in ears.hints


def test_folders_that_are_left_out_are_not_watched(photos: Path) -> None:
    (photos / ".snapshots").mkdir()
    ears = Ears()
    for _ in observing(photos, ears):
        write(photos / ".snapshots" / "a.jpg")
        (photos / "@eaDir").mkdir()
        write(photos / "@eaDir" / "b.jpg")
        write(photos / "c.jpg")
        ears.file(b"c.jpg")
        assert {hint.rel for hint in ears.hints} == {b"c.jpg"}


def test_s24_a_managers_mark_is_heard_of(photos: Path, ears: Ears) -> None:
    (photos / ".stfolder").mkdir()
    ears.until(Hint("managed", b"", "Syncthing"))


def test_s14_the_root_itself_going_is_heard_of(photos: Path, tmp_path: Path, ears: Ears) -> None:
    photos.rename(tmp_path / "away")
    ears.until(Hint("top"))


def test_s14_a_disk_can_be_unmounted_while_it_is_watched_and_that_is_heard_of(tmp_path: Path) -> None:
    with mounted("tmpfs", tmp_path) as place:
        (place.folder / "sub").mkdir()
        ears = Ears()
        for _ in observing(place.folder, ears):
            busy = subprocess.run(["umount", place.folder], check=False, capture_output=True, text=True)
            subprocess.run(["mount", "-t", "tmpfs", "photosift-test", place.folder], check=True)
            assert busy.returncode == 0, busy.stderr
            ears.until(Hint("top"))


@pytest.mark.parametrize("name", [b"new\nline.jpg", b"\xff\xfe.jpg", b"a" * 251 + b".jpg"])
def test_names_are_bytes(photos: Path, ears: Ears, name: bytes) -> None:
    os.close(os.open(os.path.join(os.fsencode(photos), name), os.O_CREAT | os.O_WRONLY))
    ears.file(name)


def test_s16_an_overflowing_queue_is_said_and_not_swallowed(photos: Path) -> None:
    """More events than the kernel keeps, while nobody reads."""
    events: queue.Queue[tuple[HintEvent, object]] = queue.Queue()
    emitter = HintEmitter(events, None, place=place_of(photos), ask=enter_all)  # type: ignore[arg-type]
    emitter.on_thread_start()
    try:
        limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        if limit > 100_000:
            pytest.skip("the kernel keeps too many events to fill its queue here")
        for n in range(limit // 3 + 100):  # created, closed, deleted
            (photos / f"{n}.jpg").touch()
            (photos / f"{n}.jpg").unlink()
        kinds = set()
        while "lost" not in kinds:
            emitter.queue_events(1.0)
            assert not events.empty(), f"only {kinds}"
            while not events.empty():
                kinds.add(events.get()[0].hint.kind)
    finally:
        emitter._close()


SMALL = """
    import os, sys
    sys.path.insert(0, {repository!r})
    open("/proc/sys/user/max_inotify_watches", "w").write("5")
    from pathlib import Path
    from tests.unit.services.watcher.eyes.test_observer import enter_all, place_of
    from services.watcher.eyes.observer import Observer, WatchesExhausted
    observer = Observer(place_of(Path({photos!r})), enter_all, print)
    try:
        observer.start()
    except WatchesExhausted as error:
        print(error.remedy)
"""


def test_s16_used_up_watches_are_said_with_the_command_that_gives_more(photos: Path) -> None:
    for n in range(20):
        (photos / str(n)).mkdir()
    repository = str(Path(__file__).resolve().parents[5])
    script = textwrap.dedent(SMALL.format(repository=repository, photos=str(photos)))
    unshare = ["unshare", "--user", "--map-root-user"]  # the limit of a user namespace of its own
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    done = subprocess.run(
        [*unshare, sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=repository,
    )
    assert done.stdout.startswith("sudo sysctl -w fs.inotify.max_user_watches="), done.stderr


def test_used_up_instances_are_another_limit() -> None:
    assert "max_user_instances" in WatchesExhausted(24).remedy


async def test_s16_after_lost_events_everything_is_looked_at(tmp_path: Path, photos: Path) -> None:
    async with seeing(tmp_path, [photos]) as s, s.watching() as eyes:
        watch = eyes._watches["photos"]
        count = len(s.heard.messages)
        watch.hear(Hint("lost", detail="the kernel's queue of events was full"))
        await s.heard.until(lambda h: len(h.messages) > count)

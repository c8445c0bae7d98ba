"""The adapter's own rules, without special file systems: paths, names, attributes in records, sequences of acts."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.watcher.disk.attributes import missing
from services.watcher.disk.errors import settling
from services.watcher.disk.local import FAULT_POINTS, LocalDisk
from services.watcher.disk.placing import temporary_name
from services.watcher.disk.port import TEMPORARY_PREFIX, Attributes, Disk, NotThere, Occupied, is_temporary
from services.watcher.disk.syscalls import Descriptor
from services.watcher.disk.walking import clean
from shared.errors import MessageRejected, PermanentError, UnsafePath
from shared.paths import PhotoPath


def adapter_is_a_disk() -> Disk:
    """mypy compares the adapter with the port here."""
    return LocalDisk()


@given(st.lists(st.sampled_from([b"a", b"", b".", b"..", b"\xff", b"a b", b"\0", b"..."]), max_size=5))
def test_s9_the_walk_refuses_exactly_what_a_message_may_not_name(parts: list[bytes]) -> None:
    rel = b"/".join(parts)
    try:
        PhotoPath("root", rel)
    except UnsafePath:
        with pytest.raises(UnsafePath):
            clean(rel)
    else:
        assert clean(rel) == rel


def test_s9_a_name_beside_stays_beside(tmp_path: Path) -> None:
    with LocalDisk().open_root(tmp_path) as root, root.spot(b".photosift/1/x", make_folders=True) as spot:
        for name in (b"..", b"", b"a/b", b".", b"/etc"):
            with pytest.raises(UnsafePath):
                spot.beside(name)
        with spot.beside(b"y") as other:
            assert other.name == b"y" and other.is_ours


def test_d6_only_our_own_temporary_names_are_known_for_ours() -> None:
    assert is_temporary(temporary_name())
    assert temporary_name() != temporary_name()
    for name in (
        b"",
        b"a.jpg",
        TEMPORARY_PREFIX,
        TEMPORARY_PREFIX + b"0" * 31,
        TEMPORARY_PREFIX + b"G" * 32,
        b"x" + temporary_name(),
    ):
        assert not is_temporary(name)
    assert not is_temporary(temporary_name() + b"\n")


names = st.binary(min_size=1, max_size=20).map(lambda raw: "user." + raw.decode("utf-8", "surrogateescape"))
attributes = st.builds(
    Attributes,
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 2),
    gid=st.integers(0, 2**32 - 2),
    atime_ns=st.integers(-(2**62), 2**62),
    mtime_ns=st.integers(-(2**62), 2**62),
    xattrs=st.dictionaries(names, st.binary(max_size=40), max_size=4),
)


@given(attributes)
def test_s11_attributes_come_back_from_a_record(value: Attributes) -> None:
    text = json.dumps(value.to_json(), ensure_ascii=False).encode()  # fails for what is not UTF-8
    assert Attributes.from_json(json.loads(text)) == value


@pytest.mark.parametrize("key", ["mode", "mtime_ns", "xattrs"])
@pytest.mark.parametrize("value", [None, "x", {"user.a": "not base64!"}, [1]])
def test_s11_a_record_that_is_no_record_is_rejected(key: str, value: object) -> None:
    good = Attributes(mode=1, uid=2, gid=3, atime_ns=4, mtime_ns=5, xattrs={"user.a": b"1"}).to_json()
    with pytest.raises(MessageRejected):
        Attributes.from_json(good | {key: value})
    with pytest.raises(MessageRejected):
        Attributes.from_json({name: field for name, field in good.items() if name != key})


@given(attributes, attributes)
def test_s10_what_is_not_named_as_missing_is_equal(one: Attributes, other: Attributes) -> None:
    named = set(missing(one, other))
    assert ("mtime" in named or "mtime-precision" in named) == (one.mtime_ns != other.mtime_ns)
    assert ("mode" in named) == (one.mode != other.mode)
    assert ("owner" in named, "group" in named) == (one.uid != other.uid, one.gid != other.gid)
    assert {name for name, value in one.xattrs.items() if other.xattrs.get(name) != value} == {
        name.removeprefix("xattr:") for name in named if name.startswith("xattr:")
    }
    assert list(missing(one, one)) == []


def test_s10_a_time_off_by_less_than_fat_keeps_is_precision() -> None:
    one = Attributes(mode=1, uid=2, gid=3, atime_ns=0, mtime_ns=0, xattrs={})
    for off, name in ((1, "mtime-precision"), (1_999_999_999, "mtime-precision"), (2_000_000_000, "mtime")):
        assert list(missing(one, Attributes(mode=1, uid=2, gid=3, atime_ns=0, mtime_ns=off, xattrs={}))) == [name]


def test_s10_whatever_an_fsync_answers_it_is_a_failure() -> None:
    from services.watcher.disk.port import DiskFailure

    for number in range(1, 134):
        with pytest.raises(DiskFailure), settling(b"a.jpg"):
            raise OSError(number, "no")


def test_a_descriptor_that_is_forgotten_says_so() -> None:
    forgotten = Descriptor(os.open("/", os.O_RDONLY))
    number = forgotten.fileno()
    with pytest.warns(ResourceWarning):
        forgotten.__del__()
    with pytest.raises(OSError):
        os.fstat(number)
    with pytest.raises(OSError):
        forgotten.fileno()


def test_fault_points_have_names_of_their_own() -> None:
    assert len(set(FAULT_POINTS)) == len(FAULT_POINTS)


def test_d7_a_step_that_is_stopped_leaves_what_was(tmp_path: Path) -> None:
    """An exception at a fault point is like a crash, but the descriptors are closed and the temporary file goes."""
    (tmp_path / "a.jpg").write_bytes(b"1")
    for step in (
        "copy:before-write",
        "copy:before-fsync",
        "copy:before-reread",
        "copy:before-attributes",
        "copy:before-final-rename",
    ):

        def stop(now: str, step: str = step) -> None:
            if now == step:
                raise PermanentError(step)

        disk = LocalDisk(stop)
        with ExitStack() as stack:
            root = stack.enter_context(disk.open_root(tmp_path))
            file = stack.enter_context(stack.enter_context(root.spot(b"a.jpg")).open())
            to = stack.enter_context(root.spot(b"b.jpg"))
            with pytest.raises(PermanentError, match=step):
                disk.copy(file, to, sha256=file.sha256())
        assert os.listdir(tmp_path) == ["a.jpg"]


PLACES = [b"a.jpg", b"b.jpg", b"album/a.jpg", b".photosift/1/photo", b".photosift/2/photo"]


class Acts(RuleBasedStateMachine):
    """Any sequence of acts, against a dictionary: nothing is ever replaced, and no bytes vanish but by ``release``."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.disk = LocalDisk()
        self.root = self.stack.enter_context(self.disk.open_root(Path(folder)))
        self.model: dict[bytes, bytes] = {}
        for number, rel in enumerate(PLACES[:2]):
            Path(folder, rel.decode()).write_bytes(b"photo %d" % number)
            self.model[rel] = b"photo %d" % number

    @rule(source=st.sampled_from(PLACES), to=st.sampled_from(PLACES))
    def rename(self, source: bytes, to: bytes) -> None:
        with self.root.spot(source, make_folders=True) as one, self.root.spot(to, make_folders=True) as other:
            if source not in self.model:
                with pytest.raises(NotThere):
                    self.disk.rename(one, other)
            elif to in self.model:
                with pytest.raises(Occupied):
                    self.disk.rename(one, other)
            else:
                self.disk.rename(one, other)
                self.model[to] = self.model.pop(source)

    @rule(source=st.sampled_from(PLACES), to=st.sampled_from(PLACES))
    def copy(self, source: bytes, to: bytes) -> None:
        if source not in self.model:
            return
        with self.root.spot(source) as one, one.open() as file, self.root.spot(to, make_folders=True) as other:
            if to in self.model:
                with pytest.raises(Occupied):
                    self.disk.copy(file, other, sha256=file.sha256())
            else:
                assert self.disk.copy(file, other, sha256=file.sha256()) == ()
                self.model[to] = self.model[source]

    @rule(rel=st.sampled_from(PLACES))
    def release(self, rel: bytes) -> None:
        with self.root.spot(rel, make_folders=True) as spot:
            if b".photosift" not in rel or rel not in self.model:
                with pytest.raises(PermanentError):
                    self.disk.release(spot)
            else:
                self.disk.release(spot)
                del self.model[rel]

    @invariant()
    def the_disk_is_as_the_model_says(self) -> None:
        found = {
            os.fsencode(path.relative_to(self.root.path)): path.read_bytes()
            for path in self.root.path.rglob("*")
            if path.is_file()
        }
        assert found == self.model

    def teardown(self) -> None:
        self.stack.close()


TestActs = Acts.TestCase
TestActs.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

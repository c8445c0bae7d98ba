"""One message of every type, with fixed values: for the golden files and wherever a test needs some message."""

from __future__ import annotations

from shared.messages.analysis import Facts, FileAnalysed, FileForgotten, FileUnreadable
from shared.messages.base import FileRef, FileStat, FolderRef, Message
from shared.messages.commands import Covered, Evidence, RemoveItem, TakeFile
from shared.messages.deadletters import DeadLetter
from shared.messages.envelope import Envelope, wrap
from shared.messages.files import FileGone, FileMoved, FileSettled, PassFinished
from shared.messages.leading import LeadHeld
from shared.messages.outcomes import (
    CommandDone,
    FolderRemoved,
    ItemDue,
    ItemRemoved,
    ItemRestored,
    RemovalDone,
    RequestAnswered,
)
from shared.messages.requests import (
    AdoptRequested,
    AllowRequested,
    ApplyRequested,
    ConfirmRequested,
    RestoreRequested,
)
from shared.messages.resolution import ApplyAccepted, CaughtUp, DecisionWithdrawn, Duplicate, GroupDecided, Member
from shared.paths import PhotoPath

NOW = 1_700_000_000.25
SHA = "ab" * 32
OTHER_SHA = "cd" * 32

STAT = FileStat(size=2_048, mtime_ns=1_600_000_000_000_000_001, ctime_ns=1_600_000_000_000_000_002, dev=2049, ino=77)


def ref(name: str | bytes = "2019/Été 🌞/IMG_0001.jpg", root: str = "photos") -> FileRef:
    return FileRef.of(PhotoPath(root, name.encode() if isinstance(name, str) else name))


#: a name that is not UTF-8 (Latin-1, as old cameras and disks have them)
LATIN = ref(b"2003/\xc9t\xe9/DSC_1.JPG")


def settled(name: str | bytes = "a.jpg", version: int = 1) -> FileSettled:
    return FileSettled(file=ref(name), version=version, stat=STAT, known_since=NOW)


def analysed(name: str = "a.jpg", version: int = 1) -> FileAnalysed:
    facts = Facts(
        format="JPEG",
        width=4_000,
        height=3_000,
        bytes=2_048,
        exif_tags=41,
        camera="NIKON D70",
        captured_at="2019-07-14T11:22:33.12+02:00",
        orientation=6,
    )
    return FileAnalysed(
        file=ref(name), version=version, stat=STAT, sha256=SHA, facts=facts, mode="canonical", known_since=NOW
    )


def take(decision: str = "d1", victim: str = "b.jpg") -> TakeFile:
    return TakeFile(
        decision_id=decision,
        batch_id="batch-1",
        action="move",
        victim=_evidence(ref(victim)),
        keeper=_evidence(ref("a.jpg")),
        match_class="same-bytes",
        distance=0.0,
        expires_at=NOW + 3_600,
        target="/target",
    )


def _evidence(file: FileRef) -> Evidence:
    return Evidence(
        file=file,
        size=STAT.size,
        mtime_ns=STAT.mtime_ns,
        ctime_ns=STAT.ctime_ns,
        sha256=SHA,
        dev=STAT.dev,
        ino=STAT.ino,
        version=3,
    )


def done(command: str = "c1") -> CommandDone:
    return CommandDone(
        command_id=command,
        decision_id="d1",
        batch_id="batch-1",
        action="move",
        outcome="refused",
        code="victim-changed",
        explanation="The file changed after it was decided about.",
        victim=ref("b.jpg"),
        keeper=ref("a.jpg"),
        sha256=SHA,
        match_class="same-bytes",
        distance=0.0,
        done_at=NOW,
    )


def decided(decision: str = "d1") -> GroupDecided:
    duplicate = Duplicate(
        member=_member("b.jpg"),
        match_class="similar",
        distance=0.07,
        decided_by="higher-pixel-count",
        action="propose",
        reason="similar is not among the automatic classes",
    )
    return GroupDecided(decision_id=decision, keeper=_member("a.jpg"), duplicates=(duplicate,), decided_at=NOW)


def _member(name: str) -> Member:
    return Member(file=ref(name), sha256=SHA, width=4_000, height=3_000, bytes=2_048, version=3)


def answered(by: str = "executor", request: str = "r1") -> RequestAnswered:
    return RequestAnswered(request_id=request, by=by, done=True, explanation="2 files are back.", count=2)


def due() -> ItemDue:
    return ItemDue(item_id="i1", file=ref(), sha256=SHA, mtime_ns=STAT.mtime_ns, stands_for=("ef" * 32,), asked_at=NOW)


def remove() -> RemoveItem:
    return RemoveItem(
        decision_id="d2",
        item_id="i1",
        file=ref(),
        sha256=SHA,
        keeper=take().keeper,
        match_class="similar",
        distance=0.0625,
        covers=(Covered(sha256="ef" * 32, distance=0.03125),),
        expires_at=NOW + 3600,
    )


def removal_done() -> RemovalDone:
    command = remove()
    return RemovalDone(
        command_id=command.command_id,
        decision_id="d2",
        item_id="i1",
        outcome="kept",
        code="keeper-changed",
        explanation="photos:a.jpg is not as it was decided about: it was modified",
        file=command.file,
        sha256=SHA,
        keeper=command.keeper.file,
        keeper_sha256=command.keeper.sha256,
        match_class="similar",
        distance=0.0625,
        done_at=NOW,
    )


def confirm(request: str = "r1") -> ConfirmRequested:
    return ConfirmRequested(request_id=request, what="breaker", root="photos")


def dead_letter(origin: str = "photosift.fs.3.settled") -> DeadLetter:
    return DeadLetter(
        origin=origin,
        origin_seq=12,
        consumer="analyser-fs-3",
        reason="crashed",
        explanation="ValueError('x')",
        deliveries=1,
        payload_b64="e30=",
    )


def samples() -> tuple[Message, ...]:
    """One of every type, in the order of the flow."""
    return (
        FileSettled(file=LATIN, version=(1 << 32) + 7, stat=STAT.model_copy(update={"birth_ns": 5}), known_since=NOW),
        FileMoved(file=ref("new.jpg"), version=2, stat=STAT, known_since=NOW, moved_from=ref("old.jpg")),
        FileGone(file=ref(), version=9, reason="deleted"),
        PassFinished(
            root="photos",
            pass_id="p1",
            files=10,
            published=4,
            skipped=2,
            gone=1,
            waited=1.5,
            unknown="the mount is gone",
        ),
        analysed("2019/a.jpg", 4),
        FileUnreadable(file=ref(), version=4, stat=STAT, reason="truncated", explanation="The file ends too early."),
        FileForgotten(file=ref(), version=5, reason="deleted"),
        decided(),
        DecisionWithdrawn(decision_id="d1", reason="a.jpg changed"),
        CaughtUp(sig_seq=42, open_decisions=3, open_commands=0, at=NOW),
        ApplyAccepted(request_id="r1", batch_id="batch-1", commands=2, explanation="2 files are asked for."),
        take(),
        remove(),
        done(),
        ItemRestored(
            item_id="i1",
            decision_id="d1",
            batch_id="batch-1",
            file=ref(),
            sha256=SHA,
            keeper_sha256=OTHER_SHA,
            done_at=NOW,
        ),
        ItemRemoved(item_id="i1", file=ref(), sha256=SHA, live_copy=ref("a.jpg"), done_at=NOW),
        due(),
        removal_done(),
        FolderRemoved(folder=ref("2019"), decision_id="d1", done_at=NOW),
        answered(),
        RestoreRequested(request_id="r1", batch_id="batch-1"),
        AdoptRequested(request_id="r1", root="photos"),
        confirm(),
        AllowRequested(request_id="r1", folder=FolderRef.of("photos", b"managed")),
        ApplyRequested(
            request_id="r1", action="move", classes=("same-bytes",), roots=("photos",), target="/target", at_most=12
        ),
        LeadHeld(holder="m1", session="s1", by="nas", at=NOW),
        dead_letter(),
    )


def envelope_of(message: Message) -> Envelope:
    """The envelope of a sample, with a fixed time and trace."""
    return wrap(
        message,
        source="test",
        time="2023-11-14T22:13:20.250000+00:00",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        correlation="6f1c7a52-9d3c-4a59-8f0a-0c8f0b9f2f11",
    )

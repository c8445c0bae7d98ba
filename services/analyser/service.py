"""The analyser: FS in, index and SIG out.

For each file event: what does the index have? Then nothing, the same again, a known content under a new name, or the
file is read by a worker. The result is stored, published and only then acknowledged (S18), so that after a crash at
any instruction the event comes again and finds what is missing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import structlog

from services.analyser.asking import Asking
from services.analyser.gate import Gate
from services.analyser.reading import ROOT_AWAY
from services.analyser.remembering import already_answered, step_for
from services.analyser.results import Examined, Left, Refused, Result
from services.analyser.storing import Storing
from shared.bus.consuming import work_through
from shared.bus.names import ANALYSER_FS, ANALYSER_FS_RETRY
from shared.bus.port import Bus, Delivery
from shared.config import Settings
from shared.errors import PermanentError, TransientError
from shared.index.port import ContentDoc, FileDoc, Index
from shared.messages.analysis import FileAnalysed, FileForgotten, FileUnreadable
from shared.messages.base import FileRef, FileStat
from shared.messages.files import FileGone, FileMoved, FileSettled
from shared.paths import PARTITIONS, PhotoPath
from shared.telemetry import metrics

log = structlog.get_logger()

#: these may be otherwise in a moment: the file is looked at again, so many times in all
_PASSING = frozenset({"changed-while-read", "vanished"})
_LOOKS = 3
#: these are tried once more, alone, after the others: another file may have taken the memory or the time
_SUSPECT = frozenset({"worker-died", "timeout"})


#: files in hand for each worker: one is read, the others wait for the index or the bus
_IN_HAND = 12


class Workers(Protocol):
    """Where files are read and decoded."""

    @property
    def size(self) -> int: ...

    async def analyse(self, path: PhotoPath, folder: Path, expected: FileStat | None) -> Result | Left: ...


class UnknownRoot(PermanentError):
    """The file lies in a root that the settings do not name."""

    code = "unknown-root"


class RootAway(TransientError):
    """The file's root is not mounted on this host."""

    code = ROOT_AWAY


class LookAgain(TransientError):
    """The file is to be looked at again."""

    code = "look-again"


class AnalyserService:
    """Consumes the 64 partitions of FS and its retries; a ``lifecycle.Service``."""

    def __init__(
        self,
        *,
        bus: Bus,
        index: Index,
        workers: Workers,
        roots: Mapping[str, Path],
        settings: Settings,
        leave_unnamed: bool = False,
    ) -> None:
        """``leave_unnamed``: files of roots that the settings do not name are left unread without a word; for a process
        that tells them again when their root is named again (``services.reconciling``)."""
        self._bus, self._index, self._workers, self._roots = bus, index, workers, roots
        self._leave_unnamed = leave_unnamed
        self._mode: str = settings.analysis.signature
        self._storing = Storing(index)
        self._asking = Asking(index)
        # So many that no worker waits for results to be stored on a server and published, and so few that little is
        # in hand when one of them is away.
        self._gate = Gate(_IN_HAND * workers.size)
        #: files that cost a worker, by event: the next look is alone
        self._suspects: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set."""
        consumers = [*(f"{ANALYSER_FS}{n}" for n in range(PARTITIONS)), ANALYSER_FS_RETRY]
        async with asyncio.TaskGroup() as group:
            for consumer in consumers:
                group.create_task(work_through(self._bus, consumer, self._handle, stop=stop), name=consumer)
        await self._storing.finish()
        await self._asking.finish()

    async def _handle(self, delivery: Delivery) -> None:
        event = delivery.message
        suspect = event.message_id in self._suspects
        async with self._gate.alone() if suspect else self._gate.among_others():
            if isinstance(event, FileGone):
                await self._forget(delivery, event)
            elif isinstance(event, FileSettled | FileMoved):
                await self._learn(delivery, event)

    async def _forget(self, delivery: Delivery, event: FileGone) -> None:
        """A tombstone keeps what the file had (I5): its new name may ask for it."""
        path = event.file.photo
        own = (await self._asking.files([path.file_id])).get(path.file_id)
        answered = already_answered(event, own)
        if answered is not None:
            return await self._say_again(delivery, answered.known)
        tombstone = FileDoc(
            path=path,
            version=event.version,
            state="gone",
            sha256=own.sha256 if own else None,
            stat=own.stat if own else None,
            known_since=own.known_since if own else 0.0,
            reason=event.reason,
            doubt=own.doubt if own else None,
        )
        await self._store_and_say(delivery, tombstone, None)

    async def _learn(self, delivery: Delivery, event: FileSettled | FileMoved) -> None:
        path = event.file.photo
        source = event.moved_from.photo.file_id if isinstance(event, FileMoved) else None
        documents = await self._asking.files([path.file_id, *([source] if source else [])])
        step = step_for(event, documents.get(path.file_id), documents.get(source) if source else None)
        if step.do in ("nothing", "say-again"):
            log.debug("analyser.file_known", path=path.text, because=step.because)
            return await self._say_again(delivery, step.known)
        content = await self._content_of(step.known) if step.do == "reuse" else None
        if step.known is not None and content is not None:
            metrics.ANALYSES.labels("reused").inc()
            reused = self._document(event, content.sha256, event.stat, step.known.doubt)
            return await self._store_and_say(delivery, reused, content)
        if path.root not in self._roots and self._leave_unnamed:
            log.debug("analyser.file_left", path=path.text, root=path.root)
            return
        await self._read(delivery, event)

    async def _read(self, delivery: Delivery, event: FileSettled | FileMoved) -> None:
        result = await self._examined(event)
        if isinstance(result, Left):
            log.debug("analyser.file_left", path=event.file.photo.text, because=result.because)
            return
        if isinstance(result, Examined):
            content = ContentDoc(sha256=result.sha256, signature=result.signature, facts=result.facts)
            stat = as_its_watcher_sees_it(result.stat, event.stat)
            document = self._document(event, result.sha256, stat, result.doubt)
            metrics.ANALYSES.labels("analysed").inc()
            return await self._store_and_say(delivery, document, content)
        self._look_again_if_worth_it(delivery, event, result)
        metrics.ANALYSES.labels("unreadable").inc()
        metrics.UNREADABLE.labels(result.reason).inc()
        await self._store_and_say(delivery, self._unreadable(event, result), None)

    async def _examined(self, event: FileSettled | FileMoved) -> Result | Left:
        path, started = event.file.photo, time.monotonic()
        folder = self._roots.get(path.root)
        if folder is None:
            raise UnknownRoot(path.root)
        result = await self._workers.analyse(path, folder, event.stat)
        metrics.ANALYSIS_SECONDS.observe(time.monotonic() - started)
        return result

    def _look_again_if_worth_it(self, delivery: Delivery, event: FileSettled | FileMoved, result: Refused) -> None:
        """Raises ``LookAgain``: the event is published again beside its partition, and blocks nobody (G4).

        ``RootAway`` until it is given up: whoever sees the root may take it, and nothing is said of the file (S14).
        """
        if result.reason == ROOT_AWAY:
            log.warning("analyser.root_away", root=event.file.root)
            raise RootAway(event.file.root)
        if result.reason in _PASSING and delivery.deliveries < _LOOKS:
            raise LookAgain(f"({result.reason})")
        if result.reason in _SUSPECT and event.message_id not in self._suspects:
            self._suspects.add(event.message_id)
            raise LookAgain(f"({result.reason})")
        self._suspects.discard(event.message_id)

    async def _content_of(self, document: FileDoc | None) -> ContentDoc | None:
        if document is None or document.sha256 is None:
            return None
        return (await self._index.contents([document.sha256])).get(document.sha256)

    def _document(self, event: FileSettled | FileMoved, sha256: str, stat: FileStat, doubt: str | None) -> FileDoc:
        self._suspects.discard(event.message_id)
        return FileDoc(
            path=event.file.photo,
            version=event.version,
            state="analysed",
            sha256=sha256,
            stat=stat,
            known_since=event.known_since,
            doubt=doubt,
        )

    def _unreadable(self, event: FileSettled | FileMoved, result: Refused) -> FileDoc:
        return FileDoc(
            path=event.file.photo,
            version=event.version,
            state="unreadable",
            sha256=result.sha256,
            stat=as_its_watcher_sees_it(result.stat or event.stat, event.stat),
            known_since=event.known_since,
            reason=result.reason,
            explanation=result.explanation,
        )

    async def _store_and_say(self, delivery: Delivery, document: FileDoc, content: ContentDoc | None) -> None:
        """Store, then publish what is stored; a newer version that was there is said by its own event."""
        there = await self._storing.put(document, content)
        if there is None:
            await self._say(delivery, document, content)
        elif there == document.version:
            stored = await self._index.files([document.path.file_id])
            await self._say_again(delivery, stored.get(document.path.file_id))
        else:
            log.debug("analyser.result_fenced", path=document.path.text, version=document.version, newer=there)

    async def _say_again(self, delivery: Delivery, document: FileDoc | None) -> None:
        if document is not None:
            await self._say(delivery, document, await self._content_of(document))

    async def _say(self, delivery: Delivery, document: FileDoc, content: ContentDoc | None) -> None:
        if document.state == "gone":
            await self._say_forgotten(delivery, document)
        elif document.state == "analysed" and content is not None and document.stat is not None:
            await self._say_analysed(delivery, document, content, document.stat)
        elif document.state == "unreadable" and document.stat is not None:
            await self._say_unreadable(delivery, document, document.stat)

    async def _say_analysed(self, delivery: Delivery, document: FileDoc, content: ContentDoc, stat: FileStat) -> None:
        message = FileAnalysed(
            file=FileRef.of(document.path),
            version=document.version,
            stat=stat,
            sha256=content.sha256,
            facts=content.facts,
            mode=self._mode,
            known_since=document.known_since,
            doubt=document.doubt,
        )
        await self._bus.publish(message, cause=delivery.envelope)
        log.info("analyser.file_analysed", path=document.path.text, sha256=content.sha256, doubt=document.doubt)

    async def _say_unreadable(self, delivery: Delivery, document: FileDoc, stat: FileStat) -> None:
        """Said to the resolver, in the log, and in the dead letters, where the event is kept whole (S17, S19)."""
        reason, explanation = document.reason or "corrupt", document.explanation or ""
        message = FileUnreadable(
            file=FileRef.of(document.path),
            version=document.version,
            stat=stat,
            reason=reason,
            explanation=explanation,
        )
        await self._bus.publish(message, cause=delivery.envelope)
        log.info("analyser.file_unreadable", path=document.path.text, reason=reason, explanation=explanation)
        await delivery.dead_letter(reason, explanation)

    async def _say_forgotten(self, delivery: Delivery, document: FileDoc) -> None:
        file, reason = FileRef.of(document.path), document.reason or "deleted"
        message = FileForgotten(file=file, version=document.version, reason=reason)
        await self._bus.publish(message, cause=delivery.envelope)
        log.info("analyser.file_forgotten", path=document.path.text, reason=reason)


def as_its_watcher_sees_it(found: FileStat, event: FileStat) -> FileStat:
    """What is kept of a file that was read: it is compared with what its watcher sees (S4, S8).

    ``fstat`` has no birth time; the watcher's look at the same inode may have had it (S16). On another host, device,
    inode and even the change time are those of that host's mount; size and modification time were compared.
    """
    if (found.dev, found.ino) != (event.dev, event.ino):
        return event
    return found.model_copy(update={"birth_ns": event.birth_ns})

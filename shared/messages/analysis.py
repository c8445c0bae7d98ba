"""[pure] SIG, account data: what the analyser found. Consumed by the resolver.

Published only after the index holds the document and shows it to a search (index.md: every pair at least once).
"""

from __future__ import annotations

from typing import ClassVar

from shared.messages.base import FileRef, FileStat, Message, Value


class Facts(Value):
    """What is known of a content besides its signature."""

    #: format by content, Pillow's name or the RAW kind: ``JPEG``, ``PNG``, ``HEIF``, ``DNG`` …
    format: str
    #: pixels of the photo as it is shown (EXIF orientation applied); for RAW its own size, not the preview's
    width: int
    height: int
    #: bytes of the file
    bytes: int
    #: number of EXIF tags; 0 where EXIF use is turned off
    exif_tags: int = 0
    #: "maker model" where EXIF names them
    camera: str | None = None
    #: capture time as EXIF writes it, ISO 8601 with sub-seconds and offset where present
    captured_at: str | None = None
    #: EXIF orientation 1..8
    orientation: int = 1
    frames: int = 1

    @property
    def pixels(self) -> int:
        return self.width * self.height


class Analysed(Message):
    """What the three results share."""

    file: FileRef
    version: int

    @property
    def about(self) -> str:
        return self.file.photo.file_id

    @property
    def message_id(self) -> str:
        return f"sig:{self.about}:{self.version}"


class FileAnalysed(Analysed):
    """A file decoded: its content is in the index under ``sha256``."""

    TYPE: ClassVar[str] = "photosift.analysis.analysed.v1"

    stat: FileStat
    sha256: str
    facts: Facts
    #: ``canonical`` or ``exact``
    mode: str
    known_since: float
    #: why the file may be proposed but never acted on (S15: a tail of zeros in a format without end mark)
    doubt: str | None = None


class FileUnreadable(Analysed):
    """A file that gives no picture; tried again when it changes (S17)."""

    TYPE: ClassVar[str] = "photosift.analysis.unreadable.v1"

    stat: FileStat
    #: short name: ``empty`` | ``not-a-picture`` | ``unsupported`` | ``truncated`` | ``corrupt`` | ``too-large``
    #: | ``no-permission`` | ``vanished`` | ``timeout`` | ``worker-died`` | ``changed-while-read``
    reason: str
    #: one sentence for a person
    explanation: str


class FileForgotten(Analysed):
    """A file that is gone; its tombstone is in the index."""

    TYPE: ClassVar[str] = "photosift.analysis.forgotten.v1"

    reason: str

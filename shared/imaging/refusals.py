"""[pure] Why bytes give no picture. ``code`` is the reason that stands in messages; details are whole sentences."""

from __future__ import annotations

from shared.errors import PermanentError


class PictureRefused(PermanentError):
    """There is no picture to be had from these bytes."""

    code = "not-a-picture"


class NotAPicture(PictureRefused):
    """The content is no picture of a known kind."""

    code = "not-a-picture"


class Unsupported(PictureRefused):
    """Photosift cannot decode this kind of picture."""

    code = "unsupported"


class Truncated(PictureRefused):
    """The picture ends before its own end."""

    code = "truncated"


class Corrupt(PictureRefused):
    """The picture is damaged."""

    code = "corrupt"


class TooLarge(PictureRefused):
    """The picture needs more memory to decode than one file may use."""

    code = "too-large"


class NeedsDecoding(PictureRefused):
    """What the file says of its picture shows only when it is decoded."""

    code = "needs-decoding"

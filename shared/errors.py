"""One root for every error that photosift raises itself.

The docstring of a class is its message; details follow it. A handler asks one question of an error:
is it worth trying again (``TransientError``), or not (everything else)?
"""

from __future__ import annotations


class PhotosiftError(Exception):
    """Something went wrong in photosift."""

    #: short machine-readable name, used in logs, outcomes and dead letters
    code: str = "error"

    def __init__(self, detail: str = "") -> None:
        self.detail = detail
        headline = (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(f"{headline} {detail}".strip() if detail else headline)


class TransientError(PhotosiftError):
    """It may work when tried again."""

    code = "transient"
    #: who raised it has told the log already, once; who waits for the end need not
    said: bool = False


class PermanentError(PhotosiftError):
    """Trying again will not help."""

    code = "permanent"


class UnsafePath(PermanentError):
    """The path is not a clean path below a root."""

    code = "unsafe-path"


class MessageRejected(PermanentError):
    """The message does not follow its schema."""

    code = "message-rejected"


class UsageError(PhotosiftError):
    """The command or the settings are wrong."""

    code = "usage"


class StateInUse(UsageError):
    """Another photosift holds this part of the state folder."""

    code = "state-in-use"

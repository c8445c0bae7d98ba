"""Where the index is: in the state folder, or on a server that the settings name. Part of the composition root."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from services.busplaces import state_dir
from shared.config import Settings
from shared.errors import UsageError
from shared.index.embedded import EmbeddedIndex
from shared.index.port import Index
from shared.statefolder import StatePart
from shared.telemetry.health import Health

if TYPE_CHECKING:
    from shared.index.elastic import Access, Ancestor


def take(stack: AsyncExitStack, settings: Settings, part: str) -> Path:
    """Hold a part of the state folder until the stack is left."""
    held = StatePart(state_dir(settings), part)
    stack.callback(held.release)
    return held.folder


#: seconds that a command waits for a server that may just be starting; services wait for ever
PATIENCE = 120.0


async def opened_index(
    stack: AsyncExitStack, settings: Settings, *, writable: bool, patience: float = PATIENCE
) -> Index:
    """The index of the settings, closed with the stack. The embedded one has one writer, a server any number.

    Raises ``UsageError``, ``IndexMismatch``, ``IndexUnavailable``, ``StateInUse``.
    """
    if settings.index_url:
        index = await _elastic(settings, writable, patience)
    else:
        index = await _embedded(stack, settings, writable)
    stack.push_async_callback(index.close)
    return index


async def _embedded(stack: AsyncExitStack, settings: Settings, writable: bool) -> Index:
    folder = take(stack, settings, "analyser") if writable else state_dir(settings) / "analyser"
    return await asyncio.to_thread(EmbeddedIndex.open, folder, writable=writable, mode=settings.analysis.signature)


async def _elastic(settings: Settings, writable: bool, patience: float) -> Index:
    from shared.index.elastic import ElasticIndex

    mode = settings.analysis.signature
    return await ElasticIndex.open(_access(settings), writable=writable, mode=mode, patience=patience)


def _access(settings: Settings) -> Access:
    from shared.index.elastic import Access

    return Access.of(
        settings.index_url,
        name=settings.index_name,
        create=settings.index_create,
        user=settings.index_user,
        password=settings.index_password.get_secret_value(),
        password_file=settings.index_password_file,
        api_key=settings.index_api_key.get_secret_value(),
        api_key_file=settings.index_api_key_file,
        ca_file=settings.index_ca_file,
        plaintext=settings.index_plaintext,
    )


async def prepared_index(settings: Settings, patience: float = PATIENCE) -> None:
    """Make the indices at ``index_url`` where they are missing. Raises as ``opened_index``."""
    async with AsyncExitStack() as stack:
        await opened_index(stack, settings, writable=True, patience=patience)


async def migrated_index(settings: Settings) -> list[str]:
    """Bring the indices on the server to the present format; a line for a person about each that was old."""
    if not settings.index_url:
        raise UsageError("index_url is empty; the embedded index needs no migration")
    from shared.index.elastic import migrate

    return await migrate(_access(settings), mode=settings.analysis.signature)


@dataclass(frozen=True, kw_only=True)
class OldIndex:
    """An index of image-match or py-image-dedup, as a person names it on the command line."""

    url: str
    index: str
    user: str = ""
    password_file: Path | None = None
    api_key_file: Path | None = None
    ca_file: Path | None = None
    plaintext: bool = False


@contextlib.asynccontextmanager
async def opened_old_index(old: OldIndex) -> AsyncIterator[Ancestor]:
    """Raises ``UsageError``: one sentence that says what is wrong."""
    from shared.index.elastic import Access, Ancestor

    access = Access.of(
        old.url,
        user=old.user,
        password_file=old.password_file,
        api_key_file=old.api_key_file,
        ca_file=old.ca_file,
        plaintext=old.plaintext,
        called=_option,
    )
    ancestor = await Ancestor.open(access, old.index)
    try:
        yield ancestor
    finally:
        await ancestor.close()


def _option(setting: str) -> str:
    """``index_ca_file`` is ``--ca-file`` there."""
    return "URL" if setting == "index_url" else "--" + setting.removeprefix("index_").replace("_", "-")


@contextlib.asynccontextmanager
async def index_to_read(settings: Settings) -> AsyncIterator[Index]:
    """The index as it is now, beside a running service too."""
    async with AsyncExitStack() as stack:
        yield await opened_index(stack, settings, writable=False)


def watch_index(index: Index, health: Health) -> None:
    """Let ``/readyz`` say when the index is away; the embedded one is never."""
    if (complaint := getattr(index, "complaint", None)) is not None:
        health.add("index", complaint)

"""A person's questions and requests, brought to the running service, or to one started for the moment."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator, Callable
from typing import Any

from services.bootstrap import all_in_one
from services.busplaces import running_bus, state_dir
from services.following import Following
from services.indexplaces import index_to_read
from services.resolver.store import read_history
from services.story import story
from services.watcher.hands.lookup import taken_around
from shared.bus.names import SUBJECT_DEC, SUBJECT_OUT
from shared.bus.port import Bus
from shared.config import Settings
from shared.errors import UsageError
from shared.lifecycle import run
from shared.messages.outcomes import RequestAnswered
from shared.messages.requests import Request, answers_wanted
from shared.paths import PhotoPath
from shared.statefolder import holder_of

#: seconds after which a person is told that there is no answer yet
_A_MOMENT = 5.0


async def ask_service(
    settings: Settings, request: Request, *, timeout: float, waiting: Callable[[], None] = lambda: None
) -> list[RequestAnswered]:
    """Send a request as a person and wait for the answers of all who are asked; those that came in ``timeout`` seconds.

    ``waiting`` is called once when the answer takes more than a moment.
    """
    wanted = answers_wanted(request, settings.watchers)
    async with _somebody(settings) as person:
        following = Following()
        listening = await following.start(person, SUBJECT_OUT, SUBJECT_DEC)
        try:
            await person.publish(request)
            if not await _is_answered(following, request, wanted, within=_A_MOMENT):
                waiting()
                await _is_answered(following, request, wanted, within=timeout)
        finally:
            listening.cancel()
            await asyncio.wait([listening])
        return following.answers.get(request.request_id, [])


async def _is_answered(following: Following, request: Request, wanted: int, *, within: float) -> bool:
    def all_came() -> bool:
        return len(following.answers.get(request.request_id, ())) >= wanted

    return await following.until(all_came, within=within)


@contextlib.asynccontextmanager
async def _somebody(settings: Settings) -> AsyncIterator[Bus]:
    """A person's connection to the services that hold the state folder; where none does, they work for the moment."""
    if settings.nats_url or holder_of(state_dir(settings), "watcher") is not None:
        person = await running_bus(settings).connect("person")
        try:
            yield person
        finally:
            await person.close()
        return
    stop = asyncio.Event()
    async with all_in_one(settings) as crew, asyncio.TaskGroup() as group:
        group.create_task(run(crew.services, stop), name="services")
        try:
            yield crew.person
        finally:
            stop.set()


def audit_access(settings: Settings) -> str:
    """Shell lines that tell a NATS client where the bus is and who listens: never in the process list (S21).

    Raises ``UsageError`` when no bus is running.
    """
    if not settings.nats_url and holder_of(state_dir(settings), "nats") is None:
        raise UsageError("no photosift is running on this state folder (photosift run), and nats_url is empty")
    home = running_bus(settings)
    told = {"NATS_URL": home.where.url}
    if home.where.ca_file:
        told["NATS_CA"] = str(home.where.ca_file)
    if "audit" in home.credentials:
        audit = home.credentials["audit"]
        told |= {"NATS_USER": audit.user, "NATS_PASSWORD": audit.password}
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in told.items())


async def explain(settings: Settings, photo: PhotoPath) -> dict[str, Any]:
    """What is known of a photo, what was decided about it and done; reads the state folder, beside a running service.

    The form is ``services.story.story``'s. Raises ``StoreUnavailable``, ``JournalFailed``.
    """
    async with index_to_read(settings) as index:
        doc = (await index.files([photo.file_id])).get(photo.file_id)
        content = (await index.contents([doc.sha256])).get(doc.sha256) if doc and doc.sha256 else None
    folder, sha256 = state_dir(settings), doc.sha256 if doc else None
    history = await asyncio.to_thread(read_history, folder / "resolver", photo.file_id)
    taken = await asyncio.to_thread(taken_around, folder / "watcher", file_id=photo.file_id, sha256=sha256)
    roots = {root.name: root.path for root in settings.roots}
    return story(photo, roots=roots, doc=doc, content=content, history=history, taken=taken)

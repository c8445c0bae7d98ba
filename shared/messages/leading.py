"""[pure] LEAD, account control: which resolver decides. Only resolvers publish it; the last one said stands."""

from __future__ import annotations

from typing import ClassVar

from shared.messages.base import Message


class LeadHeld(Message):
    """This resolver decides; said again all the time, so that a resolver that stands by sees that it lives."""

    TYPE: ClassVar[str] = "photosift.lead.held.v1"

    #: id of the memory (the state folder) that decides
    holder: str
    #: id of the process: a memory that was copied may be held by two
    session: str
    #: host, for people
    by: str
    #: seconds since the epoch; makes repeated messages distinct, nothing is concluded from it
    at: float
    #: it ended in order: whoever stands by need not wait
    released: bool = False

    @property
    def message_id(self) -> str:
        return f"lead:{self.session}:{self.at}:{self.released}"

    @property
    def about(self) -> str:
        return "resolver"

"""[pure] Open decisions and what was done during a scan, put together as groups: each file in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shared.index.port import FileDoc
from shared.messages.outcomes import CommandDone
from shared.messages.resolution import Duplicate, GroupDecided, Member

Acted = tuple[GroupDecided, CommandDone]
_TAKEN = ("moved", "quarantined")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A duplicate in a group."""

    duplicate: Duplicate
    #: ``propose`` | ``moved`` | ``quarantined`` | ``refused``
    action: str
    #: for a person
    reason: str


@dataclass(kw_only=True)
class Group:
    """A keeper and its duplicates, at least one."""

    keeper: Member
    entries: list[Entry] = field(default_factory=list)

    @property
    def file_ids(self) -> Iterator[str]:
        yield _id(self.keeper)
        for entry in self.entries:
            yield _id(entry.duplicate.member)

    @property
    def in_order(self) -> list[Entry]:
        return sorted(self.entries, key=lambda e: (e.duplicate.distance, e.duplicate.member.file.photo))


def groups_of(live: Mapping[str, FileDoc], decisions: Sequence[GroupDecided], acted: Sequence[Acted]) -> list[Group]:
    """``live``: documents by file id. What is said of a file that is neither live nor was taken is left out."""
    last = {done.victim.photo.file_id: (decided, done) for decided, done in acted}
    taken = {
        file_id: (decided.keeper, duplicate, done)
        for file_id, (decided, done) in last.items()
        if (duplicate := _duplicate_of(decided, file_id)) is not None and _is_gone(done, duplicate, live.get(file_id))
    }
    pairs = [
        (decided.keeper, duplicate)
        for decided in decisions
        for duplicate in decided.duplicates
        if all(_stands(_id(member), live) and _id(member) not in taken for member in (decided.keeper, duplicate.member))
    ]
    keepers = {_id(duplicate.member): keeper for keeper, duplicate in pairs}
    keepers |= {file_id: keeper for file_id, (keeper, _, _) in taken.items()}
    groups: dict[str, Group] = {}
    for keeper, duplicate in pairs:
        _into(groups, keeper, keepers).entries.append(_proposed(duplicate, last.get(_id(duplicate.member))))
    for keeper, duplicate, done in taken.values():
        entry = Entry(duplicate=duplicate, action=done.outcome, reason=done.explanation)
        _into(groups, keeper, keepers).entries.append(entry)
    return list(groups.values())


def _stands(file_id: str, live: Mapping[str, FileDoc]) -> bool:
    return file_id in live and live[file_id].state == "analysed"


def _into(groups: dict[str, Group], keeper: Member, keepers: Mapping[str, Member]) -> Group:
    """The group of the keeper that is left: one that was taken in its turn stands in its own keeper's group."""
    seen = {_id(keeper)}
    while (above := keepers.get(_id(keeper))) is not None and _id(above) not in seen:
        keeper = above
        seen.add(_id(keeper))
    return groups.setdefault(_id(keeper), Group(keeper=keeper))


def _proposed(duplicate: Duplicate, answer: Acted | None) -> Entry:
    if answer is not None and answer[1].outcome not in _TAKEN and _same(answer[0], duplicate):
        done = answer[1]
        return Entry(duplicate=duplicate, action="refused", reason=f"{done.code or done.outcome}: {done.explanation}")
    return Entry(duplicate=duplicate, action="propose", reason=duplicate.reason)


def _same(decided: GroupDecided, duplicate: Duplicate) -> bool:
    """The answer was about the file as it is now."""
    asked = _duplicate_of(decided, _id(duplicate.member))
    return asked is not None and asked.member.version == duplicate.member.version


def _is_gone(done: CommandDone, duplicate: Duplicate, doc: FileDoc | None) -> bool:
    """Taken, and not back: the index may still know the version that was taken, a restored file has a newer one."""
    return done.outcome in _TAKEN and (doc is None or doc.version <= duplicate.member.version)


def _duplicate_of(decided: GroupDecided, file_id: str) -> Duplicate | None:
    return next((d for d in decided.duplicates if _id(d.member) == file_id), None)


def _id(member: Member) -> str:
    return member.file.photo.file_id

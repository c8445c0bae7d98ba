"""[pure] The settings in the words of the decisions: policy, roots, and the fingerprint that says when to plan anew."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from services.resolver.clustering import Bounds
from services.resolver.planning import Policy
from services.resolver.ranking import Candidate, rules_named
from shared.config import Root, Settings
from shared.index.port import ContentDoc, FileDoc
from shared.messages.base import digest_id
from shared.messages.requests import ApplyRequested

#: a folder below a root, by the root's name
Place = tuple[str, bytes]


def policy_of(settings: Settings, allowed: frozenset[Place] = frozenset()) -> Policy:
    """What the service may do by itself. ``allowed``: folders that a person allowed by name (S24)."""
    found = settings.deduplication
    limit = found.max_modification_time_difference
    return Policy(
        bounds=Bounds(
            max_distance=found.max_distance,
            across_roots=found.across_roots,
            rules=rules_named(found.rules),
        ),
        action=settings.acting,
        classes=frozenset(settings.automatic_classes),
        max_mtime_difference_ns=None if limit is None else round(limit.total_seconds() * 1_000_000_000),
        target=None if settings.target is None else str(settings.target),
        managed=tuple(sorted(set(managed_places(settings)))),
        allowed=allowed,
        watchers=settings.watchers,
    )


def policy_of_request(request: ApplyRequested, standing: Policy) -> Policy:
    """What a person allowed for one batch, on top of what stands."""
    return replace(
        standing,
        action=request.action,
        classes=frozenset(request.classes),
        roots=frozenset(request.roots),
        target=request.target,
        confirmed=True,
    )


def refusal_of(request: ApplyRequested, settings: Settings) -> str | None:
    """Why the settings do not let this request be carried out, or None (S6)."""
    if settings.dry_run:
        return "dry_run is set: nothing is moved or deleted"
    if request.action == "delete" and not settings.allow_delete:
        return "delete also needs allow_delete: true"
    target = None if settings.target is None else str(settings.target)
    if request.action == "move" and (target is None or request.target != target):
        return f"the target asked for is {request.target or 'none'}, the settings say {target or 'none'}"
    unknown = sorted(set(request.roots) - {root.name for root in settings.roots})
    if unknown:
        return f"there is no root called {unknown[0]}"
    return None


def fingerprint_of(settings: Settings) -> str:
    """Changes when decisions may come out differently."""
    roots = sorted((r.name, r.role, str(r.path), *([r.watcher] if r.watcher else [])) for r in settings.roots)
    policy = policy_of(settings)
    return digest_id(
        roots,
        settings.deduplication.model_dump_json(),
        policy.action,
        sorted(policy.classes),
        policy.target,
        policy.managed,
        settings.keeper_age_seconds,
    )


def managed_places(settings: Settings) -> Iterable[Place]:
    """The managed folders as places below the roots; one that holds a whole root is that root."""
    roots = {root.name: os.path.abspath(os.fsencode(root.path)) for root in settings.roots}
    for text in settings.managed_folders:
        name, colon, below = text.partition(":")
        if not text.startswith(("/", "~")) and colon and name in roots:
            yield name, os.fsencode(below).strip(b"/")
        else:
            yield from _places_of(os.path.abspath(os.path.expanduser(os.fsencode(text))), roots)


def _places_of(folder: bytes, roots: Mapping[str, bytes]) -> Iterable[Place]:
    for name, root in roots.items():
        if root == folder or root.startswith(folder.rstrip(b"/") + b"/"):
            yield name, b""
        elif folder.startswith(root.rstrip(b"/") + b"/"):
            yield name, folder[len(root.rstrip(b"/")) + 1 :]


def candidates_of(
    files: Iterable[FileDoc], contents: Mapping[str, ContentDoc], roots: Mapping[str, Root]
) -> list[Candidate]:
    """The live files of the configured roots (S22); what lies in another root is nobody's keeper or victim."""
    return [
        Candidate(
            path=doc.path,
            version=doc.version,
            sha256=doc.sha256,
            stat=doc.stat,
            facts=contents[doc.sha256].facts,
            role=roots[doc.path.root].role,
            known_since=doc.known_since,
            doubt=doc.doubt,
            root_folder=os.fsencode(roots[doc.path.root].path),
        )
        for doc in files
        if doc.state == "analysed" and doc.path.root in roots and doc.stat and doc.sha256 in contents
        if doc.sha256 is not None
    ]

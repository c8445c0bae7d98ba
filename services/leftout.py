"""What a look left out, for its report: files by the rule that left them out, and roots of which nothing is known."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from services.report import Skipped
from services.watcher.eyes.service import Eyes


def left_out(eyes: Eyes, roots: Mapping[str, Path]) -> list[Skipped]:
    """A root that is not recognised stands in the report too: what is told of it is not what it holds (S14)."""
    unknown = [
        Skipped(path=os.fsencode(path), rule="root-unknown", reason=reason)
        for name, path in roots.items()
        if (reason := eyes.unknown(name))
    ]
    files = [
        Skipped(path=os.path.join(os.fsencode(roots[one.root]), one.rel), rule=one.rule, reason=one.reason)
        for one in eyes.skipped()
        if one.root in roots
    ]
    return [*unknown, *files]

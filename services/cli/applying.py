"""[pure but for ``check_target``] What ``scan --apply`` and its options mean for the settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from services.terminal import ApplyChoice
from shared.errors import UsageError
from shared.messages.resolution import MatchClass
from shared.paths import printable
from shared.settings_roots import named_folder
from shared.settings_sources import Override

if TYPE_CHECKING:
    from shared.config import Settings


def classes_of(given: Sequence[str] | None) -> tuple[MatchClass, ...]:
    """``similar`` takes in ``same-bytes``: who agrees to the doubtful copies agrees to the certain ones."""
    wanted = set(given or ()) | {"same-bytes"}
    return tuple(name for name in get_args(MatchClass) if name in wanted)


def choice_of(
    action: Literal["move", "delete"] | None,
    classes: Sequence[str] | None,
    *,
    yes: bool,
    dry_run: bool,
    target: str | None = None,
) -> ApplyChoice | None:
    """What a person wants done, or None. Raises ``UsageError`` before anything is looked at."""
    named_folder(target, "--target")
    if action is None:
        if classes:
            raise UsageError("--apply-class says what --apply takes; add --apply move or --apply delete")
        if target is not None:
            raise UsageError("--target says where --apply move puts files; add --apply move")
        return None
    if not (yes or dry_run or sys.stdin.isatty()):
        raise UsageError("--apply asks before it acts, and there is no terminal to ask on; add --yes")
    return ApplyChoice(action=action, classes=classes_of(classes), agreed=yes)


def overrides_of(
    action: Literal["move", "delete"] | None, classes: Sequence[str] | None, target: str | None, allow_delete: bool
) -> list[Override]:
    """Without ``--apply`` a scan only proposes, whatever the settings say (S6)."""
    found = [Override(key="action", value=action or "propose", option="--apply")]
    if classes:
        found.append(Override(key="automatic_classes", value=classes_of(classes), option="--apply-class"))
    elif action:
        found.append(Override(key="automatic_classes", value=("same-bytes",), option="--apply"))
    if target is not None:
        found.append(Override(key="target", value=named_folder(target, "--target"), option="--target"))
    if allow_delete:
        found.append(Override(key="allow_delete", value=True, option="--allow-delete"))
    return found


def check_target(settings: Settings) -> None:
    """A target that is there must be a folder. Raises ``UsageError``."""
    if settings.target is not None and os.path.lexists(settings.target) and not settings.target.is_dir():
        raise UsageError(f"target {printable(os.fsencode(settings.target))}: not a folder")

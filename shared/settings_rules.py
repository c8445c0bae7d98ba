"""[pure] The names of the ranking rules that a setting may name, and their order unless one is given."""

from __future__ import annotations

from typing import Literal, get_args

RuleName = Literal[
    "higher-pixel-count",
    "lower-pixel-count",
    "more-exif-data",
    "less-exif-data",
    "bigger-file-size",
    "smaller-file-size",
    "newer-file-modification-date",
    "older-file-modification-date",
    "smaller-distance",
    "bigger-distance",
    "contains-copy-in-file-name",
    "doesnt-contain-copy-in-file-name",
    "longer-file-name",
    "shorter-file-name",
    "longer-folder-path",
    "shorter-folder-path",
    "longer-path",
    "shorter-path",
    "higher-score",
    "lower-score",
]
#: every rule that a setting may name; their functions are in services.resolver.ranking
RULE_NAMES: tuple[str, ...] = get_args(RuleName)

DEFAULT_RULES: tuple[RuleName, ...] = (
    "higher-pixel-count",
    "more-exif-data",
    "bigger-file-size",
    "newer-file-modification-date",
    "smaller-distance",
    "doesnt-contain-copy-in-file-name",
    "longer-file-name",
    "shorter-folder-path",
    "higher-score",
)

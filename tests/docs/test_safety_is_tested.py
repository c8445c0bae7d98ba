"""docs/safety.md names the tests of every rule. Written by `python tests/docs/test_safety_is_tested.py`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "safety.md"
BEGIN, END = "<!-- tests: begin -->", "<!-- tests: end -->"
RULES = [f"s{n}" for n in range(1, 26)]


def rule_citations() -> dict[str, list[str]]:
    """Every test function that cites a rule in its name, as ``file::name``, by rule."""
    found: dict[str, list[str]] = {rule: [] for rule in RULES}
    for file in sorted((REPOSITORY / "tests").rglob("*.py")):
        for name in re.findall(r"def (test_\w+)", file.read_text()):
            for rule in re.findall(r"(?<=_)s\d+(?=_)", name):
                if rule in found:
                    found[rule].append(f"{file.relative_to(REPOSITORY / 'tests')}::{name}")
    return found


def table() -> str:
    lines = [BEGIN]
    for rule, names in rule_citations().items():
        lines.append(f"* **{rule.upper()}**")
        lines += [f"  * `{name}`" for name in names]
    return "\n".join([*lines, END])


def written() -> str:
    text = PAGE.read_text()
    return text[text.index(BEGIN) : text.index(END) + len(END)]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_test_that_cites_it(rule: str) -> None:
    assert rule_citations()[rule], f"no test is named test_{rule}_…"


def test_the_page_lists_exactly_the_tests_there_are() -> None:
    assert written() == table(), "run: .venv/bin/python tests/docs/test_safety_is_tested.py"


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().replace(written(), table()))

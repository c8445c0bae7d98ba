"""What the README tells people to type exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.S)
LINES = [line[2:] for block in BLOCKS for line in block.splitlines() if line[:2] == "$ "]
MADE = [line for line in LINES if line.startswith("make ")]
RUN = [part for line in LINES for part in re.findall(r"\.venv/bin/photosift ([^>|)#\"]*)", line)]


def test_the_readme_has_commands_to_type() -> None:
    assert len(MADE) >= 2
    assert len(RUN) >= 6


@pytest.mark.parametrize("line", MADE)
def test_every_make_target_of_the_readme_exists(line: str) -> None:
    target = line.split()[1]
    assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("arguments", RUN)
def test_every_photosift_command_of_the_readme_exists_with_its_options(arguments: str) -> None:
    words = shlex.split(arguments)
    names = words[: 2 if words[0] == "config" else 1]
    shown = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "300", "TERM": "dumb"})
    assert shown.exit_code == 0
    for option in (word for word in words if word.startswith("--")):
        assert option in shown.output


@pytest.mark.parametrize("link", re.findall(r"\]\(([^):]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (REPOSITORY / link).exists()

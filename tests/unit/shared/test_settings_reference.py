"""The annotated file loads to the defaults; the page in docs/ is the one that the code writes."""

from __future__ import annotations

from pathlib import Path

import yaml

from shared.config import Settings
from shared.settings_complaints import Origin
from shared.settings_reference import in_force, page, reference
from shared.settings_schema import leaves, root_leaves
from shared.settings_sources import load, load_with_origins, read_yaml
from tests.support.data import REPOSITORY


def test_the_reference_loads_and_gives_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "photosift.yaml"
    file.write_text(reference())
    assert load(config=file, environ={}) == load(config=None, environ={"PHOTOSIFT_CONFIG": str(file)})
    layer = read_yaml(reference(), name="x", folder=tmp_path)
    assert layer.complaints == ()
    assert Settings.model_validate(layer.values) == Settings()


def test_other_programs_read_the_reference_too() -> None:
    assert yaml.safe_load(reference())["breaker"]["at_most"] == 200


def test_the_reference_names_every_setting_with_sentence_bounds_default_and_variable() -> None:
    text = " ".join(reference().replace("#", " ").split())
    for leaf in leaves():
        assert leaf.sentence in text
        assert f"Allowed: {leaf.allowed}. Default:" in text
        assert f"Variable: {leaf.variable}" in text


def test_every_setting_has_a_sentence() -> None:
    assert all(leaf.sentence.endswith(".") for leaf in (*leaves(), *root_leaves()))


def test_the_page_of_the_documentation_is_the_one_that_the_code_writes() -> None:
    written = (REPOSITORY / "docs" / "settings.md").read_text()
    assert written == page(), "run: python -m shared.settings_reference > docs/settings.md"


def test_what_is_in_force_says_where_each_value_came_from(tmp_path: Path) -> None:
    file = tmp_path / "nas.yaml"
    file.write_text("roots: [/a]\n\nstats_port: 1\nnats_url: nats://me:hunter2@nas")
    loaded = load_with_origins(config=file, environ={"PHOTOSIFT_WATCH__SETTLE_SECONDS": "9"})
    lines = list(in_force(loaded.settings, loaded.origins))
    assert len(lines) == len(leaves())
    assert f"stats_port: 1  # {file}, line 3" in lines
    assert "watch.settle_seconds: 9  # PHOTOSIFT_WATCH__SETTLE_SECONDS" in lines
    assert "breaker.at_least: 20  # default" in lines
    assert "hunter2" not in "".join(lines)  # S21
    assert str(Origin(source="default")) == "default"

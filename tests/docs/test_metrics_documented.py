"""docs/metrics.md lists every metric that is declared, with its labels, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from shared.telemetry import metrics

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text()


def declared() -> dict[str, set[str]]:
    found = {}
    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase):
            family = next(iter(value.describe()))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = set(value._labelnames)
    return found


def documented() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(photosift_\w+)` \| \w+ \|([^|]*)\|", PAGE, re.M)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def test_the_page_lists_every_metric_with_its_labels_and_no_other() -> None:
    assert documented() == declared()


def test_no_metric_has_a_label_for_files() -> None:
    assert not {"path", "file", "name"} & {label for labels in declared().values() for label in labels}

"""What the documentation and the dashboard call a metric is one that the package gives."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
WINDOWS = ("burst", "read", "send")
TIMERS = ("_sum", "_count")


def given() -> set[str]:
    found: set[str] = set()
    for file in (ROOT / "airflow_provider_wtschat").rglob("*.py"):
        for call in re.findall(r"Stats\.(?:incr|gauge|timing)\(([^\n]*)", file.read_text()):
            found |= set(re.findall(r'"(wtschat\.[a-z_.{}]+)"', call))
    return {name.replace("{window}", window) for name in found for window in WINDOWS}


def test_the_dashboard_and_the_page_name_metrics_that_exist():
    names = given()
    assert len(names) > 9
    dashboard = json.loads((ROOT / "docs" / "grafana-wtschat.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    flat = {name.replace(".", "_") for name in names}
    for one in asked:
        for name in re.findall(r"\$\{prefix\}(\w+)", one):
            assert name in flat or (name.endswith(TIMERS) and name.rpartition("_")[0] in flat), name
    page = (ROOT / "docs" / "monitoring.md").read_text()
    table = page[page.index("| Name | Kind") : page.index("`account` is the ids")]
    told: set[str] = set()
    for row in table.strip().splitlines()[2:]:
        first, *more = re.findall(r"`([\w.]+)`", row.split("|")[1])
        told |= {first, *(f"{first.rpartition('.')[0]}{other}" for other in more)}
    assert told == names


def lost(given: Any, kept: Any, path: str = "") -> list[str]:
    """Say what of one JSON document is not in another."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [
            each
            for name, value in given.items()
            for each in (lost(value, kept[name], f"{path}.{name}") if name in kept else [f"{path}.{name}"])
        ]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        pairs = enumerate(zip(given, kept, strict=True))
        return [each for index, (one, other) in pairs for each in lost(one, other, f"{path}[{index}]")]
    return [] if given == kept else [path]


def test_grafana_knows_every_field_of_the_dashboard():
    """Grafana's own models of dashboards and panels drop what they do not know."""
    models, plugins, encoder = (
        pytest.importorskip(f"grafana_foundation_sdk.{name}", reason="the package grafana-foundation-sdk is missing")
        for name in ("models.dashboard", "cog.plugins", "cog.encoder")
    )
    plugins.register_default_plugins()
    dashboard = json.loads((ROOT / "docs" / "grafana-wtschat.json").read_text())
    read = models.Dashboard.from_json(dashboard)
    assert lost(dashboard, json.loads(encoder.JSONEncoder().encode(read))) == []
    dashboard["panels"][0]["targets"][0]["exprr"] = dashboard["panels"][0]["options"]["sise"] = "a misspelt name"
    read = models.Dashboard.from_json(dashboard)
    assert lost(dashboard, json.loads(encoder.JSONEncoder().encode(read))) == [
        ".panels[0].targets[0].exprr",
        ".panels[0].options.sise",
    ]

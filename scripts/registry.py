"""
Write .airflow-registry.yaml, which tells Airflow's provider registry what is in the package: ``make registry``.

A test fails if the file is not what this writes.
"""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from airflow_provider_wtschat.get_provider_info import get_provider_info
from scripts.local import ROOT

PATH = ROOT / ".airflow-registry.yaml"
KINDS = ("hooks", "operators", "sensors", "triggers", "transfers", "notifications")


def text() -> str:
    """
    Return what belongs into the file.

    :return: YAML
    """
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    repository = settings["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
    info = get_provider_info()
    top = {
        "package-name": info["package-name"],
        "display-name": info["name"],
        "description": settings["project"]["description"],
        "docs-url": f"{repository}/blob/main/docs/index.md",
        "source-url": repository,
    }
    lines = ["# Written by make registry.", *(f"{key}: {json.dumps(value)}" for key, value in top.items())]
    for kind in KINDS:
        lines += ["", f"{kind}:"]
        for cls in classes(kind, info):
            summary = (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "")
            lines.append(f"  - module: {cls.__module__}.{cls.__qualname__}")
            lines.append(f"    description: {json.dumps(summary, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def classes(kind: str, info: dict[str, Any]) -> Iterator[type]:
    """
    Find what users construct.

    :param kind: what to find, such as ``operators``
    :param info: what Airflow is told of the package
    :return: the classes, sorted by module and name
    """
    if kind == "notifications":
        for path in info[kind]:
            module, _, name = path.rpartition(".")
            yield getattr(import_module(module), name)
        return
    ending = {"hooks": "Hook", "sensors": "Sensor", "triggers": "Trigger"}.get(kind, "Operator")
    modules = {item["python-module"] for item in info[kind] if "python-module" in item}
    modules |= {name for item in info[kind] for name in item.get("python-modules", ())}
    for module in [import_module(name) for name in sorted(modules)]:
        for name, cls in vars(module).items():
            own = inspect.isclass(cls) and cls.__module__ == module.__name__ and name.endswith(ending)
            shared = name.startswith("WtsChat") and own and cls.__subclasses__()  # what others build on
            if own and not name.startswith("_") and not shared:
                yield cls


if __name__ == "__main__":
    PATH.write_text(text())

"""What semantic versioning covers: the public names with their arguments and defaults."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from scripts.local import ROOT
from scripts.names import MODULES, ONLY, PACKAGE, PUBLIC, SNAPSHOT, Names, breaks, public_names

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "example_dags").glob("*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_says_what_it_shows(name):
    module = import_module(name)
    assert module.__all__
    assert [public for public in module.__all__ if public.startswith("_") or not hasattr(module, public)] == []
    assert ONLY.get(name.removeprefix(f"{PACKAGE}."), set()) <= set(module.__all__)


def test_nothing_public_has_changed():
    assert breaks(json.loads(SNAPSHOT.read_text()), public_names()) == []


def test_what_is_new_is_held_from_now_on():
    assert json.loads(SNAPSHOT.read_text()) == public_names(), "run make names"


@pytest.mark.parametrize("path", [*PAGES, *EXAMPLES], ids=lambda path: path.name)
def test_what_users_are_shown_is_public(path: Path):
    shown = {f"{PACKAGE}.{part}" for part in PUBLIC}
    for module in MODULES:
        names = ONLY.get(module.removeprefix(f"{PACKAGE}."), import_module(module).__all__)
        shown |= {module, *(f"{module}.{name}" for name in names)}
    imports = re.findall(rf"^ *from ({PACKAGE}[\w.]*) import (\([^)]*\)|.+)$", path.read_text(), re.MULTILINE)
    used = {f"{module}.{name}" for module, names in imports for name in re.findall(r"\w+(?! as)", names)}
    assert sorted(used - shown) == []


OLD: Names = {"f": {"a": "", "b": "1"}, "C": {"x": "None"}}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (OLD, []),
        (OLD | {"g": {}}, []),
        (OLD | {"f": {"a": "", "b": "1", "c": "None"}}, []),
        ({"f": OLD["f"]}, ["C is gone"]),
        (OLD | {"f": {"a": ""}}, ["f: b is gone"]),
        (OLD | {"f": {"a": "", "b": "2"}}, ["f: b was 1 by default and is 2"]),
        (OLD | {"f": {"a": "", "b": ""}}, ["f: b was 1 by default and is to be given"]),
        (OLD | {"C": {"x": "None", "y": ""}}, ["C: y is new and must be given"]),
    ],
)
def test_breaks_are_found(new: Names, expected: list[str]):
    assert breaks(OLD, new) == expected

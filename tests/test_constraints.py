"""Airflow's own constraint files accept what the package asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts.pins import TOOLS
from scripts.releases import NEWEST, OLDEST, SERIES, WITH_SDK, Release

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OFFICIAL = sorted((ROOT / "constraints" / "official").glob("*.txt"))
REQUIREMENTS = [
    Requirement(line)
    for group in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for line in group
    if not line.startswith(PROJECT["name"])
]


def pins(path: Path) -> dict[str, str]:
    found = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition(";")[0].strip().partition("==")
            found[str(canonicalize_name(name))] = version
    return found


@pytest.mark.parametrize("path", OFFICIAL, ids=lambda path: path.stem)
@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_a_requirement_accepts_what_airflow_pins(path: Path, requirement: Requirement):
    pinned = pins(path).get(canonicalize_name(requirement.name))
    if requirement.name == "apache-airflow":
        pinned = path.stem.removeprefix("airflow-")
    assert pinned is None or requirement.specifier.contains(pinned)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_a_floor_is_the_oldest_release_that_airflow_pins(requirement: Requirement):
    """So that no floor promises a release that nobody tries."""
    (specifier,) = requirement.specifier
    name = canonicalize_name(requirement.name)
    pinned = [Version(found[name]) for found in map(pins, OFFICIAL) if name in found]
    assert specifier.operator == ">="
    assert not pinned or Version(specifier.version) == min(pinned)


@pytest.mark.parametrize("release", [NEWEST, *SERIES.values()], ids=lambda release: release.version)
def test_environments_have_the_versions_that_airflow_pins(release: Release):
    """All but what runs the tests."""
    ours = pins(release.pins)
    assert ours["apache-airflow"] == release.version
    if release.official is None:
        return
    airflow = pins(release.official)
    wrong = {name: version for name, version in ours.items() if name in airflow and version != airflow[name]}
    assert {name for name in wrong if not TOOLS.match(f"{name}==")} == set()


def test_the_page_about_versions_shows_what_is_installed():
    page = (ROOT / "docs" / "versions.md").read_text()
    assert f"pip install '{WITH_SDK}'" in page
    for release in (NEWEST, OLDEST, *SERIES.values()):
        assert release.version in page


def test_constraint_files_name_versions_and_no_host():
    line = re.compile(r"([A-Za-z0-9._-]+(\[[a-z,-]+\])?(==|<)[\w.+!-]+( ; [^:]+)?|#.*|)")
    for path in sorted((ROOT / "constraints").rglob("*.*")):
        wrong = [text for text in path.read_text().splitlines() if not line.fullmatch(text)]
        assert wrong == [], path

"""What is published: each check finds what it is there for, and the real thing passes all of them."""

from __future__ import annotations

import io
import random
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import dist
from scripts.dist import Problem
from scripts.local import ROOT

EPOCH = "1750000000"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build needs, to be broken."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("airflow_provider_wtschat", "scripts", ".github"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="session")
def built(project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return dist.build(project, tmp_path_factory.mktemp("built"), EPOCH)


@pytest.fixture(scope="session")
def tools() -> Path:
    return dist.prepare_tools()


@pytest.fixture
def variant(project: Path, tmp_path: Path) -> Callable[..., tuple[Path, Path, Path]]:
    """Build with a file of the project changed; the project, the source distribution and the wheel."""

    def build(file: str, old: str, new: str) -> tuple[Path, Path, Path]:
        changed = tmp_path / "project"
        shutil.copytree(project, changed)
        text = (changed / file).read_text()
        assert old in text
        (changed / file).write_text(text.replace(old, new))
        return changed, *dist.build(changed, tmp_path / "built", EPOCH)

    return build


def with_file(wheel: Path, folder: Path, name: str, content: bytes = b"") -> Path:
    """Copy a wheel and put a file into it."""
    folder.mkdir(exist_ok=True)
    copy = folder / wheel.name
    shutil.copy(wheel, copy)
    with zipfile.ZipFile(copy, "a") as archive:
        archive.writestr(name, content)
    return copy


def test_what_is_published_passes(project: Path, built: tuple[Path, Path], tools: Path, tmp_path: Path):
    source, wheel = built
    dist.build(project, tmp_path, EPOCH)
    dist.check_same(source.parent, tmp_path)
    dist.check_size(wheel)
    dist.check_links(wheel)
    dist.check_files(source, wheel)
    dist.check_with_tools(tools, project, source, wheel)
    dist.check_workflows(tools, project)


def test_builds_that_differ_are_found(project: Path, built: tuple[Path, Path], tmp_path: Path):
    dist.build(project, tmp_path, str(int(EPOCH) + 2))
    with pytest.raises(Problem, match=r"not reproducible: .*\.whl, .*\.tar\.gz differ"):
        dist.check_same(built[0].parent, tmp_path)


def test_a_large_wheel_is_found(built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dist, "LARGEST_WHEEL", built[1].stat().st_size - 1)
    with pytest.raises(Problem, match=r"(?s)\.whl has [\d,]+ bytes; the budget is .* [\d,]+  simulator/\*\.py\n"):
        dist.check_size(built[1])


def test_a_large_file_that_is_not_python_is_found(built: tuple[Path, Path], tmp_path: Path):
    noise = random.Random(1).randbytes(dist.LARGEST_OTHER_FILES)
    wheel = with_file(built[1], tmp_path, "airflow_provider_wtschat/simulator/account.bin", noise)
    with pytest.raises(Problem, match=r"(?s)^what is not Python in .*  simulator/\*\.bin"):
        dist.check_size(wheel)


def test_a_relative_link_is_found(variant: Callable[..., tuple[Path, Path, Path]]):
    *_, wheel = variant("scripts/metadata.py", "_LINK.sub(", "(lambda _, text: text)(")
    with pytest.raises(Problem, match=r"relative links: .*\]\(docs/operators\.md\)"):
        dist.check_links(wheel)


def test_a_cache_in_either_is_found(built: tuple[Path, Path], tmp_path: Path):
    source, wheel = built
    with pytest.raises(Problem, match=r"do not belong there: airflow_provider_wtschat/x\.pyc"):
        dist.check_files(source, with_file(wheel, tmp_path, "airflow_provider_wtschat/x.pyc"))
    with tarfile.open(tmp_path / "source.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("x/.demo/airflow.db"), io.BytesIO())
    with pytest.raises(Problem, match=r"do not belong there: x/\.demo/airflow\.db"):
        dist.check_files(tmp_path / "source.tar.gz", wheel)


@pytest.mark.parametrize(
    ("file", "old", "new", "tool"),
    [
        ("scripts/metadata.py", '"content-type": "text/markdown"', '"content-type": "text/x-rst"', "twine check"),
        (
            "pyproject.toml",
            'requires-python = ">=3.11"',
            'requires-python = ">=3.11"\nlicence = "MIT"',
            "validate-pyproject",
        ),
        ("pyproject.toml", ', email = "maintainers@wtschat.example"', "", "pyroma --min 10"),
    ],
)
def test_metadata_that_a_tool_objects_to_is_found(variant, tools: Path, file, old, new, tool):
    project, source, wheel = variant(file, old, new)
    with pytest.raises(Problem, match=f"^{tool}"):
        dist.check_with_tools(tools, project, source, wheel)


def test_an_unknown_field_of_the_project_is_found(project: Path, built: tuple[Path, Path], tools: Path, tmp_path: Path):
    text = (project / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(text.replace("license =", "licence ="))
    with pytest.raises(Problem, match=r"(?s)^validate-pyproject .*licence"):
        dist.check_with_tools(tools, tmp_path, *built)


def test_a_package_beside_the_package_is_found(variant, tools: Path):
    project, source, wheel = variant("pyproject.toml", 'packages = ["airf', 'packages = ["scripts", "airf')
    with pytest.raises(Problem, match=r"^check-wheel-contents"):
        dist.check_with_tools(tools, project, source, wheel)


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", "unpinned-uses"),
        ("        with:\n          persist-credentials: false\n", "", "artipacked"),
        ("permissions: {}", "permissions: write-all", "excessive-permissions"),
        ("- run: make dist", "- run: make dist TAG=${{ github.head_ref }}", "template-injection"),
    ],
)
def test_a_weak_workflow_is_found(project: Path, tools: Path, tmp_path: Path, old, new, finding):
    shutil.copytree(project / ".github", tmp_path / ".github")
    workflow = tmp_path / ".github" / "workflows" / "test.yml"
    assert old in workflow.read_text()
    workflow.write_text(workflow.read_text().replace(old, new))
    with pytest.raises(Problem, match=finding):
        dist.check_workflows(tools, tmp_path)


def test_a_module_that_needs_an_extra_and_does_not_say_so_is_found(project: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(project / "airflow_provider_wtschat", copy / "airflow_provider_wtschat")
    (copy / "airflow_provider_wtschat" / "broken.py").write_text("import a_database")
    said = "'x': pip install 'airflow-provider-wtschat[x]'"
    (copy / "airflow_provider_wtschat" / "extra.py").write_text(f'raise ModuleNotFoundError("""{said}""")')
    with pytest.raises(Problem, match=r"wtschat\.broken: ModuleNotFoundError: No module named 'a_database'$"):
        dist.import_all(Path(sys.executable), tmp_path, {"PYTHONPATH": str(copy)})


PROJECT = """
[project]
authors = [{ name = "Somebody", email = "somebody@wts.chat" }]
[tool.hatch.metadata.hooks.custom]
repository = "https://github.com/somebody/airflow-provider-wtschat"
"""
CHANGELOG = "# Changelog\n\n## 1.2.3 (2027-01-31)\n"


def test_a_release_passes():
    dist.check_release("v1.2.3", "1.2.3", CHANGELOG, PROJECT)


@pytest.mark.parametrize(
    ("tag", "changelog", "project", "problem"),
    [
        ("v1.2.4", CHANGELOG, PROJECT, "the tag 'v1.2.4' is not the version: v1.2.3"),
        ("1.2.3", CHANGELOG, PROJECT, "is not the version"),
        ("v1.2.3", CHANGELOG.replace("2027-01-31", "unreleased"), PROJECT, "'unreleased' is no date"),
        ("v1.2.3", CHANGELOG.replace("1.2.3", "1.2.2"), PROJECT, "no line '## 1.2.3"),
        ("v1.2.3", CHANGELOG, PROJECT.replace("github.com/somebody", "github.com/example"), "made-up address: https"),
        ("v1.2.3", CHANGELOG, PROJECT.replace("@wts.chat", "@wts.example"), "made-up address: somebody"),
    ],
)
def test_what_is_no_release_is_refused(tag, changelog, project, problem):
    with pytest.raises(Problem, match=problem.replace("(", r"\(")):
        dist.check_release(tag, "1.2.3", changelog, project)


def test_the_project_as_it_is_cannot_be_released_by_accident():
    texts = [(ROOT / name).read_text() for name in ("CHANGELOG.md", "pyproject.toml")]
    if "(unreleased)" in texts[0]:
        with pytest.raises(Problem, match="unreleased"):
            dist.check_release("v0.1.0", "0.1.0", *texts)

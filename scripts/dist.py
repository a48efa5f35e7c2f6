"""
Build what is published, and check it as a stranger would: ``make dist``.

The release workflow runs this and uploads what lies in dist/ then, so everything that can be wrong with a release is
found here. Each check raises `Problem`.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from scripts.local import BIN, ROOT
from scripts.releases import CONSTRAINTS, NEWEST, install, make_environment

DIST = ROOT / "dist"
LARGEST_WHEEL = 680_000
"""
Bytes. Every image build of every user downloads it. Five sixths are Python: 395 kB compressed without its
documentation, and 170 kB of docstrings and comments.
"""
LARGEST_OTHER_FILES = 45_000
"""
Bytes, compressed: what is in the package beside Python, which are the contract that the simulator answers from and the
page in Airflow's UI. A file that slipped in shows at once.
"""
PINS = CONSTRAINTS / "dist.txt"
IMPORT_ALL = ROOT / "scripts" / "import_all.py"


class Problem(Exception):
    """Something that must not be published."""


def build(project: Path, folder: Path, epoch: str) -> tuple[Path, Path]:
    """
    Build the source distribution, and the wheel out of it.

    :param project: the project's directory
    :param folder: where to put them
    :param epoch: the time that goes into the archives, in seconds since 1970
    :return: the paths of both
    """
    command: list[str | Path] = [
        BIN / "uv",
        "build",
        "--quiet",
        "--build-constraint",
        PINS,
        "--out-dir",
        folder,
        project,
    ]
    subprocess.run(command, env=os.environ | {"SOURCE_DATE_EPOCH": epoch}, check=True)
    (folder / ".gitignore").unlink(missing_ok=True)
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return source, wheel


def time_of_commit() -> str:
    """
    Say which time goes into the archives.

    :return: ``SOURCE_DATE_EPOCH`` if it is set, else the time of the last commit, else a fixed one
    """
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        return epoch
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "1580601600"


def check_same(first: Path, second: Path) -> None:
    """
    Check that the same source makes the same bytes.

    :param first: a folder with what was built
    :param second: a folder with what was built once more
    :raises Problem: if they differ
    """
    hashes = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        for folder in (first, second)
    ]
    if different := sorted(name for name in hashes[0] | hashes[1] if hashes[0].get(name) != hashes[1].get(name)):
        raise Problem(f"not reproducible: {', '.join(different)} differ when built twice")


def check_size(wheel: Path) -> None:
    """
    Check the wheel's size.

    :param wheel: the wheel
    :raises Problem: if it is larger than the budget, or what is not Python is; with the sizes of its parts
    """
    parts = parts_of(wheel)
    other = sum(size for name, size in parts.items() if not name.endswith((".py", ".dist-info")))
    for what, size, budget in (
        (f"what is not Python in {wheel.name}", other, LARGEST_OTHER_FILES),
        (wheel.name, wheel.stat().st_size, LARGEST_WHEEL),
    ):
        if size > budget:
            shown = "".join(f"\n{size:>9,}  {name}" for name, size in parts.items())
            raise Problem(f"{what} has {size:,} bytes; the budget is {budget:,}. Compressed:{shown}")


def parts_of(wheel: Path) -> dict[str, int]:
    """
    Add up what lies in a wheel.

    :param wheel: the wheel
    :return: compressed bytes by folder of the package and kind of file, such as ``api/*.py``, the largest first
    """
    parts: Counter[str] = Counter()
    with zipfile.ZipFile(wheel) as archive:
        for file in archive.infolist():
            top, *folders, name = file.filename.split("/")
            kind = f"{'/'.join(folders[:1])}/*{Path(name).suffix}".lstrip("/")
            parts[top if top.endswith(".dist-info") else kind] += file.compress_size
    return dict(parts.most_common())


def check_links(wheel: Path) -> None:
    """
    Check that the README leads somewhere on a package index.

    :param wheel: the wheel
    :raises Problem: if a link is relative
    """
    if dead := re.findall(r"\]\((?!https?://|#)[^)]*\)", _metadata(wheel)):
        raise Problem(f"the README of {wheel.name} has relative links: {', '.join(dead)}")


def check_files(source: Path, wheel: Path) -> None:
    """
    Check that neither carries what is not the project's: caches, builds, databases, files of editors.

    :param source: the source distribution
    :param wheel: the wheel
    :raises Problem: if one does
    """
    with tarfile.open(source) as archive, zipfile.ZipFile(wheel) as zipped:
        names = [*archive.getnames(), *zipped.namelist()]
    strange = [
        name for name in names if re.search(r"(^|/)(__pycache__|\.venvs?|\.demo|\.ui|dist)/|\.(pyc|db|log|swp)$", name)
    ]
    if strange:
        raise Problem(f"files that do not belong there: {', '.join(strange[:5])}")


def check_with_tools(tools: Path, project: Path, source: Path, wheel: Path) -> None:
    """
    Ask the tools that packagers use.

    :param tools: the ``bin`` of the environment that they are in
    :param project: the project's directory
    :param source: the source distribution
    :param wheel: the wheel
    :raises Problem: if one finds something
    """
    _ask(tools, "twine", "check", "--strict", source, wheel)
    _ask(tools, "check-wheel-contents", "--config", project / "pyproject.toml", wheel)
    _ask(tools, "validate-pyproject", project / "pyproject.toml")
    _ask(tools, "pyroma", "--min", "10", "--file", source)


def check_workflows(tools: Path, project: Path) -> None:
    """
    Look for weaknesses in the workflows.

    :param tools: the ``bin`` of the environment that zizmor is in
    :param project: the project's directory
    :raises Problem: if it finds something
    """
    _ask(tools, "zizmor", "--offline", "--quiet", "--pedantic", project / ".github")


def check_imports(wheel: Path, home: Path) -> None:
    """
    Install the wheel alone, without extras, and import everything in it.

    :param wheel: the wheel
    :param home: where to make the environment
    :raises Problem: if a module does not import and does not say which extra it needs
    """
    python = make_environment(home, sys.executable)
    install(python, "--constraint", NEWEST.pins, wheel, compiled=False)  # imported once
    import_all(python, home, {})


def import_all(python: Path, folder: Path, environment: Mapping[str, str]) -> None:
    """
    Import everything.

    :param python: the interpreter
    :param folder: where to start it, which is not where the source lies
    :param environment: further variables
    :raises Problem: if a module does not import and does not say which extra it needs
    """
    _run(environment, python, "-P", IMPORT_ALL, cwd=folder)


def check_release(tag: str, version: str, changelog: str, pyproject: str) -> None:
    """
    Check what only a release needs.

    :param tag: the tag, such as ``v1.2.3``
    :param version: the package's version
    :param changelog: text of CHANGELOG.md
    :param pyproject: text of pyproject.toml
    :raises Problem: if the tag is not the version, the version has no dated entry in the changelog, or the project
        still has a made-up address
    """
    if tag != f"v{version}":
        raise Problem(f"the tag {tag!r} is not the version: v{version}")
    heading = re.search(rf"^## {re.escape(version)} \((.*)\)$", changelog, re.MULTILINE)
    if heading is None or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", heading[1]):
        raise Problem(f"CHANGELOG.md has no line '## {version} (YYYY-MM-DD)'; 'unreleased' is no date")
    project = tomllib.loads(pyproject)
    repository = project["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
    addresses = [repository, *(author.get("email", "") for author in project["project"]["authors"])]
    if made_up := [address for address in addresses if "/example/" in address or address.endswith(".example")]:
        raise Problem(f"pyproject.toml has a made-up address: {', '.join(made_up)}")


def prepare_tools(home: Path = ROOT / ".venvs" / "dist") -> Path:
    """
    Make the environment of the tools, unless it is there and up to date.

    :param home: where
    :return: its ``bin``
    """
    stamp = home / ".ready"
    wanted = PINS.read_text()
    home.parent.mkdir(exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests ask for it in several processes
        if not stamp.exists() or stamp.read_text() != wanted:
            python = make_environment(home, sys.executable)
            install(python, "--requirements", PINS)
            stamp.write_text(wanted)
    return home / "bin"


def _metadata(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


def _ask(tools: Path, name: str, *arguments: str | Path) -> None:
    # pyroma builds what it rates, and looks for its Python on the PATH.
    _run({"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}, tools / name, *arguments)


def _run(environment: Mapping[str, str], *command: str | Path, cwd: Path = ROOT) -> None:
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, cwd=cwd)
    if done.returncode != 0:
        words = [Path(word).name if isinstance(word, Path) else word for word in command]
        raise Problem(f"{' '.join(words)}:\n{done.stdout}{done.stderr}".strip())


def main() -> int:
    """Build into dist/ and run all checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag", help="the tag of a release, such as v1.2.3: check what only a release needs too")
    tag = parser.parse_args().tag
    epoch = time_of_commit()
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="wtschat-dist-") as name:
        folder = Path(name)
        source, wheel = build(ROOT, DIST, epoch)
        try:
            if tag:
                version = wheel.name.split("-")[1]
                texts = [(ROOT / name).read_text() for name in ("CHANGELOG.md", "pyproject.toml")]
                check_release(tag, version, *texts)
            build(ROOT, folder / "again", epoch)
            check_same(DIST, folder / "again")
            check_size(wheel)
            check_links(wheel)
            check_files(source, wheel)
            tools = prepare_tools()
            check_with_tools(tools, ROOT, source, wheel)
            check_workflows(tools, ROOT)
            check_imports(wheel, folder / "environment")
        except Problem as problem:
            print(f"Not fit to be published: {problem}")
            return 1
    for path in (source, wheel):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes  sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

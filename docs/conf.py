"""How the site is built: ``make docs``. Every page is Markdown that also reads well in the repository."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.names import MODULES, PACKAGE, SNAPSHOT  # noqa: E402

PUBLIC = {f"{PACKAGE}.{name}" for name in json.loads(SNAPSHOT.read_text())}

project = "airflow-provider-wtschat"
copyright = "The developers of airflow-provider-wtschat"
release = re.findall(r'__version__ = "(.+?)"', (ROOT / PACKAGE / "__init__.py").read_text())[0]
extensions = ["myst_parser", "autoapi.extension"]

# The repository is the source, so that links between README, docs and other files hold on the site too.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".*", "**/.*", "build"]
myst_heading_anchors = 4
suppress_warnings = [
    "autoapi.python_import_resolution",  # what depends on the version of Airflow, which is not installed here
    "misc.highlighting_failure",  # diagrams are shown as the text that they are made of
    "ref.python",  # an argument may be called as a field of several types
]

html_theme = "furo"
html_title = "WTS Chat for Apache Airflow"
html_show_sphinx = False
html_copy_source = False

autoapi_dirs = [str(ROOT / PACKAGE)]
autoapi_root = "docs/reference"
autoapi_add_toctree_entry = False
autoapi_member_order = "groupwise"
autoapi_options = ["members", "undoc-members", "show-inheritance", "show-module-summary", "imported-members"]
autoapi_python_class_content = "class"


def is_hidden(app: Any, what: str, name: str, item: Any, skip: bool, options: Any) -> bool:
    """Say whether something is left out of the reference: all that semantic versioning does not cover."""
    if what in ("package", "module"):
        return not any(module == name or module.startswith(f"{name}.") for module in [*MODULES, *HOMES])
    for home in HOMES:
        name = re.sub(rf"^{home}(?=\.[A-Z])", f"{PACKAGE}.simulator", name)
    if name in PUBLIC:
        return False
    owner, _, own = name.rpartition(".")
    short = name.removeprefix(f"{PACKAGE}.")
    # Fields and members of a public class; methods only where users call them.
    return owner not in PUBLIC or own.startswith("_") or what == "method" or short.startswith(CONSTRUCTED)


HOMES = [f"{PACKAGE}.simulator.{module}" for module in ("books", "faults", "options", "simulator")]
"""Where the names of the simulator are defined; it imports them in a way that the reference does not follow."""
CONSTRUCTED = ("operators", "sensors", "transfers", "triggers", "notifications", "links")
"""What users construct and Airflow calls."""


PROJECT = "/README\n/README.pt-BR\n/CONTRIBUTING\n/SECURITY\n/CODE_OF_CONDUCT"


def add_navigation(app: Any, page: str, source: list[str]) -> None:
    """Make the navigation of the lists in docs/index.md, which the repository shows as lists."""
    # What the repository shows as source is in the reference here.
    source[0] = _SOURCE.sub(_in_reference, source[0]).replace("[`example_dags/`](example_dags)", "`example_dags/`")
    if page == "docs/api":
        source[0] += "\n```{toctree}\n:hidden:\nreference/airflow_provider_wtschat/index\n```\n"
    if page != root_doc:
        return
    for caption, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", source[0], re.DOTALL | re.MULTILINE):
        links = re.findall(r"^- \[.+?\]\((.+?)\.md\)", body, re.MULTILINE)
        entries = "\n".join(f"/{link.removeprefix('../')}" if link.startswith("../") else link for link in links)
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n{entries}\n```\n"
    source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: Project\n{PROJECT}\n```\n"


_SOURCE = re.compile(rf"\]\((?:\.\./)?({PACKAGE}/[a-z_/]+?)(?:\.py)?\)")


def _in_reference(link: re.Match[str]) -> str:
    module = link[1].replace("/", ".")
    shown = any(public == module or public.startswith(f"{module}.") for public in MODULES)
    return f"](/docs/reference/{link[1]}/index.rst)" if shown else link[0]


def setup(app: Any) -> None:
    """Register what this file adds."""
    app.connect("autoapi-skip-member", is_hidden)
    app.connect("source-read", add_navigation)

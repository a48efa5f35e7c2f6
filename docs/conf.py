"""How the site is built: ``make docs``. Every page is Markdown that also reads well in the repository."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docutils import nodes  # noqa: E402
from sphinx import addnodes  # noqa: E402

from scripts.diagrams import BLOCK  # noqa: E402
from scripts.names import MODULES, PACKAGE, SNAPSHOT  # noqa: E402

PUBLIC = {f"{PACKAGE}.{name}" for name in json.loads(SNAPSHOT.read_text())}

project = "airflow-provider-wtschat"
copyright = "The developers of airflow-provider-wtschat"
release = re.findall(r'__version__ = "(.+?)"', (ROOT / PACKAGE / "__init__.py").read_text())[0]
# Sphinx puts `tags` there.
PORTUGUESE = tags.has("portuguese")  # noqa: F821  # type: ignore[name-defined]
# The reference stays English.
PAGES_ONLY = PORTUGUESE or tags.has("texts")  # noqa: F821  # type: ignore[name-defined]
extensions = ["myst_parser"] if PAGES_ONLY else ["myst_parser", "autoapi.extension"]

# Texts by page, in the catalogs that scripts/translations.py keeps.
language = "pt_BR" if PORTUGUESE else "en"
locale_dirs = [str(ROOT / "docs" / "locale")]
gettext_compact = False
gettext_location = False

# The repository is the source, so that links between README, docs and other files hold on the site too.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".*", "**/.*", "build", *(["docs/reference"] if PAGES_ONLY else [])]
myst_heading_anchors = 4
suppress_warnings = [
    "autoapi.python_import_resolution",  # what depends on the version of Airflow, which is not installed here
    "ref.python",  # an argument may be called as a field of several types
]

html_theme = "furo"
html_title = "WTS Chat para o Apache Airflow" if PORTUGUESE else "WTS Chat for Apache Airflow"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = ["templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}

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


def with_shared_arguments(app: Any, what: str, name: str, item: Any, skip: bool, options: Any) -> None:
    """Show the arguments that functions share (``api._shared``), which the reference does not find: it runs no code."""
    taken = SHARED.get(name)
    if taken is None or "**shared" not in item.args:
        return
    described = "".join("".join(ast.get_docstring(kind).partition(":param")[1:]) + "\n" for kind in taken)
    fields = [field for kind in taken for field in kind.body if isinstance(field, ast.AnnAssign)]
    arguments = [f"{ast.unparse(field)} = {DEFAULTS.get(ast.unparse(field.target))!r}" for field in fields]
    star = "" if "*, " in item.args else "*, "
    item.args = re.sub(r"\*\*shared\b[^,]*", lambda found: star + ", ".join(arguments), item.args)
    before, *after = re.split("(?=:return|:raises)", item.docstring, maxsplit=1)
    item.docstring = before + described + "".join(after)


def with_errors(app: Any, what: str, name: str, item: Any, skip: bool, options: Any) -> None:
    """Say below the arguments of what runs as a task which errors it ends with; they are the same for all of it."""
    kind = name.removeprefix(f"{PACKAGE}.").partition(".")[0]
    if what == "class" and kind in ("operators", "sensors", "transfers") and ERRORS not in item.docstring:
        item.docstring = f"{item.docstring.rstrip()}\n\n{ERRORS}\n"  # an example may stand last


ERRORS = f":raises {PACKAGE}.exceptions.WtsChatError: as :doc:`/docs/errors` tells; what no retry mends fails at once"


def _classes(body: Iterable[ast.stmt]) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in body if isinstance(node, ast.ClassDef)}


def _shared_arguments() -> dict[str, list[ast.ClassDef]]:
    """By name of a function, the types that describe the arguments it shares."""
    folder = ROOT / PACKAGE / "api"
    common = _classes(ast.parse((folder / "_shared.py").read_text()).body)
    found = {}
    for path in folder.glob("*.py"):
        body = ast.parse(path.read_text()).body
        kinds = common | _classes(body)
        for function in body:
            for mark in function.decorator_list if isinstance(function, ast.FunctionDef) else ():
                if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "taking":
                    found[f"{PACKAGE}.api.{path.stem}.{function.name}"] = [kinds[kind.id] for kind in mark.args]
    return found


DEFAULTS = {"phone_country": "55", "timezone": "UTC"}
"""Of shared arguments whose default is not ``None``."""
SHARED = _shared_arguments()
HOMES = [f"{PACKAGE}.simulator.{module}" for module in ("books", "faults", "options", "simulator")]
"""Where the names of the simulator are defined; it imports them in a way that the reference does not follow."""
CONSTRUCTED = ("operators", "sensors", "transfers", "triggers", "notifications", "links")
"""What users construct and Airflow calls."""


PROJECT = "/README\n/README.pt-BR\n/CONTRIBUTING\n/SECURITY\n/CODE_OF_CONDUCT"


def add_navigation(app: Any, page: str, source: list[str]) -> None:
    """Make the navigation of the lists in docs/index.md, which the repository shows as lists."""
    source[0] = BLOCK.sub(r"![\2](diagrams/\1.svg)", source[0])
    # What the repository shows as source is in the reference here.
    source[0] = _SOURCE.sub(_in_reference, source[0]).replace("[`example_dags/`](example_dags)", "`example_dags/`")
    if page == "docs/api" and not PAGES_ONLY:
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


def lead_to_english(app: Any, tree: nodes.document) -> None:
    """Let links into the reference lead to the English site, which lies one directory up, where there is no other."""
    up = "../" * (app.env.docname.count("/") + 1)
    for link in tree.findall(addnodes.pending_xref) if PAGES_ONLY else ():
        _, reference, rest = link["reftarget"].partition("docs/reference/")
        if reference:
            target = f"{up}{reference}{rest.removesuffix('.rst')}.html"
            link.replace_self(nodes.reference("", "", *link.children, internal=True, refuri=target))


def offer_languages(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Tell the templates which pages are there in both languages."""
    context["translated"] = {name for name in app.env.all_docs if not name.startswith(autoapi_root)}


def setup(app: Any) -> None:
    """Register what this file adds."""
    app.connect("doctree-read", lead_to_english)
    app.connect("html-page-context", offer_languages)
    if not PAGES_ONLY:
        app.connect("autoapi-skip-member", with_shared_arguments)
        app.connect("autoapi-skip-member", with_errors)
        app.connect("autoapi-skip-member", is_hidden)
    app.connect("source-read", add_navigation)

"""
The code that README and docs show does what they say, against the simulator.

Before each block of Python stands a comment: ``<!-- example: NAME -->`` for one that a test below runs, or
``<!-- fragment: REASON -->`` for one that cannot run here. Both are compiled, and their names and arguments checked.
"""

from __future__ import annotations

import ast
import configparser
import inspect
import json
import re
import shlex
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.providers.common.compat.sdk import conf
from packaging.requirements import Requirement

from airflow_provider_wtschat import exceptions
from airflow_provider_wtschat.api.webhook_events import WebhookEvent
from airflow_provider_wtschat.get_provider_info import get_provider_info
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.simulator.instants import SECOND
from airflow_provider_wtschat.triggers import feed
from airflow_provider_wtschat.webhooks.inbox import get_inbox
from scripts import diagrams, funnel, pictures
from tests.conftest import AIRFLOW_2, FinishedRun
from tests.notifications.test_digest import failure
from tests.operators.account import Account
from tests.operators.conftest import Store, Tries
from tests.waiting import QUICK, hurry

ROOT = Path(__file__).parents[1]
HAS_HITL = find_spec("airflow.sdk") is not None and find_spec("airflow.sdk.execution_time.hitl") is not None
PORTUGUESE = ROOT / "README.pt-BR.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DAG_AROUND = """
from datetime import datetime
from airflow.providers.common.compat.sdk import DAG
with DAG("{dag_id}", schedule=None, start_date=datetime(2026, 1, 1)):
{body}
"""


@dataclass(frozen=True)
class Block:
    """A block of Python: ``kind`` is ``example`` or ``fragment``, ``label`` its name or the reason."""

    place: str
    kind: str
    label: str
    code: str

    @property
    def name(self) -> str:
        return self.label if self.kind == "example" else self.place


def blocks() -> Iterator[Block]:
    comment, shown = r"(?: *<!-- (example|fragment): ([^\n]+?) -->\n\n)?", r"^( *)```python\n(.*?)^\3```$"
    pattern = re.compile(comment + shown, re.DOTALL | re.MULTILINE)
    for page in PAGES:
        text = page.read_text()
        for found in pattern.finditer(text):
            line = text.count("\n", 0, found.start(4))
            yield Block(f"{page.name}:{line}", found[1] or "", found[2] or "", textwrap.dedent(found[4]))


BLOCKS = list(blocks())
EACH = pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)


def code(example: str) -> str:
    """Return what an example shows."""
    (found,) = [block.code for block in BLOCKS if (block.kind, block.label) == ("example", example)]
    return found


def test_each_block_is_an_example_or_a_fragment_with_a_reason():
    bare = [block.place for block in BLOCKS if not block.label]
    assert bare == [], "put <!-- example: NAME --> and a test, or <!-- fragment: REASON -->, before them"
    assert sum(page.read_text().count("```python\n") for page in PAGES) == len(BLOCKS), "a block that was not found"


def test_each_example_is_run_by_a_test():
    run = set(re.findall(r'\b(?:code|run_example)\("([a-z-]+)"', Path(__file__).read_text()))
    assert run == {block.label for block in BLOCKS if block.kind == "example"}


def test_blocks_use_no_name_that_they_do_not_show(tmp_path: Path):
    for number, block in enumerate(BLOCKS):
        place = block.place.replace(":", "-")
        (tmp_path / f"{number:02}-{place}.py").write_text(block.code)
    command = [str(Path(sys.executable).parent / "ruff"), "check", "--isolated", "--quiet", "--output-format=concise"]
    done = subprocess.run([*command, "--select=F", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


@EACH
def test_blocks_import_and_call_what_is_there(block: Block):
    names: dict[str, Any] = {}
    tree = ast.parse(block.code)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not str(node.module).startswith(ELSEWHERE[AIRFLOW_2]):
            for alias in node.names:
                module = import_module(str(node.module))
                found = getattr(module, alias.name, None) or import_module(f"{node.module}.{alias.name}")
                names[alias.asname or alias.name] = found
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr == "partial":
            function = function.value
        called = eval_name(function, names)
        if called is None or not str(getattr(called, "__module__", "")).startswith("airflow_provider_wtschat"):
            continue
        assert {keyword.arg for keyword in node.keywords} - {None} <= arguments(called), ast.unparse(node)


ELSEWHERE = {
    False: ("airflow.providers.google", "cosmos"),
    True: ("airflow.providers.google", "cosmos", "airflow.providers.standard.operators.hitl", "airflow.sdk"),
}
"""What is not installed where the tests run, by whether that is Airflow 2."""


def eval_name(function: ast.expr, names: dict[str, Any]) -> Any:
    if isinstance(function, ast.Name):
        return names.get(function.id)
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return getattr(names.get(function.value.id), function.attr, None)
    return None


def arguments(called: Any) -> set[str]:
    """Return the keywords that something takes; an operator takes those of Airflow's base classes too."""
    found = set(inspect.signature(called).parameters)
    for cls in getattr(called, "__mro__", ()):
        if "__init__" in vars(cls):
            found |= set(inspect.signature(inspect.unwrap(cls.__init__)).parameters)
    return found


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [*PAGES, PORTUGUESE, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_and_anchors_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_each_page_is_in_the_navigation():
    linked = set(re.findall(r"^- \[.+?\]\(([^)]+)\)", (ROOT / "docs" / "index.md").read_text(), re.MULTILINE))
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:]} - {"index.md"}
    assert {link for link in linked if not link.startswith("..")} == pages


def test_each_diagram_is_drawn_and_says_what_it_shows():
    drawn = list(diagrams.diagrams())
    assert sum(page.read_text().count("```mermaid\n") for page in PAGES) == len(drawn)
    assert {diagram.path for diagram in drawn} == set(diagrams.DIAGRAMS.iterdir())
    assert all(len(diagram.shows) > 40 for diagram in drawn)


def test_each_picture_is_there_and_says_what_it_shows():
    shown: dict[Path, str] = {}
    for page in PAGES:
        for alt, path in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", without_code(page.read_text())):
            shown[page.parent / path] = alt
    assert all(len(alt) > 20 for alt in shown.values()), shown
    made = {pictures.IMAGES / f"{name}.png" for name in pictures.PICTURES}
    there = set(pictures.IMAGES.glob("*.png"))
    assert made <= there
    assert {path for path in shown if not path.exists()} == set()
    assert {path for path in shown if path.suffix == ".png"} <= made
    assert {path.with_name(path.name.replace(".pt_BR", "")) for path in there} == made, "nothing makes these"
    assert {path.name: path.stat().st_size for path in there if path.stat().st_size > pictures.LARGEST} == {}
    assert all(make.__doc__ for make in pictures.PICTURES.values())


def sections(page: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", (ROOT / "docs" / page).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_each_error_has_a_section_that_says_what_to_do():
    assert sorted(sections("errors.md")) == sorted(exceptions.__all__)
    for name, text in sections("errors.md").items():
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Message", "Means", "Do"], name


def test_the_messages_of_the_page_about_errors_are_those_of_the_code():
    code = "\0".join(constants())
    messages = [
        message
        for text in sections("errors.md").values()
        for message in re.findall(r"`([^`]*…[^`]*)`", text.partition("**Means.**")[0])
    ]
    assert len(messages) > 10
    for message in messages:
        for phrase in re.findall(r"[a-zA-Z][a-zA-Z ,.']{12,}", re.sub(r"\([^)]*\)", "…", message)):
            assert phrase.strip(" ,.") in code, phrase


def constants() -> Iterator[str]:
    """Return the texts of the package's code."""
    for path in (ROOT / "airflow_provider_wtschat").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def shape(page: Path) -> dict[str, Any]:
    """Return what a page and its translation have in common."""
    text = page.read_text()
    bare = without_code(text)
    tables = re.findall(r"(?:^\|.*\n)+", bare, re.MULTILINE)
    return {
        "sections": re.findall(r"^#+", bare, re.MULTILINE),
        "code": re.findall(r"^```.*?^```$", text, re.DOTALL | re.MULTILINE),
        "rows": [table.count("\n") for table in tables],
        "names": [sorted(set(re.findall(r"`([A-Z]\w+?)`", table))) for table in tables],
        "links": sorted(set(re.findall(r"\]\(([^)\s]+)\)", bare)) - {"README.md", "README.pt-BR.md"}),
        "lists": len(re.findall(r"^- ", bare, re.MULTILINE)),
    }


def test_the_readme_in_portuguese_has_all_that_the_english_one_has():
    assert shape(PORTUGUESE) == shape(ROOT / "README.md")


@dataclass(frozen=True)
class Text:
    """A text of a page and its translation, out of docs/locale."""

    page: str
    english: str
    portuguese: str
    fuzzy: bool


def texts() -> Iterator[Text]:
    quoted = r'((?:"(?:[^"\\]|\\.)*"\n)+)'
    entry = re.compile(rf"((?:^#.*\n)*)^msgid {quoted}msgstr {quoted}", re.MULTILINE)
    for path in sorted((ROOT / "docs" / "locale").rglob("*.po")):
        for flags, english, portuguese in entry.findall(path.read_text()):
            both = ["".join(map(ast.literal_eval, text.splitlines())) for text in (english, portuguese)]
            if both[0]:
                yield Text(path.stem, *both, fuzzy="fuzzy" in flags)


TEXTS = list(texts())


def marks(text: str) -> dict[str, Any]:
    """Return what a text and its translation have in common: code, links, and how many words are bold."""
    bare = re.sub(r"`[^`]*`", "", text)
    return {
        "code": sorted(re.findall(r"`[^`]*`", text)),
        "links": sorted(link.replace("README.pt-BR", "README") for link in re.findall(r"\]\(([^)\s]+)\)", text)),
        "bold": len(re.findall(r"\*\*", bare)),
    }


def test_translations_have_the_code_and_links_of_the_text():
    translated = [text for text in TEXTS if text.portuguese and not text.fuzzy]
    assert len(translated) > 400
    assert [text for text in translated if marks(text.portuguese) != marks(text.english)] == []


def bare(text: str) -> str:
    """Leave out what translators do not see: comments, code, list markers, line breaks, and where links lead."""
    text = re.sub(r"<!--.*?-->", "", without_code(text), flags=re.DOTALL)
    text = re.sub(r"^ *(?:[-*] |> )", "", text, flags=re.MULTILINE)
    return " ".join(re.sub(r"\]\([^)]*\)", "]", text).split())


@pytest.mark.parametrize("page", sorted({text.page for text in TEXTS} - {"sphinx"}))
def test_each_text_of_a_page_is_translated(page: str):
    """As `make docs` counts it, which asks Sphinx; `make translations` brings the catalogs up to date."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    captions = text + (ROOT / "docs" / "conf.py").read_text()
    left, english = bare(text), [each for each in TEXTS if each.page == page]
    assert [each.english for each in english if each.fuzzy or not each.portuguese] == []
    assert [each.english for each in english if bare(each.english) not in left and each.english not in captions] == []
    for each in sorted((bare(each.english) for each in english), key=len, reverse=True):
        left = left.replace(each, "\n")
    assert [line for line in left.splitlines() if re.search(r"[^\W\d_]", line)] == []


def test_portuguese_texts_use_the_words_of_the_product():
    rows = re.findall(r"^\| (?!---|English)(.+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    pages = [without_code(PORTUGUESE.read_text())]
    # The glossary itself names the words that it refuses.
    pages += [text.portuguese for text in TEXTS if text.page != "glossary" and text.portuguese != text.english]
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|\*\*[^*]*\*\*", "", "\n".join(pages)).lower()
    used = 0
    for english, portuguese, _, refused in ([cell.strip() for cell in row.split("|")] for row in rows):
        used += bool(re.search(rf"\b{portuguese[:-1]}", text))
        for word in filter(None, refused.split(", ")):
            found = re.search(rf"\b{word}\b", text)
            assert not found, f"{english}: {portuguese}, not {word}: {text[found.start() - 80 : found.end() + 80]}"
    assert used >= 10


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch, no_limits: None) -> Iterator[Simulator]:
    """A simulated account behind the connection ``wtschat_default``."""
    with Simulator(sessions=200, seed=3, latency_ms=0, limits=False, strict=True, message_step_s=0.02) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
        yield simulator
        simulator.check()


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with the tables that the pages query, behind the connection ``warehouse``."""
    path = tmp_path / "warehouse.db"
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE invoices (number INTEGER, phone TEXT, name TEXT, amount TEXT, due_on TEXT)")
        database.execute("INSERT INTO invoices VALUES (1, '(11) 90000-4001', 'Ana', 'R$ 10,00', date('now'))")
        database.execute("CREATE TABLE customers (id INTEGER, phone TEXT)")
        database.execute("INSERT INTO customers VALUES (1, '(11) 90000-4001'), (2, '(11) 90000-4002')")
        database.commit()
    return path


@pytest.fixture
def run_example(run_dag: Callable[..., FinishedRun], tmp_path: Path) -> Callable[..., FinishedRun]:
    """Run an example as the Dag that it is, or within one: ``run_example("load")``; ``replace`` changes its text."""

    def run(name: str, *replace: tuple[str, str]) -> FinishedRun:
        text = code(name)
        for old, new in replace:
            assert old in text
            text = text.replace(old, new)
        if "with DAG(" not in text:
            text = DAG_AROUND.format(dag_id=f"docs_{uuid4().hex}", body=textwrap.indent(text, "    "))
        path = tmp_path / f"{name.replace('-', '_')}.py"
        path.write_text(text)
        return run_dag(path)

    return run


def other_blocks() -> Iterator[tuple[str, str, str]]:
    """Find the blocks of other languages: page, language and text. Diagrams are tested where they are drawn."""
    for page in PAGES:
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE):
            if language not in ("python", "mermaid"):
                yield page.name, language, text


OTHER_BLOCKS = list(other_blocks())


def shown(language: str, *pages: str) -> list[str]:
    return [text for page, spoken, text in OTHER_BLOCKS if spoken == language and (not pages or page in pages)]


def test_each_other_block_is_tried_by_a_test():
    """Name where it is tried: here, or in the tests of what it is about."""
    tried = {
        "console": "test_commands_are_there",
        "json": "test_connections_are_read_as_shown, test_the_funnel_of_a_list",
        "sql": "tests/models/test_analytics.py, tests/warehouse/test_merging.py, test_statements_run",
        "text": "test_connections_are_read_as_shown, tests/test_tutorials.py, tests/notifications/test_wtschat.py",
        "ini": "test_options_are_those_of_airflow",
        "yaml": "test_options_are_those_of_airflow",
    }
    assert {language for _, language, _ in OTHER_BLOCKS} == tried.keys()
    elsewhere = {"analytics.md", "warehouse.md"}
    assert {page for page, language, _ in OTHER_BLOCKS if language == "sql"} - elsewhere == {
        "campaigns.md",
        "privacy.md",
    }


CONNECTIONS = [
    text.strip()
    for text in [*shown("json"), *shown("text")]
    if text.startswith("wtschat://") or '"conn_type": "wtschat"' in text
]


@pytest.mark.parametrize("text", CONNECTIONS, ids=range(len(CONNECTIONS)))
def test_connections_are_read_as_shown(text: str, monkeypatch: pytest.MonkeyPatch):
    assert len(CONNECTIONS) == 5
    monkeypatch.setenv("AIRFLOW_CONN_SHOWN", text)
    settings = WtsChatHook("shown").resolve()
    assert (settings.token, settings.base_url) == ("pn_...", "https://api.wts.chat")
    assert ("sales" in text) == (settings.account == "sales")
    assert ("90" in text) == (settings.timeout == 90)


def test_commands_are_there():
    """Those of the tutorials are run, too: tests/test_tutorials.py."""
    goals = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = {"", *metadata.metadata("airflow-provider-wtschat").get_all("Provides-Extra")}
    for line in "".join(shown("console")).splitlines():
        command, *words = shlex.split(line)
        if command == "airflow":
            get_parser().parse_args(words)  # exits if there is no such command or option
        elif command == "make":
            assert set(words) <= goals, line
        elif command == "python":
            assert words[0] == "-m"
            assert find_spec(f"{words[1]}.__main__"), line
        elif command == "pip":
            own = [Requirement(word) for word in words[1:] if word.startswith("airflow-provider-wtschat")]
            assert {extra for one in own for extra in one.extras} <= extras, line
        elif command != "apt-get":
            assert command == "export", line
            assert re.match(r"AIRFLOW_CONN_[A-Z_]+=", words[0]), line


def test_options_are_those_of_airflow():
    ini = configparser.ConfigParser()
    ini.read_string("\n".join(shown("ini")))
    options = [(section, option) for section in ini.sections() for option in ini.options(section)]
    names = re.findall(r"name: AIRFLOW__([A-Z_]+?)__([A-Z_]+)$", "\n".join(shown("yaml")), re.MULTILINE)
    options += [(section.lower(), option.lower()) for section, option in names]
    assert len(options) == 2
    own = get_provider_info()["config"]
    for section, option in options:
        assert option in own[section]["options"] if section in own else conf.has_option(section, option), option


@pytest.mark.airflow
def test_statements_run(simulator: Simulator, warehouse: Path, run_example: Callable[..., FinishedRun]):
    assert run_example("payment-reminders").state == "success"
    control, counts, erase = shown("sql", "campaigns.md", "privacy.md")
    with closing(sqlite3.connect(warehouse)) as database:
        (campaign,) = database.execute("SELECT campaign FROM wtschat_campaign WHERE seq = 0").fetchone()
        assert database.execute(counts.replace("...", campaign)).fetchall() == [("sent", None, 1)]
        assert database.execute(control.replace("...", campaign)).rowcount == 1
        database.execute("CREATE TABLE wtschat_sessions (id TEXT, contact_id TEXT)")
        database.execute("CREATE TABLE wtschat_messages (id TEXT, session_id TEXT)")
        database.execute("INSERT INTO wtschat_sessions VALUES ('s', 'c'), ('t', 'd')")
        database.execute("INSERT INTO wtschat_messages VALUES ('m', 's'), ('n', 't')")
        assert database.execute(erase.replace("...", "c")).rowcount == 1


@pytest.mark.airflow
def test_the_first_dag_concludes_stale_sessions(simulator: Simulator, run_example: Callable[..., FinishedRun]):
    world = simulator.world
    (support,) = [row.id for row in world.departments if row["name"] == "Suporte"]
    forgotten = next(row.id for row in world.sessions if world.now() - row.interaction > 8 * 86_400 * SECOND)
    world.change_session(forgotten, status="PENDING", department_id=support)
    run = run_example("first-dag")
    assert run.state == "success"
    concluded = [write.operation for write in simulator.books]
    assert concluded == ["PUT /chat/v1/session/{id}/complete"] * len(run.xcom("stale"))
    assert forgotten in {row["id"] for row in run.xcom("stale")}


def test_what_has_no_operator_is_a_line_of_the_hook(simulator: Simulator, capsys: pytest.CaptureFixture[str]):
    session_id = next(session.id for session in simulator.world.sessions if session.status == "PENDING")
    exec(code("hook").replace('"..."', repr(session_id)), {})
    assert len(simulator.books) == 1
    printed = capsys.readouterr().out
    assert printed
    assert session_id not in printed


def test_users_test_their_own_dags(tmp_path: Path):
    (tmp_path / "conftest.py").write_text(code("conftest"))
    (tmp_path / "test_sessions.py").write_text(code("own-test"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.airflow
def test_the_operators_of_the_page_about_operators_run(simulator: Simulator, run_example: Callable[..., FinishedRun]):
    run = run_example("operators")
    assert run.state == "success"
    assert run.xcom("remind")["status"] in ("DELIVERED", "READ")


@pytest.mark.airflow
def test_the_campaigns_reach_each_row_once(
    simulator: Simulator, warehouse: Path, run_example: Callable[..., FinishedRun]
):
    runs = [run_example("payment-reminders"), run_example("welcome"), run_example("four-workers")]
    assert [(run.state, run.errors) for run in runs] == [("success", [])] * 3
    assert [send.recipient for send in simulator.sends] == [
        *("+55|11900004001",),
        *("+55|11900004001", "+55|11900004002"),
        *("+55|11900004001", "+55|11900004002"),
    ]


@pytest.mark.airflow
def test_the_funnel_of_a_list(
    simulator: Simulator,
    run_dag: Callable[..., FinishedRun],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """The tutorial, step by step, with the list that it shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/warehouse.db"})
    )
    page = (ROOT / "docs" / "tutorial-campaign.md").read_text()
    (shown,) = re.findall(r"^```text\n(id,.*?)^```$", page, re.DOTALL | re.MULTILINE)
    Path("customers.csv").write_text(shown)
    exec(code("campaign-list"), {})
    Path("reminders.py").write_text(code("campaign-dag"))
    for _ in range(2):
        run = run_dag(tmp_path / "reminders.py")
        assert (run.state, run.errors) == ("success", [])
    assert [str(send.recipient) for send in simulator.sends] == [f"+55|1190000500{i}" for i in range(1, 5)]
    told = json.loads(re.search(r"^```json\n(\{.*?\})\n```$", page, re.DOTALL | re.MULTILINE)[1])
    assert run.xcom("report")["funnel"].keys() == told.keys()
    capsys.readouterr()
    exec(code("campaign-funnel"), {})
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert (lines["planned"], lines["sent"]) == ("4", "4")


@pytest.mark.airflow
def test_a_campaign_is_reported_and_a_person_erased(
    simulator: Simulator, warehouse: Path, run_example: Callable[..., FinishedRun]
):
    assert run_example("payment-reminders").state == "success"
    report = run_example("campaign-report")
    assert report.xcom("report")["funnel"]["sent"] == 1
    contact = next(row.id for row in simulator.world.contacts if row.phone == "+55|11900004001")
    with closing(sqlite3.connect(warehouse)) as database:
        database.execute("CREATE TABLE wtschat_contacts (id TEXT)")
        database.execute("CREATE TABLE wtschat_sessions (id TEXT, contact_id TEXT)")
        database.execute("INSERT INTO wtschat_contacts VALUES (?), ('another')", (contact,))
        database.commit()
    given = (("{{ params.phone }}", "11 90000-4001"), ("{{ params.contact_id }}", contact))
    removed = run_example("erase", *given).xcom("erase")
    assert removed == {"wtschat_campaign": 1, "wtschat_suppression": 0, "wtschat_contacts": 1, "wtschat_sessions": 0}


@pytest.mark.airflow
def test_a_send_of_ones_own_goes_out_once(
    simulator: Simulator, warehouse: Path, run_example: Callable[..., FinishedRun]
):
    contact = simulator.world.create_contact(phone="+55 11 90000-0001")
    channel = next(row for row in simulator.world.channels if row["number"] == "+55|1133330001")
    session = simulator.world.create_session(contact_id=contact.id, channel_id=channel.id, status="IN_PROGRESS")
    simulator.world.add_inbound_message(session.id)
    told = [run_example("send-once").xcom("thank") for _ in range(2)]
    assert [one["already_sent"] for one in told] == [False, True]
    assert told[0]["message_id"] == told[1]["message_id"]
    assert len(simulator.sends) == 1


def test_the_notifier_for_the_night_is_taken():
    exec(code("once-per-run"), {})


def test_the_picture_of_the_funnel_is_drawn_as_it_is_now():
    counts = dict.fromkeys(funnel.STAGES, 0) | {"planned": 200, "sent": 150}
    picture = funnel.drawn(counts)
    assert "150 (75%)" in picture
    assert re.sub(r"\d[\d,]*", "0", picture.split("<rect")[0]) == re.sub(
        r"\d[\d,]*", "0", funnel.PICTURE.read_text().split("<rect")[0]
    )


@pytest.mark.airflow
def test_a_failure_is_told_to_everybody_named(simulator: Simulator, run_example: Callable[..., FinishedRun]):
    assert run_example("alert").state == "failed"
    assert sorted(str(send.recipient) for send in simulator.sends) == ["+55|11900009001", "+55|11900009002"]
    assert all("Airflow: task load of Dag sales failed" in str(send.text) for send in simulator.sends)


@pytest.mark.airflow
def test_a_flush_without_alerts_tells_nobody(simulator: Simulator, run_example: Callable[..., FinishedRun]):
    assert run_example("flush").state == "success"
    assert simulator.sends == []


@pytest.mark.airflow
def test_sessions_are_waited_for(
    simulator: Simulator, run_example: Callable[..., FinishedRun], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(feed, "PACE", QUICK)
    done = threading.Event()

    def agents() -> None:
        """Conclude the sessions as soon as the Dag has listed them."""
        while not done.wait(0.1):
            if simulator.requests:
                for session in [each for each in simulator.world.sessions if each.status == "IN_PROGRESS"]:
                    simulator.world.conclude_session(session.id)

    thread = threading.Thread(target=agents)
    thread.start()
    try:
        run = run_example("wait", ("poke_interval=30", "poke_interval=1"), ("8 * 3600", "60"))
    finally:
        done.set()
        thread.join()
    assert run.state == "success", run.errors
    assert run.xcom("talks")


@pytest.mark.airflow
@pytest.mark.skipif(AIRFLOW_2, reason="Airflow 2 has no asset watchers")
def test_the_run_reads_what_the_event_announces(simulator: Simulator, run_example: Callable[..., FinishedRun]):
    assert run_example("asset-events").state == "success"
    concluded = simulator.world.create_session(status="PENDING", type="INDIVIDUAL").id
    simulator.world.conclude_session(concluded)
    assert [row["id"] for row in run_example("asset-events").xcom("read")] == [concluded]


@pytest.mark.airflow
def test_the_loads_fill_a_table_and_a_folder(
    simulator: Simulator, warehouse: Path, run_example: Callable[..., FinishedRun], tmp_path: Path
):
    assert run_example("load").state == "success"
    with closing(sqlite3.connect(warehouse)) as database:
        (rows,) = database.execute("SELECT count(*) FROM wtschat_sessions").fetchone()
    assert rows
    run = run_example("copy", ("s3://aws_default@lake", f"file://{tmp_path}/lake"))
    assert run.state == "success", run.errors
    assert list(tmp_path.glob("lake/wtschat/sessions/**/*.parquet"))
    messages = (("sessions", "messages"), ('initial_since="2026-01-01"', "max_requests=5000"))
    assert run_example("load", *messages).state == "success"
    hosts = ('["*.wts.chat", "files.example.com"]', f"['{simulator.url}'], private_addresses=True")
    run = run_example("files", ("s3://aws_default@lake", f"file://{tmp_path}/lake"), hosts)
    assert run.state == "success", run.errors
    assert run.xcom("files")["copied"] > 0


@pytest.mark.airflow
def test_several_accounts_fill_one_table(
    simulator: Simulator,
    warehouse: Path,
    run_example: Callable[..., FinishedRun],
    monkeypatch: pytest.MonkeyPatch,
):
    with Simulator(sessions=20, seed=4, latency_ms=0, limits=False, strict=True) as other:
        monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_FILIAL", other.connection_json)
        run = run_example("several-accounts")
        assert run.state == "success", run.errors
        with closing(sqlite3.connect(warehouse)) as database:
            rows = dict(database.execute("SELECT account, count(*) FROM wtschat_sessions GROUP BY account"))
            fresh = "SELECT destination, source, watermark FROM wtschat_loads WHERE watermark IS NOT NULL"
            assert fresh in (ROOT / "docs" / "production.md").read_text()
            marks = {source: mark for _, source, mark in database.execute(fresh)}
    assert {"wtschat_default", "wtschat_filial"} == set(marks)
    assert all(marks.values())
    assert sorted(rows.values()) == sorted([len(simulator.world.sessions), len(other.world.sessions)])


@pytest.mark.airflow
def test_the_tutorial_loads_and_asks(
    simulator: Simulator, warehouse: Path, run_example: Callable[..., FinishedRun], capsys: pytest.CaptureFixture[str]
):
    assert run_example("demo-operator").state == "success"
    capsys.readouterr()
    shown = code("first-query").replace("wtschat-demo/warehouse.sqlite", str(warehouse))
    exec(shown, {})
    counts = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert {"COMPLETED", "PENDING"} <= set(counts)
    with closing(sqlite3.connect(warehouse)) as database:
        assert sum(map(int, counts.values())) == database.execute("SELECT count(*) FROM wtschat_sessions").fetchone()[0]


def test_the_tutorial_shows_the_operator_of_the_demo():
    dag = (ROOT / "airflow_provider_wtschat" / "demo" / "dags" / "wtschat_demo.py").read_text()
    for argument in ('sql_conn_id="warehouse"', 'initial_since="2020-01-01"', '("contacts", "sessions")'):
        assert argument in dag
    shown = code("demo-operator")
    assert 'sql_conn_id="warehouse"' in shown
    assert 'initial_since="2020-01-01"' in shown


N8N = re.findall(
    r"^\| `([^`|]+)` \| `(\w+\(.*\))` \| `([A-Z]+ /[^`]+)` \|$",
    (ROOT / "docs" / "from-n8n.md").read_text(),
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """A simulated account that the actions of the node of n8n are done in."""
    with Simulator(sessions=60, seed=7, latency_ms=0, limits=False, strict=True) as simulator:
        yield Account(simulator)


@pytest.fixture(scope="module")
def own(account: Account) -> dict[str, Any]:
    """What stands for values of the reader's own in the calls."""
    contact = account.contact()
    session_id = account.session(contact_id=contact.id, window="ACTIVE")
    card_id = account.card()["id"]
    return {
        "session_id": session_id,
        "contact_id": contact.id,
        "phone": contact.phone,
        "new_phone": account.phone(),
        "message_id": account.message(session_id)["id"],
        "card_id": card_id,
        "note_id": account.note(card_id)["id"],
        **{name.rpartition(".")[2]: name for name in json.loads((ROOT / "tests" / "public_names.json").read_text())},
    }


def test_the_node_of_n8n_has_39_actions():
    assert len({action for action, _, _ in N8N}) == len(N8N) == 39


@pytest.mark.parametrize(("call", "request_"), [row[1:] for row in N8N], ids=[row[0] for row in N8N])
def test_what_the_node_of_n8n_does_an_operator_does(
    call: str, request_: str, account: Account, own: dict[str, Any], monkeypatch: pytest.MonkeyPatch, no_limits: None
):
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", account.simulator.connection_json)
    operator = call.partition("(")[0]
    module = import_module(f"airflow_provider_wtschat.{own[operator].rpartition('.')[0]}")
    before = len(account.simulator.requests)
    made = eval(
        f"partial({call.replace('(', ', ', 1)}", own | {"partial": partial, operator: getattr(module, operator)}
    )
    Tries(Store())(made(task_id="task"))
    assert request_ in {request.operation for request in account.simulator.requests[before:]}
    account.simulator.check()


@pytest.mark.airflow
def test_a_campaign_leaves_people_out(simulator: Simulator, warehouse: Path, run_example: Callable[..., FinishedRun]):
    vip = next(tag.id for tag in simulator.world.tags if tag["name"] == "VIP")
    simulator.world.create_contact(phone="(11) 90000-5003", tag_ids=(vip,))
    with closing(sqlite3.connect(warehouse)) as database:
        database.executescript(
            "DROP TABLE customers; CREATE TABLE customers (id INTEGER, phone TEXT, name TEXT, amount TEXT);"
            "INSERT INTO customers VALUES (1, '(11) 90000-5001', 'Ana', '1'), (2, '(11) 90000-5002', 'Beto', '2'),"
            " (3, '(11) 90000-5003', 'Carla', '3');"
            "CREATE TABLE opt_outs (phone TEXT); INSERT INTO opt_outs VALUES ('+55 11 90000-5002')"
        )
    there = datetime.now(ZoneInfo("America/Sao_Paulo"))
    far = [f"{(there.hour + hours) % 24:02}:00" for hours in (12, 13)]
    weekday = f"{there + timedelta(days=3):%A}".upper()
    run = run_example("campaign-left-out", ("20:00-08:00", "-".join(far)), ("SUNDAY", weekday))
    assert run.state == "success", run.errors
    assert [send.recipient for send in simulator.sends] == ["+55|11900005001"]
    assert run.xcom("dispatch")["suppressed"] == 2


@pytest.mark.airflow
def test_a_contact_is_asked(simulator: Simulator, run_example: Callable[..., FinishedRun], monkeypatch: Any):
    hurry(monkeypatch, simulator)
    asked = threading.Event()

    def contact() -> None:
        while not simulator.sends and not asked.wait(0.05):
            pass
        simulator.world.add_inbound_message(simulator.sends[0].session_id, "claro")

    answer = threading.Thread(target=contact)
    answer.start()
    given = (("{{ params.phone }}", "(11) 97777-0001"), ("{{ params.order }}", "17"))
    template = (("confirma_entrega", "alerta_airflow"), ('defaults="Não",', 'defaults="Não", poll_interval=0.05,'))
    try:
        run = run_example("ask", *given, *template)
    finally:
        asked.set()
        answer.join()
    assert run.states == {"confirm": "success", "ship": "success", "call_back": "skipped"}, run.errors


@pytest.mark.skipif(not HAS_HITL, reason="HITLOperator came with Airflow 3.1")
def test_people_are_told_of_a_question_in_the_ui(simulator: Simulator):
    names: dict[str, Any] = {}
    exec(code("hitl").replace("HITLOperator(\n", "approve = HITLOperator(\n"), names)
    (told,) = names["approve"].notifiers
    told.notify({"task": names["approve"], "ti": SimpleNamespace(log_url="https://airflow.example/log")})
    assert [send.text for send in simulator.sends] == ["Send 900 reminders? https://airflow.example/log"]


def test_many_failures_make_one_message(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    names: dict[str, Any] = {}
    exec(code("digest"), names)
    for task_id in ("load", "copy", "load"):
        names["alert"].notify(failure("sales", task_id))
    assert [str(send.recipient) for send in simulator.sends] == ["+55|11900009001"]


@pytest.mark.airflow
def test_a_template_goes_out_where_a_text_would_fail(simulator: Simulator, run_example: Callable[..., FinishedRun]):
    assert run_example("window-closed").state == "success"
    session = simulator.world.sessions.get(simulator.sends[0].session_id)
    simulator.world.add_inbound_message(session.id, "oi")
    assert run_example("window-closed").state == "success"
    assert [bool(send.template_id) for send in simulator.sends] == [True, False]


@pytest.mark.airflow
def test_a_load_that_is_late(
    simulator: Simulator,
    warehouse: Path,
    run_example: Callable[..., FinishedRun],
    capsys: pytest.CaptureFixture[str],
):
    progress = run_example("load").xcom("sessions", key="wtschat_progress")
    shown = code("late-load")
    (value,) = re.findall(r"^progress = (\{.*\})", shown, re.MULTILINE)
    assert ast.literal_eval(value).keys() <= progress.keys()
    capsys.readouterr()
    for hours, told in ((0, ""), (4, f"{progress['destination']} is behind\n")):
        until = datetime.fromisoformat(progress["complete_until"]) - timedelta(hours=hours)
        exec(shown.replace(value, repr(progress | {"complete_until": until.isoformat()})), {})
        assert capsys.readouterr().out == told


@pytest.mark.airflow
def test_a_subscription_and_what_it_brings(
    simulator: Simulator,
    run_example: Callable[..., FinishedRun],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", "a secret of this deployment")
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_BASE_URL", "https://airflow.example")
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_INBOX", str(tmp_path / "inbox"))
    assert run_example("subscribe").xcom("webhook")["events"] == ["SESSION_NEW", "MESSAGE_RECEIVED"]
    if AIRFLOW_2:
        return  # no asset watchers
    content = {"id": str(uuid4()), "sessionId": str(uuid4())}
    posted = json.dumps({"eventType": "MESSAGE_RECEIVED", "content": content}).encode()
    get_inbox().put([("wtschat_default", WebhookEvent.parse(posted))])
    run = run_example("on-webhook")
    assert run.state == "success", run.errors
    assert [event["ids"]["session_id"] for event in run.xcom("read")] == [content["sessionId"]]
    assert run.states["answer"] == ["success"]


@pytest.mark.airflow
def test_the_whole_account_is_loaded(simulator: Simulator, warehouse: Path, run_example: Callable[..., FinishedRun]):
    run = run_example("account")
    assert run.state == "success", run.errors
    with closing(sqlite3.connect(warehouse)) as database:
        (rows,) = database.execute("SELECT count(*) FROM wtschat_messages").fetchone()
    assert rows


@pytest.mark.airflow
def test_the_dag_that_answers_answers_and_concludes(simulator: Simulator, run_example: Callable[..., FinishedRun]):
    open_now = simulator.world.create_session(status="PENDING", type="INDIVIDUAL", window="ACTIVE").id
    world = simulator.world
    waiting = [one for one in world.sessions if one.status == "PENDING" and one.type == "INDIVIDUAL"]
    active = {one.id for one in waiting if world.window_status(one, world.now()) == "ACTIVE"}
    pending = {one.id for one in waiting}
    run = run_example("answering")
    assert run.state == "success", run.errors
    answered, concluded = run.xcom("to_answer"), run.xcom("to_conclude")
    assert open_now in answered
    assert set(answered) == active
    assert concluded
    assert {*answered, *concluded} <= pending
    assert sorted(send.session_id for send in simulator.sends) == sorted(answered)
    assert {simulator.world.sessions.get(each).status for each in concluded} == {"COMPLETED"}


@pytest.mark.airflow
def test_the_dag_that_answers_has_nothing_to_do(simulator: Simulator, run_example: Callable[..., FinishedRun]):
    for session in [each for each in simulator.world.sessions if each.status == "PENDING"]:
        simulator.world.conclude_session(session.id)
    run = run_example("answering")
    assert run.state == "success", run.errors
    assert run.states["nothing_to_do"] == "success"
    assert simulator.sends == []

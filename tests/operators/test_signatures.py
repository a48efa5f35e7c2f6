"""Every argument of an operator stands in its own signature, where editors and type checkers look."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_wtschat._compat import BaseOperator
from airflow_provider_wtschat.operators import _arguments
from tests.conftest import AIRFLOW_2
from tests.operators.cases import operators

EVERY = sorted(operators(), key=lambda cls: cls.__name__)
PACKAGE = "airflow_provider_wtschat"


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    constructor = vars(cls).get("__init__")
    found = inspect.signature(inspect.unwrap(constructor)).parameters if constructor else {}
    return {name: parameter for name, parameter in found.items() if name != "self"}


def typed(cls: type) -> dict[str, str]:
    """Return the arguments that the operator's own signature shows, with their types."""
    own = parameters(cls)
    unpacked = re.fullmatch(r"Unpack\[(\w+)\]", own.pop("kwargs").annotation)
    shared = getattr(_arguments, unpacked[1]).__annotations__
    assert not own.keys() & shared.keys()
    types = {name: hint.__forward_arg__ for name, hint in shared.items()}
    return {name: parameter.annotation for name, parameter in own.items()} | {
        name: re.sub(r"^Required\[(.*)\]$", r"\1", hint) for name, hint in types.items()
    }


def taken(cls: type) -> dict[str, str]:
    """Return the arguments that the constructors take, with their types."""
    found: dict[str, str] = {}
    for each in cls.__mro__:
        if each.__module__.startswith(PACKAGE):
            own = {name: p.annotation for name, p in parameters(each).items() if p.kind is p.KEYWORD_ONLY}
            found = {**{name: hint.replace("Many[", "Sequence[") for name, hint in own.items()}, **found}
    return found


@pytest.mark.parametrize("operator", EVERY, ids=lambda cls: cls.__name__)
def test_the_signature_shows_every_argument(operator: type):
    shown = {name: hint.replace("Many[", "Sequence[") for name, hint in typed(operator).items()}
    assert shown.keys() - _arguments.BaseOperatorArguments.__annotations__.keys() == set(operator.template_fields)
    assert {name: shown[name] for name in taken(operator)} == taken(operator)


@pytest.mark.parametrize("operator", EVERY, ids=lambda cls: cls.__name__)
def test_what_is_required_is_required_in_the_signature(operator: type):
    required = {
        name
        for cls in operator.__mro__
        if cls.__module__.startswith(PACKAGE)
        for name, parameter in parameters(cls).items()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    }
    own = parameters(operator)
    # One that builds on another may give a default to what that one requires.
    required -= {name for name, parameter in own.items() if parameter.default is not parameter.empty}
    shared = getattr(_arguments, own.pop("kwargs").annotation[len("Unpack[") : -1])
    shown = {name for name, parameter in own.items() if parameter.default is parameter.empty}
    # Not __required_keys__, which in Python 3.11 does not see Required in the text of an annotation.
    shared_ones = {name for name, hint in shared.__annotations__.items() if "Required[" in hint.__forward_arg__}
    assert shown | (shared_ones - {"task_id"}) == required


def test_airflows_own_arguments_are_known():
    theirs = set(inspect.signature(inspect.unwrap(BaseOperator.__init__)).parameters) - {"self", "kwargs"}
    ours = set(_arguments.BaseOperatorArguments.__annotations__)
    # Gone since Airflow 3.
    assert theirs - ours <= ({"task_concurrency"} if AIRFLOW_2 else set())


RIGHT = """
from datetime import timedelta
from airflow_provider_wtschat.operators.message import SendTextOperator
from airflow_provider_wtschat.operators.session import ConcludeSessionOperator, ListSessionsOperator
from airflow_provider_wtschat.sensors.session import SessionReplySensor
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator

SendTextOperator(task_id="send", to="1", text="Oi", retries=2, retry_delay=timedelta(1), wtschat_conn_id="x")
ConcludeSessionOperator(task_id="conclude", session_id="{{ params.id }}", pool="wtschat", doc_md="# Why")
ConcludeSessionOperator.partial(task_id="mapped", retries=1).expand(session_id=["x"])

waiting = ListSessionsOperator(task_id="waiting", fields=["id"])
sent = SendTextOperator(task_id="first", to="1", text="Oi")
SendTextOperator(task_id="second", session_id=sent.output["sessionId"], text=sent.output, wait_timeout=sent.output)
ListSessionsOperator(task_id="same", contact_id=sent.output["contactId"], status=sent.output, created_after=sent.output)
ConcludeSessionOperator.partial(task_id="all").expand(session_id=waiting.output.map(lambda row: row["id"]))
SessionReplySensor(task_id="reply", session_id=sent.output["sessionId"])
WtsChatToSqlOperator(task_id="load", resource="sessions", sql_conn_id="x", filters={"contact_id": sent.output["id"]})
"""
WRONG = """
from airflow_provider_wtschat.operators.message import SendTextOperator
from airflow_provider_wtschat.operators.session import ConcludeSessionOperator

SendTextOperator(task_id="send", too="1", text="Oi")
SendTextOperator(task_id="send", to="1", text="Oi", may_repaet=True)
ConcludeSessionOperator(task_id="conclude")
ConcludeSessionOperator(task_id="conclude", session_id="x", retires=2)
SendTextOperator(to="1", text="Oi")
"""


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is installed beside the newest release series only")
def test_a_misspelt_argument_fails_the_checker(tmp_path: Path):
    root = Path(import_module(PACKAGE).__file__).parents[1]
    for name, text in (("right", RIGHT), ("wrong", WRONG)):
        (tmp_path / f"{name}.py").write_text(text)
    done: Any = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(root / "pyproject.toml"),
         str(tmp_path / "right.py"), str(tmp_path / "wrong.py")],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    wrong = [line for line in done.stdout.splitlines() if "error:" in line]
    lines = [number for number, line in enumerate(WRONG.splitlines(), start=1) if line[:1].isupper()]
    assert [int(line.split(":")[1]) for line in wrong] == lines, done.stdout
    assert all("wrong.py" in line and "[call-arg]" in line for line in wrong)


@pytest.mark.skipif(find_spec("pyright") is None, reason="pyright is installed beside the newest release series only")
def test_pyright_takes_the_output_of_a_task_for_any_argument(tmp_path: Path):
    root = Path(import_module(PACKAGE).__file__).parents[1]
    (tmp_path / "right.py").write_text(RIGHT)
    settings = {"extraPaths": [str(root)], "typeCheckingMode": "standard"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    done: Any = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["generalDiagnostics"] == []

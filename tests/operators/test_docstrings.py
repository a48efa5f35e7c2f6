"""What an operator's docstring tells: the API's operation, what is returned, and an example that works."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook
from airflow_provider_wtschat.notifications.wtschat import WtsChatNotifier
from airflow_provider_wtschat.operators import campaign, webhook
from airflow_provider_wtschat.sensors.message import MessageStatusSensor
from airflow_provider_wtschat.sensors.panel import CardStepSensor
from airflow_provider_wtschat.sensors.scheduled_message import ScheduledMessageStatusSensor
from airflow_provider_wtschat.sensors.session import NewSessionsSensor, SessionReplySensor, SessionStatusSensor
from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator
from airflow_provider_wtschat.transfers.wtschat_account import WtsChatEstimateOperator
from airflow_provider_wtschat.transfers.wtschat_files_to_object_storage import WtsChatFilesToObjectStorageOperator
from airflow_provider_wtschat.transfers.wtschat_reconcile import WtsChatReconcileOperator
from airflow_provider_wtschat.transfers.wtschat_to_object_storage import WtsChatToObjectStorageOperator
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator
from tests.operators.cases import operators
from tests.operators.conftest import new_dag

pytestmark = pytest.mark.airflow

_OTHERS = {vars(module)[name] for module in (campaign, webhook) for name in module.__all__}
EVERY = sorted(operators() | {other for other in _OTHERS if hasattr(other, "execute")}, key=lambda cls: cls.__name__)
EVERY += [
    *(CardStepSensor, MessageStatusSensor, NewSessionsSensor, ScheduledMessageStatusSensor, SessionReplySensor),
    *(SessionStatusSensor, SqlToWtsChatTemplateOperator, WtsChatEstimateOperator, WtsChatFilesToObjectStorageOperator),
    *(WtsChatReconcileOperator, WtsChatToObjectStorageOperator, WtsChatToSqlOperator),
]
CALLS_NO_OPERATION = {
    "ReadWebhooksOperator", "WtsChatCampaignControlOperator", "WtsChatCampaignReportOperator",
    "WtsChatErasePersonOperator", "WtsChatOperator", "WtsChatOptOutOperator",
    # Any operation of what they load.
    "WtsChatEstimateOperator", "WtsChatFilesToObjectStorageOperator", "WtsChatReconcileOperator",
    "WtsChatToObjectStorageOperator", "WtsChatToSqlOperator",
}  # fmt: skip


def text(cls: type) -> str:
    return inspect.getdoc(cls) or ""


def example(cls: type) -> str:
    found = re.search(r"^\.\. code-block:: python\n\n((?: {4}.*\n|\n)+)", text(cls) + "\n", re.MULTILINE)
    return textwrap.dedent(found[1]) if found else ""


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_it_names_the_operation_and_says_what_is_returned(cls: type):
    before_arguments = text(cls).partition(":param")[0]
    assert re.search(r"^Returns |[.)] Returns ", before_arguments, re.MULTILINE) or "it returns" in before_arguments
    if cls.__name__ not in CALLS_NO_OPERATION:
        assert re.match(r"[^.]*: ``(GET|POST|PUT|DELETE) /\w+/v\d/[\w/{}-]+``\.", before_arguments)


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_its_example_makes_tasks(cls: type):
    code = example(cls)
    assert cls.__name__ in {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    assert 1 <= len(code.rstrip().splitlines()) <= 6
    known: dict[str, Any] = {other.__name__: other for other in EVERY}
    known |= vars(import_module(cls.__module__))
    with new_dag() as dag:
        exec(compile(code, cls.__name__, "exec"), known)
    assert cls.__name__ in {task.task_type for task in dag.tasks}


@pytest.mark.parametrize("cls", [WtsChatNotifier, WtsChatHook, WtsChatAsyncHook], ids=lambda cls: cls.__name__)
def test_what_is_no_operator_has_an_example(cls: type):
    code = f"async def shown():\n{textwrap.indent(example(cls), '    ')}"
    assert cls.__name__ in {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}

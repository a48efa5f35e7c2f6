"""An argument that was given and has no value when the task runs is refused, also where no request is built."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_wtschat._given import _MAY_BE_EMPTY
from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.operators.campaign import (
    WtsChatCampaignControlOperator,
    WtsChatErasePersonOperator,
    WtsChatOptOutOperator,
)
from airflow_provider_wtschat.operators.webhook import ReadWebhooksOperator
from airflow_provider_wtschat.sensors.message import MessageStatusSensor
from airflow_provider_wtschat.sensors.panel import CardStepSensor
from airflow_provider_wtschat.sensors.scheduled_message import ScheduledMessageStatusSensor
from airflow_provider_wtschat.sensors.session import NewSessionsSensor, SessionReplySensor, SessionStatusSensor
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator
from airflow_provider_wtschat.transfers.wtschat_account import WtsChatEstimateOperator
from airflow_provider_wtschat.transfers.wtschat_files_to_object_storage import WtsChatFilesToObjectStorageOperator
from airflow_provider_wtschat.transfers.wtschat_reconcile import WtsChatReconcileOperator
from airflow_provider_wtschat.transfers.wtschat_to_object_storage import WtsChatToObjectStorageOperator
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator
from tests.operators.conftest import TaskInstance, connect, new_dag, render

pytestmark = pytest.mark.airflow

ID = "0b1c2d3e-0000-4000-8000-000000000001"
ARGUMENTS: dict[type, dict[str, Any]] = {
    SessionStatusSensor: {"session_id": ID, "target_statuses": "COMPLETED"},
    SessionReplySensor: {"session_id": ID},
    NewSessionsSensor: {},
    MessageStatusSensor: {"message_id": ID},
    ScheduledMessageStatusSensor: {"scheduled_message_id": ID},
    CardStepSensor: {"card_id": ID, "target_statuses": "WON"},
    WtsChatToSqlOperator: {"resource": "sessions", "sql_conn_id": "warehouse"},
    WtsChatToObjectStorageOperator: {"resource": "sessions", "path": "file:///nowhere"},
    WtsChatReconcileOperator: {"resource": "sessions", "sql_conn_id": "warehouse"},
    WtsChatFilesToObjectStorageOperator: {
        "path": "file:///nowhere", "allowed_hosts": ["files.example.com"], "sql_conn_id": "warehouse",
    },
    WtsChatEstimateOperator: {"resource_names": ["sessions"]},
    SqlToWtsChatTemplateOperator: {
        "campaign": "c", "sql": "SELECT 1", "sql_conn_id": "warehouse", "recipient_column": "to", "key_column": "id",
        "template_name": "t",
    },
    WtsChatCampaignControlOperator: {"campaign": "c", "action": "pause", "table_conn_id": "warehouse"},
    WtsChatOptOutOperator: {
        "sql": "SELECT 1", "sql_conn_id": "warehouse", "recipient_column": "to", "text_column": "text",
    },
    WtsChatErasePersonOperator: {"phone": "+55 11 90000-0001", "table_conn_id": "warehouse"},
    ReadWebhooksOperator: {},
}  # fmt: skip
VALUES: dict[str, Any] = {"none": None, "blank": "", "none_in_words": "None", "empty": []}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """An account that nothing asks."""
    with Simulator(sessions=20, seed=7, limits=False, strict=True) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def connections(simulator: Simulator, sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead ``wtschat_default`` to the account, and ``warehouse`` to an empty database."""
    connect(simulator, monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", sqlite)


def context() -> Any:
    ti = TaskInstance()
    vars(ti).update(dag_id="dag", run_id="run")
    return {"ti": ti, "dag_run": SimpleNamespace(start_date=None)}


def test_every_sensor_and_transfer_is_here():
    from importlib import import_module
    from pkgutil import iter_modules

    found = set()
    for package in map(import_module, ("airflow_provider_wtschat.sensors", "airflow_provider_wtschat.transfers")):
        for info in iter_modules(package.__path__):
            module = import_module(f"{package.__name__}.{info.name}")
            found |= {
                value
                for name, value in vars(module).items()
                if isinstance(value, type)
                and hasattr(value, "execute")
                and value.__module__ == module.__name__
                and not name.endswith(("BaseSensor", "BaseOperator"))
            }
    assert found <= set(ARGUMENTS)


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
@pytest.mark.parametrize("operator", ARGUMENTS, ids=lambda cls: cls.__name__)
def test_a_template_without_a_value(simulator: Simulator, operator: type, native: bool):
    """The task fails for good and asks nothing."""
    seen = len(simulator.requests)
    with new_dag(render_template_as_native_obj=native) as dag:
        for name in operator.template_fields:
            for value in VALUES:
                if (value == "empty" and (not native or name in _MAY_BE_EMPTY)) or name == "rehearsal":
                    continue
                template = "{{ values." + value + " }}"
                task = operator(task_id=f"{name}_{value}", **{**ARGUMENTS[operator], name: template})
                render(task, name, {"values": VALUES, "dag": dag})
                assert getattr(task, name) != template
                with pytest.raises(WtsChatFailedError) as refused:
                    task.execute(context())
                assert str(refused.value).startswith(f"{name}: was given"), value
    assert len(simulator.requests) == seen


def test_a_rehearsal_that_is_none_sends_nothing():
    task = SqlToWtsChatTemplateOperator(task_id="t", **ARGUMENTS[SqlToWtsChatTemplateOperator], dry_run="{{ none }}")
    task.rehearsal = None  # type: ignore[assignment]
    with pytest.raises(WtsChatFailedError, match="dry_run"):
        task.execute(context())


@pytest.mark.parametrize(
    "filters",
    [
        {"contact_id": None},
        {"contact_id": ""},
        {"channel_ids": []},
        {"channel_ids": [None]},
        {},
        "{'contact_id': None}",
    ],
    ids=str,
)
@pytest.mark.parametrize("operator", [WtsChatToSqlOperator, WtsChatToObjectStorageOperator])
def test_a_filter_of_a_load(simulator: Simulator, operator: type, filters: Any, tmp_path: Any):
    """A load of one contact's sessions must not become one of the whole account."""
    place = {"path": tmp_path.as_uri()} if "path" in ARGUMENTS[operator] else {}
    task = operator(task_id="load", **{**ARGUMENTS[operator], **place, "filters": "{{ filters }}"})
    task.filters = filters
    seen = len(simulator.requests)
    with pytest.raises(WtsChatFailedError, match=r"^(filters|channel_ids\[0\])"):
        task.execute(context())
    assert len(simulator.requests) == seen


@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        (MessageStatusSensor, {"failure_statuses": None}),
        (MessageStatusSensor, {"failure_statuses": []}),
        (WtsChatToSqlOperator, {"settle": None, "filters": None, "exclude": []}),
        (WtsChatReconcileOperator, {"unchanged_for": None, "since": None}),
        (SqlToWtsChatTemplateOperator, {"retention": None, "parameters": [], "parameter_columns": {}}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else " ".join(value),
)
def test_none_in_the_dag_is_no_mistake(operator: type, arguments: dict[str, Any]):
    operator(task_id="task", **ARGUMENTS[operator], **arguments).check_given()
    with new_dag():
        mapped = operator.partial(task_id="mapped", **arguments).expand_kwargs([ARGUMENTS[operator]])
    none = {name for name in arguments if arguments[name] is None}
    # What None says something else than the default is kept; what it does not is left to the default.
    assert none & mapped.partial_kwargs.keys() == none & {"failure_statuses", "settle", "unchanged_for", "retention"}

"""Dispatches: plan, claim, send, record; what each answer means; and what survives whom."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowTaskTimeout, TaskDeferred

from airflow_provider_wtschat.api import converters
from airflow_provider_wtschat.campaigns import dispatch as engine
from airflow_provider_wtschat.campaigns import following, outcomes
from airflow_provider_wtschat.campaigns import report as reporting
from airflow_provider_wtschat.campaigns.dispatch import Dispatch
from airflow_provider_wtschat.campaigns.people import SuppressionTable
from airflow_provider_wtschat.campaigns.table import CampaignTable, Claim, Claimed, Outcome, Planned, Status
from airflow_provider_wtschat.exceptions import (
    WtsChatConnectionError,
    WtsChatError,
    WtsChatFailedError,
    WtsChatRateLimitError,
)
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators import _progress
from airflow_provider_wtschat.operators.campaign import WtsChatCampaignControlOperator
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.simulator.errors import ApiError
from airflow_provider_wtschat.sql import database, dialects
from airflow_provider_wtschat.transfers import sql_to_wtschat
from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator
from tests.conftest import AIRFLOW_2
from tests.transfers.conftest import SEND, Warehouse, arguments, channel, connect, context

Try = Callable[..., dict[str, Any]]


def sent(simulator: Simulator) -> list[str]:
    """Return who got a message, once for each."""
    return [str(send.recipient) for send in simulator.sends]


@contextmanager
def closing_patch(patch: pytest.MonkeyPatch) -> Iterator[None]:
    try:
        yield
    finally:
        patch.undo()


def digits(recipient: str) -> str:
    return "".join(sign for sign in recipient if sign.isdigit())


# Plan, claim, send, record


def test_each_row_gets_its_message_once(any_warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    any_warehouse.fill(250)
    result = dispatch()
    funnel = result["funnel"]
    assert {name: number for name, number in funnel.items() if number} == {"planned": 250, "sent": 250}
    assert result == {
        "campaign": "reminders", "table": "wtschat_campaign", "recipients": 250,
        "planned": 0, "claimed": 0, "sent": 250, "refused": 0, "uncertain": 0, "suppressed": 0, "held_out": 0,
        "delivery": {}, "funnel": funnel,
    }  # fmt: skip
    assert len(sent(simulator)) == len(set(sent(simulator))) == 250
    first = simulator.sends[0]
    assert (digits(str(first.recipient)), first.parameters) == (
        "5511900000001",
        {"nome": "Cliente 1", "valor": "R$ 1,00"},
    )
    assert [entry.path for entry in simulator.requests].count("/chat/v1/send/template/batch") == 3
    by_sender = {send.sender_id: send.message_id for send in simulator.sends}
    rows = any_warehouse.rows()
    assert [row.row_key for row in rows] == [str(i) for i in range(1, 251)]
    assert all(by_sender[row.sender_id] == row.message_id for row in rows)
    assert all((row.phone, row.content, row.reason) == (None, None, None) for row in rows)

    any_warehouse.execute("INSERT INTO customers VALUES (?, ?, ?, ?)", [(251, "11988887777", "Nova", "R$ 1")])
    assert dispatch() == result  # a later try asks the table, not the query
    assert dispatch(run_id="another") == result
    assert len(simulator.sends) == 250
    assert dispatch(campaign="Reminders")["sent"] == 251  # case tells campaigns apart in every database


def test_it_tells_how_far_it_is_while_it_goes_on_and_where_it_failed(
    warehouse: Warehouse, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_progress, "EVERY", 0.0)
    warehouse.fill(250)
    told: list[dict[str, Any]] = []
    given = context()
    given["ti"].xcom_push = lambda key, value: told.append(value)
    SqlToWtsChatTemplateOperator(**arguments(simulator)).execute(given)
    assert [(value["state"], value["sent"], value["planned"]) for value in told] == [
        ("running", 100, 150), ("running", 200, 50), ("running", 250, 0), ("done", 250, 0),
    ]  # fmt: skip
    assert {(value["kind"], value["campaign"], value["recipients"]) for value in told} == {
        ("campaign", "reminders", 250)
    }
    told.clear()
    simulator.inject("400", on=SEND, times=None)
    with pytest.raises(WtsChatFailedError):
        SqlToWtsChatTemplateOperator(**arguments(simulator, campaign="other")).execute(given)
    assert (told[-1]["state"], told[-1]["sent"]) == ("running", 0)
    assert told[-1]["refused"] > 0


def test_it_says_once_how_many_were_sent(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch, caplog: Any
):
    monkeypatch.setattr(reporting, "_REPORT_EVERY", 0.0)
    warehouse.fill(150)
    with caplog.at_level("INFO"):
        dispatch()
    said = [record.message.partition(" in ")[0] for record in caplog.records if record.message.startswith("Sent ")]
    assert said == ["Sent 100 messages", "Sent 150 messages"]


def test_order_and_columns_are_those_of_the_query(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(3)
    dispatch(
        sql="SELECT phone AS TELEFONE, id, name FROM customers WHERE id > ? ORDER BY id DESC",
        parameters=(1,),
        recipient_column="telefone",
        parameter_columns=["name"],
        template_name="modelo_exemplo",
    )
    assert [send.parameters for send in simulator.sends] == [{"1": "Cliente 3"}, {"1": "Cliente 2"}]


def test_values_become_what_whatsapp_takes(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(1, name=lambda i: "Ana\n\tMaria     Souza" + "x" * 2000)
    dispatch()
    (send,) = simulator.sends
    assert send.parameters is not None
    assert send.parameters["nome"].startswith("Ana Maria Souzax")
    assert len(send.parameters["nome"]) == 1024


def test_files_go_with_their_rows(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(2, amount=lambda i: f"https://files.example/{i}.pdf")
    dispatch(template_name="catalogo", parameter_columns=["name"], file_column="amount")
    assert [send.file for send in simulator.sends] == ["https://files.example/1.pdf", "https://files.example/2.pdf"]


def test_a_dry_run_sends_and_plans_nothing(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(40, phone=lambda i: "none" if i == 7 else f"119{i:08}")
    result = dispatch(dry_run="true", max_invalid=1)
    assert (result["dry_run"], result["planned_already"]) == (True, False)
    assert (result["recipients"], result["refused"], result["minutes"]) == (39, 1, 1)
    assert not simulator.sends
    assert not warehouse.rows()
    dispatch(max_invalid=1)
    assert dispatch(dry_run=True)["planned_already"] is True
    assert len(simulator.sends) == 39


def test_minutes_of_a_dry_run_are_those_of_the_limit():
    assert [engine.expected_minutes(number, scheduled=False) for number in (0, 1, 100_000, 150_100)] == [0, 1, 2, 4]
    assert engine.expected_minutes(1_000, scheduled=True) == 5


def test_rows_that_cannot_be_sent_are_refused(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(
        6,
        phone=lambda i: {2: "call me", 3: None, 5: "(11) 90000-0001"}.get(i, f"(11) 9000{i}-0001"),
        name=lambda i: None if i == 4 else "Ana",
    )
    warehouse.execute("UPDATE customers SET phone = '+55 11 90000-0001' WHERE id = 1")
    result = dispatch(max_invalid=3, duplicate_recipients="skip")
    assert (result["sent"], result["refused"]) == (2, 4)
    assert {row.row_key: row.reason for row in warehouse.rows() if row.status == "refused"} == {
        "2": "no phone number",
        "3": "no phone number",
        "4": "nothing to fill the parameter 'nome' with",
        "5": "an earlier row has the same recipient",
    }
    assert len(simulator.sends) == 2


def test_the_ninth_digit_makes_no_second_person(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    numbers = ["11 98765-4321", "11 8765-4321", "+55 11 98765-4321", "11 3765-4321", "11 93765-4321"]
    warehouse.fill(5, phone=lambda i: numbers[i - 1])
    with pytest.raises(WtsChatFailedError, match=r"duplicate_recipients: 2 rows .* \(row 2, row 3\)"):
        dispatch()
    # The last is a mobile number that never had eight digits; without its 9 it is somebody's line at home.
    result = dispatch(duplicate_recipients="skip")
    assert (result["sent"], result["refused"]) == (3, 2)


@pytest.mark.parametrize("kind", ["DOUBLE PRECISION", "NUMERIC(20, 0)", "NUMERIC(20, 2)", "BIGINT"])
def test_phones_and_keys_may_be_numbers_of_any_kind(
    any_warehouse: Warehouse, simulator: Simulator, dispatch: Try, kind: str
):
    any_warehouse.execute(f"CREATE TABLE customers (id {kind}, phone {kind}, name VARCHAR(9), amount VARCHAR(9))")
    any_warehouse.execute("INSERT INTO customers VALUES (7, 5511900000001, 'Ana', 'R$ 1')")
    assert dispatch()["sent"] == 1
    assert [(row.row_key, digits(str(send.recipient))) for row in any_warehouse.rows() for send in simulator.sends] == [
        ("7", "5511900000001")
    ]


def test_duplicates_may_be_allowed(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(3, phone=lambda i: "11900000001")
    assert dispatch(duplicate_recipients="allow")["sent"] == 3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"sql": "SELECT * FROM customers WHERE id > 3"},
            "max_invalid: 1 rows .* at most 0 may be left out; row 2: no phone number",
        ),
        ({"sql": "SELECT * FROM customers", "max_recipients": 2}, "max_recipients: .* more than 2 recipients"),
        ({"sql": "SELECT * FROM customers WHERE id IN (1, 2, 3)"}, r"duplicate_recipients: 1 rows .* \(row 3\)"),
        ({"sql": "SELECT 7 AS id, phone, name, amount FROM customers WHERE id < 3"}, "key_column: rows 1 and 2"),
        ({"sql": "SELECT NULL AS id, phone, name, amount FROM customers"}, "key_column: row 1 of the query has no key"),
        ({"key_column": "nope"}, "no column 'nope'; it has id, phone, name, amount"),
        ({"template_name": "nope"}, "template_name: nothing is named exactly 'nope'; there are .*'boas_vindas'"),
        ({"template_name": "em_revisao", "parameter_columns": ["name"]}, "'em_revisao' is InRevision"),
        ({"template_name": None}, "template_id, template_name: neither was given"),
        ({"template_name": None, "template_id": "0b1c2d3e-0000-4000-8000-000000000001"}, "has no template"),
        ({"parameter_columns": {"nome": "name"}}, "parameter_columns: .* it lacks valor"),
        ({"parameter_columns": {"nome": "name", "valor": "amount", "x": "id"}}, "parameter_columns: .* it has no x"),
        ({"from_channel": None}, "from_channel.*: is required"),
        ({"from_channel": None, "from_channel_name": "nope"}, "from_channel_name: nothing is named exactly"),
        ({"campaign": "{{ x }}".replace("{{ x }}", "None")}, "campaign: was given, and its value is 'None'"),
        ({"campaign": "x" * 201}, "campaign: 201 characters"),
        ({"table": "x; DROP TABLE customers"}, "table: .* a name such as wtschat_campaign"),
        ({"sql_conn_id": "wtschat_default"}, "sql_conn_id: .* is no database"),
        ({"audience": "everybody"}, "audience: .*fixed, new_keys"),
        ({"duplicate_recipients": "maybe"}, "duplicate_recipients: .*error, skip, allow"),
        ({"wait_for_status": "QUEUED"}, "wait_for_status: .*SENT, DELIVERED, READ"),
        ({"max_failed": -1}, "max_failed"),
        ({"send_before": "2020-01-01"}, "send_before: 2020-01-01.* is over"),
        ({"schedule_at": "2020-01-01"}, "schedule_at: 2020-01-01.* is over"),
        ({"schedule_at": "2999-01-02", "send_before": "2999-01-01"}, "schedule_at: .* later than send_before"),
        ({"schedule_at": "2999-01-01", "wait_for_status": "READ", "enable_bot": True}, "enable_bot, wait_for_status"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, changed: dict[str, Any], said: str
):
    warehouse.fill(5, phone=lambda i: {3: "11900000001", 5: "123"}.get(i, f"1190000000{i}"))
    with pytest.raises(WtsChatFailedError, match=said):
        dispatch(**{"sql": "SELECT * FROM customers WHERE id < 3", **changed})
    assert not simulator.sends
    if changed.get("sql_conn_id") is None and "table" not in changed:
        exists = warehouse.execute("SELECT name FROM sqlite_master WHERE name = 'wtschat_campaign'")
        assert not exists or not warehouse.rows()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"template_name": "boas_vindas", "parameter_columns": None},
            "template and another QUERY",
        ),
        ({"sql": "SELECT * FROM customers WHERE id > 3 ORDER BY id"}, "QUERY"),
        (
            {"parameters": (1,), "sql": "SELECT * FROM customers WHERE id > ?"},
            "QUERY",
        ),
        ({"recipient_column": "amount"}, "QUERY"),
        ({"sql_conn_id": "other"}, "sql_conn_id"),
        ({"schedule_at": "2999-01-01"}, "schedule_at"),
        ({"dag_id": "another"}, "Dag"),
    ],
)
def test_a_campaign_keeps_what_it_was_planned_with(
    warehouse: Warehouse,
    simulator: Simulator,
    dispatch: Try,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
    said: str,
):
    """Another query under a name that is used already would reach nobody, and be green."""
    warehouse.fill(3)
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", warehouse.connection)
    dispatch()
    said = said.replace("QUERY", r"query \(sql, parameters or columns\)")
    said = f"campaign: 'reminders' is planned already, with another {said}, so nothing was sent"
    dag_id = changed.pop("dag_id", "dag")
    again = SqlToWtsChatTemplateOperator(**arguments(simulator, table_conn_id="warehouse", **changed))
    with pytest.raises(WtsChatFailedError, match=said):
        again.execute(context(dag_id=dag_id))
    assert dispatch(from_channel=f"+{digits(channel(simulator))}")["sent"] == 3  # another spelling is no other channel
    assert len(simulator.sends) == 3


def test_a_plan_of_an_earlier_version_goes_on(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    """It noted neither the query nor the Dag, and its table lacked columns."""
    warehouse.fill(3)
    dispatch()
    ((content,),) = warehouse.execute("SELECT content FROM wtschat_campaign WHERE seq = 0")
    facts = json.loads(content)
    known = {name: facts[name] for name in ("template_id", "from_channel", "schedule_at")}
    warehouse.execute(f"UPDATE wtschat_campaign SET content = '{json.dumps(known)}' WHERE seq = 0")
    warehouse.execute("ALTER TABLE wtschat_campaign DROP COLUMN looked_up_at")
    assert dispatch(sql="SELECT * FROM customers")["sent"] == 3
    assert len(simulator.sends) == 3


# Audiences that grow


def test_an_audience_grows_by_new_keys(any_warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    grows = {"audience": "new_keys"}
    any_warehouse.fill(3)
    assert dispatch(**grows, run_id="monday")["sent"] == 3
    any_warehouse.execute(
        "INSERT INTO customers VALUES (?, ?, ?, ?)", [(i, f"1198888{i:04}", "Nova", "R$ 1") for i in range(2, 905)]
    )
    any_warehouse.execute("DELETE FROM customers WHERE id = 1")
    changed = {"sql": "SELECT * FROM customers WHERE phone LIKE '1198888%' ORDER BY id", "max_recipients": 901}
    # Later tries of a run, and its other workers, plan nothing.
    assert dispatch(**grows, **changed, run_id="monday")["sent"] == 3
    rehearsal = dispatch(**grows, **changed, run_id="tuesday", dry_run=True)
    assert (rehearsal["recipients"], rehearsal["planned_already"]) == (901, True)
    for _ in range(2):
        assert dispatch(**grows, **changed, run_id="tuesday")["sent"] == 904
    assert dispatch(**grows, **changed, run_id="wednesday")["sent"] == 904
    rows = any_warehouse.rows()
    assert [row.seq for row in rows] == list(range(1, 905))
    assert {row.row_key for row in rows} == {str(i) for i in range(1, 905)}
    assert len(sent(simulator)) == len(set(sent(simulator))) == 904
    with pytest.raises(WtsChatFailedError, match="campaign: 'reminders' is planned already, with another audience"):
        dispatch(run_id="thursday")


def test_only_new_recipients_count(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(3)
    dispatch(audience="new_keys", run_id="monday", max_recipients=3)
    more = [(4, "not yet", "Ana", "R$ 1"), (5, "11977770005", "Ana", "R$ 1"), (6, "11977770006", "Ana", "R$ 1")]
    warehouse.execute("INSERT INTO customers VALUES (?, ?, ?, ?)", more)
    for changed, said in (
        ({"max_recipients": 1, "max_invalid": 1}, "max_recipients: .* more than 1 recipients"),
        ({}, "max_invalid: 1 rows .* row 4: no phone number"),
    ):
        with pytest.raises(WtsChatFailedError, match=said):
            dispatch(audience="new_keys", run_id="tuesday", **changed)
    result = dispatch(audience="new_keys", run_id="tuesday", max_recipients=2, max_invalid=1)
    assert (result["sent"], result["refused"]) == (5, 1)


def test_an_audience_grows_once_per_run(any_warehouse: Warehouse):
    first = CampaignTable(any_warehouse.hook, "wtschat_campaign", "c")
    first.create()
    first.plan(lambda: planned(10), {"runs": ["one"]})

    def extend() -> bool:
        table = CampaignTable(any_warehouse.hook, "wtschat_campaign", "c")
        number = threading.get_ident() % 1000 + 300
        grown = table.extend(
            lambda: planned(number),
            lambda facts: None if "two" in facts["runs"] else {"runs": ["one", "two"], "number": number},
        )
        table.close()
        return grown

    assert sorted(together(4, extend)) == [False, False, False, True]
    assert first.counts()[Status.PLANNED] == (first.facts() or {})["number"]

    def half() -> Any:
        yield from planned(2000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.extend(half, lambda facts: {"runs": ["three"]})
    assert (first.facts() or {})["runs"] == ["one", "two"]
    assert first.counts()[Status.PLANNED] == (first.facts() or {})["number"]
    first.close()


# What each answer means


def claims_of(warehouse: Warehouse) -> int:
    return warehouse.statuses().get("claimed", 0)


@pytest.mark.parametrize("fault", ["401", "403"])
def test_without_permission_rows_stay_planned(warehouse: Warehouse, simulator: Simulator, dispatch: Try, fault: str):
    """A token may be wrong for a moment, while it is rotated: nothing was done, and nobody is left out for it."""
    warehouse.fill(250)
    simulator.inject(fault, on=SEND, skip=1)
    # No other row would fare better, so the task fails without retries.
    with pytest.raises(WtsChatFailedError, match=f"HTTP {fault}"):
        dispatch()
    assert warehouse.statuses() == {"sent": 100, "planned": 150}
    assert all(row.phone for row in warehouse.rows() if row.status == "planned")
    assert dispatch()["sent"] == 250
    assert len(sent(simulator)) == len(set(sent(simulator))) == 250


def refuse_bodies(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, *phones: str, text: str = "", key: str | None = None
) -> None:
    """Let the account answer a batch with 400 if one of these numbers is in it."""
    real = simulator.application._perform

    def perform(call: Any) -> Any:
        messages = (call.body or {}).get("messages") if isinstance(call.body, dict) else None
        if any(digits(message["to"]) in phones for message in messages or ()):
            raise ApiError(400, key, text or "O corpo da requisição é inválido")
        return real(call)

    monkeypatch.setattr(simulator.application, "_perform", perform)


def test_a_row_at_fault_stands_alone(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    warehouse.fill(250)
    refuse_bodies(
        simulator, monkeypatch, "5511900000007", "5511900000008", "5511900000200",
        text="O parâmetro 'Cliente 7' de 5511900000007 é inválido",
    )  # fmt: skip
    result = dispatch()
    assert (result["sent"], result["refused"]) == (247, 3)
    assert [row.row_key for row in warehouse.rows() if row.status == "refused"] == ["7", "8", "200"]
    reason = str(next(row.reason for row in warehouse.rows() if row.row_key == "7"))
    assert "HTTP 400" in reason
    assert "Cliente 7" not in reason
    assert "5511900000007" not in reason
    assert len(sent(simulator)) == len(set(sent(simulator))) == 247
    assert [entry.path for entry in simulator.requests].count("/chat/v1/send/template/batch") < 40


def test_a_row_that_no_request_can_be_built_of_stands_alone(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    """Such as a number that an earlier version took for one: it must not block the rows behind it."""
    warehouse.fill(150)
    with SqlToWtsChatTemplateOperator(**arguments(simulator))._dispatch(context()) as planner:
        planner.table.create()
        planner._people.create()
        planner._plan()
    warehouse.execute("UPDATE wtschat_campaign SET phone = '+55123' WHERE seq = 60")
    result = dispatch()
    assert (result["sent"], result["refused"]) == (149, 1)
    (row,) = [row for row in warehouse.rows() if row.status == "refused"]
    assert (row.seq, row.phone) == (60, "+55123")


@pytest.mark.parametrize(
    "fault",
    ["lost_before", "lost_after", "502", "502_acted", "504_acted", "html", "html_acted", "error200", "truncated",
     "cut_json", "empty", "500", "500_acted", "404", "form_error", "entity_error_save", "error200_keyed"],
)  # fmt: skip
def test_what_nobody_knows_is_looked_up_and_not_sent_again(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch, fault: str
):
    monkeypatch.setattr(converters, "MAX_BATCH", 5)
    warehouse.fill(10)
    simulator.inject(fault, on=SEND)
    acted = len(simulator.sends)
    result = dispatch()
    acted = len(simulator.sends) - 5
    assert acted in (0, 5)
    assert (result["sent"], result["uncertain"]) == (5 + acted, 5 - acted)
    assert dispatch() == result
    assert len(sent(simulator)) == len(set(sent(simulator))) == 5 + acted
    by_sender = {send.sender_id: send.message_id for send in simulator.sends}
    assert {row.sender_id: row.message_id for row in warehouse.rows() if row.status == "sent"} == by_sender
    assert all(row.phone and row.content and row.reason for row in warehouse.rows() if row.status == "uncertain")


@pytest.mark.parametrize("options", [{"sender_lookup": "none"}])
def test_a_look_up_without_ids_finds_hints_but_no_proof(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(2)
    simulator.inject("lost_after", on=SEND)
    assert dispatch()["uncertain"] == 2
    messages = {send.message_id for send in simulator.sends}
    assert all(any(message in str(row.reason) for message in messages) for row in warehouse.rows())


def test_a_full_limit_leaves_rows_planned(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    warehouse.fill(150)
    simulator.inject("429", on=SEND, skip=1, times=None, retry_after="0.05")
    monkeypatch.setattr(SqlToWtsChatTemplateOperator, "hook", WtsChatHook(max_wait=0.2))
    with pytest.raises(WtsChatRateLimitError):
        dispatch()
    assert warehouse.statuses() == {"sent": 100, "planned": 50}
    assert all(row.phone for row in warehouse.rows() if row.status == "planned")
    simulator.application.faults.clear()
    monkeypatch.setattr(SqlToWtsChatTemplateOperator, "hook", WtsChatHook())
    assert dispatch()["sent"] == 150
    assert len(sent(simulator)) == len(set(sent(simulator))) == 150


def test_without_a_connection_rows_stay_planned(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    warehouse.fill(3)
    operator = SqlToWtsChatTemplateOperator(**arguments(simulator))
    real, broken = CampaignTable.claim, threading.Event()

    def claim(self: CampaignTable, *args: Any, **kwargs: Any) -> Claim | None:
        if not broken.is_set():
            broken.set()
            simulator.stop()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(CampaignTable, "claim", claim)
    operator.__dict__["hook"] = WtsChatHook(max_retries=1)
    with pytest.raises(WtsChatConnectionError):
        operator.execute(context())
    assert warehouse.statuses() == {"planned": 3}
    simulator.start()
    connect(simulator, monkeypatch)
    assert dispatch()["sent"] == 3


def test_it_stops_after_three_unclear_answers_in_a_row(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(converters, "MAX_BATCH", 2)
    warehouse.fill(20)
    simulator.inject("504", on=SEND, times=2)
    simulator.inject("504", on=SEND, skip=1, times=3)
    with pytest.raises(WtsChatFailedError, match=r"3 requests in a row ended without a clear answer.*still planned"):
        dispatch()
    assert warehouse.statuses() == {"uncertain": 10, "sent": 2, "planned": 8}
    assert dispatch()["sent"] == 10


def test_it_stops_when_row_after_row_is_refused(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(converters, "MAX_BATCH", 8)
    warehouse.fill(40)
    simulator.inject("400", on=SEND, times=None)
    with pytest.raises(WtsChatFailedError, match=r"10 requests in a row were refused.*still planned"):
        dispatch()
    assert warehouse.statuses() == {"refused": 10, "planned": 30}
    simulator.application.faults.clear()
    assert dispatch()["sent"] == 30


def claim_of(number: int) -> Claim:
    now = datetime.now(UTC)
    rows = [Claimed(seq=i, sender_id=f"s{i}", phone="5511900000001", content={}, claimed_at=now) for i in range(number)]
    return Claim(name="claim", rows=rows)


@pytest.mark.parametrize(
    ("results", "statuses"),
    [
        ([{"senderId": "s1", "id": "b"}, {"senderId": "s0", "id": "a"}], ["sent a", "sent b"]),
        ([{"senderId": "s1", "id": "b"}], ["uncertain", "sent b"]),
        ([{"senderId": "s1", "id": "b"}, {"id": "a"}], ["uncertain", "sent b"]),
        ([{"id": "a"}, {"id": "b"}], ["sent a", "sent b"]),
        ([{"id": "a"}], ["uncertain", "uncertain"]),
        ([{"id": "a"}, {"id": "b"}, {"id": "c"}], ["uncertain", "uncertain"]),
        ([{"senderId": "x", "id": "a"}, {"senderId": "y", "id": "b"}], ["uncertain", "uncertain"]),
        ([{"senderId": "s0", "id": "a", "status": "FAILED"}, {"senderId": "s1"}], ["refused a", "sent"]),
        ([None, "x"], ["uncertain", "uncertain"]),
        (None, ["uncertain", "uncertain"]),
    ],
)
def test_results_are_told_apart_by_id_else_by_place(results: Any, statuses: list[str]):
    told = outcomes.matched(claim_of(2), {"results": results})
    assert [f"{outcome.status} {outcome.message_id or ''}".strip() for outcome in told] == statuses
    assert outcomes.matched(claim_of(1), ["no mapping"])[0].status is Status.UNCERTAIN


@pytest.mark.parametrize("options", [{"batch_results": "shuffled"}, {"batch_results": "partial"}], ids=str)
def test_odd_answers_of_the_api(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(100)
    assert dispatch()["sent"] == 100  # what a partial answer leaves out is found by the look-up
    by_sender = {send.sender_id: send.message_id for send in simulator.sends}
    assert all(by_sender[row.sender_id] == row.message_id for row in warehouse.rows())


# Tries, claims and workers


def test_claims_of_a_dead_try_become_uncertain(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sql_to_wtschat, "_SHORT", 0.3)
    warehouse.fill(2)
    dispatch()
    warehouse.execute(
        "UPDATE wtschat_campaign SET status = 'claimed', phone = '5511900000001', content = '{}' WHERE seq > 0"
    )
    mine = warehouse.rows()[0].claimed_by
    warehouse.execute("UPDATE wtschat_campaign SET claimed_by = 'other-1' WHERE seq = 2")
    assert mine
    warehouse.execute("UPDATE wtschat_campaign SET sender_id = 'unheard' WHERE seq = 2")
    # What is this task's own is found by its id; another's claim may be alive, so it waits for that one.
    with pytest.raises(TaskDeferred) as deferred:
        dispatch(deferrable=True)
    assert deferred.value.trigger.purpose == "others"
    assert warehouse.statuses() == {"sent": 1, "claimed": 1}
    long_ago = (datetime.now(UTC) - engine.STALE_AFTER + timedelta(seconds=1)).isoformat()[:26] + "Z"
    warehouse.execute(f"UPDATE wtschat_campaign SET claimed_at = '{long_ago}' WHERE seq = 2")
    result = dispatch()
    assert (result["claimed"], result["uncertain"]) == (0, 1)
    assert len(simulator.sends) == 2


def test_it_is_not_done_before_the_other_workers_are(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(4)
    with SqlToWtsChatTemplateOperator(**arguments(simulator))._dispatch(context("other")) as other:
        other.table.create()
        other._people.create()
        other._plan()
        claim = other.table.claim("other", 2)
        assert claim is not None
        released: list[dict[str, int]] = []

        def release() -> None:
            released.append(warehouse.statuses())
            other.table.release(claim)

        threading.Timer(2, release).start()
        result = dispatch()
    assert released == [{"sent": 2, "claimed": 2}]
    assert result["sent"] == 4  # it has sent what the other one gave back
    assert len(sent(simulator)) == len(set(sent(simulator))) == 4


def test_an_uncertain_row_is_not_looked_up_at_every_try(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    warehouse.fill(3)
    simulator.inject("lost_before", on=SEND)

    def look_ups() -> int:
        return sum("/phonenumber/" in entry.path for entry in simulator.requests)

    for _ in range(3):
        assert dispatch()["uncertain"] == 3
        assert look_ups() == 3

    def ago(hours: float) -> str:
        return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()[:26] + "Z"

    # A message may become visible late, so it is looked for again an hour later, for two days.
    for claimed_at, looked_up_at, asked in ((2, 0.9, 3), (2, 1.1, 6), (50, 1.1, 6), (50, 49, 9)):
        warehouse.execute(
            f"UPDATE wtschat_campaign SET claimed_at = '{ago(claimed_at)}', looked_up_at = '{ago(looked_up_at)}'"
            " WHERE seq > 0"
        )
        for _ in range(2):
            dispatch()
            assert look_ups() == asked


def test_a_stopped_dispatch_sends_no_further_request(warehouse: Warehouse, simulator: Simulator):
    warehouse.fill(1000)
    operator = SqlToWtsChatTemplateOperator(**arguments(simulator))
    real = CampaignTable.record

    def record(self: CampaignTable, claim: Claim, outcomes: Any) -> None:
        real(self, claim, outcomes)
        operator.on_kill()
        assert operator._stop.wait(5)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CampaignTable, "record", record)
        with pytest.raises(WtsChatError, match="was stopped from outside") as raised:
            operator.execute(context())
    assert raised.value.retryable
    assert warehouse.statuses() == {"sent": 100, "planned": 900}
    assert SqlToWtsChatTemplateOperator(**arguments(simulator)).execute(context())["sent"] == 1000
    assert len(sent(simulator)) == len(set(sent(simulator))) == 1000


@pytest.mark.parametrize("options", [{"latency_ms": 50}])
def test_a_signal_stops_a_dispatch(warehouse: Warehouse, simulator: Simulator):
    """Airflow 3 calls on_kill in the handler of SIGTERM, and nothing else until it kills the process 5 s later."""
    warehouse.fill(10_000)
    child = os.fork()
    if child == 0:
        operator = SqlToWtsChatTemplateOperator(**arguments(simulator, max_recipients=10_000))
        signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
        try:
            operator.execute(context())
        except WtsChatError as error:
            os._exit(7 if error.retryable else 1)
        finally:
            os._exit(2)

    def requests() -> int:
        return [entry.path for entry in simulator.requests].count("/chat/v1/send/template/batch")

    deadline = time.monotonic() + 60
    while requests() < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child, signal.SIGTERM)
    asked = requests()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert requests() - asked <= 2
    assert warehouse.statuses() == {"sent": 100 * requests(), "planned": 10_000 - 100 * requests()}


def test_a_stop_ends_a_wait(warehouse: Warehouse, simulator: Simulator):
    """For the account's limit, for the next look, and for other workers."""
    warehouse.fill(150)
    simulator.inject("429", on=SEND, skip=1, times=None, retry_after="60")
    operator = SqlToWtsChatTemplateOperator(**arguments(simulator))

    def stop() -> None:
        while [entry.operation for entry in simulator.requests].count(SEND) < 2:
            time.sleep(0.01)
        operator.on_kill()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(WtsChatError, match="was stopped from outside"):
        operator.execute(context())
    stopper.join()
    assert [entry.operation for entry in simulator.requests].count(SEND) == 2
    assert warehouse.statuses() == {"sent": 100, "planned": 50}


def test_to_send_again_is_the_users_decision(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(converters, "MAX_BATCH", 2)
    warehouse.fill(4)
    simulator.inject("lost_before", on=SEND)
    simulator.inject("lost_after", on=SEND)
    monkeypatch.setattr(Dispatch, "_look_up", lambda *args: None)
    assert dispatch()["uncertain"] == 4
    monkeypatch.undo()
    connect(simulator, monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse.connection)
    assert dispatch(resend_uncertain="yes")["sent"] == 4
    assert len(sent(simulator)) == len(set(sent(simulator))) == 4  # what the look-up found is not sent again


def test_a_late_record_of_a_try_taken_for_dead_counts(any_warehouse: Warehouse):
    table = CampaignTable(any_warehouse.hook, "wtschat_campaign", "c")
    table.create()
    table.plan(lambda: planned(4), {})
    claim = table.claim("a", 4)
    assert claim is not None
    assert table.abandon("a") == 4
    table.settle(1, Outcome(seq=1, status=Status.SENT, message_id="found"))
    table.record(claim, [Outcome(seq=1, status=Status.UNCERTAIN), Outcome(seq=2, status=Status.SENT, message_id="m")])
    assert [(row.status, row.message_id) for row in any_warehouse.rows()] == [
        ("sent", "found"), ("sent", "m"), ("uncertain", None), ("uncertain", None),
    ]  # fmt: skip
    table.release(Claim(name=claim.name, rows=claim.rows[2:]))
    assert table.plan_uncertain() == 0
    again = table.claim("b", 4)
    assert again is not None
    assert [row.seq for row in again.rows] == [3, 4]
    table.record(claim, [Outcome(seq=3, status=Status.SENT)])  # no longer the claimer's
    assert any_warehouse.statuses() == {"sent": 2, "claimed": 2}
    table.close()


def planned(number: int) -> list[Planned]:
    return [Planned(key=str(i), phone="5511900000001", content="{}") for i in range(number)]


def together(number: int, work: Callable[[], Any]) -> list[Any]:
    """Do something in so many threads at once, and return what came out of each."""
    results: list[Any] = []
    start = threading.Barrier(number)

    def run() -> None:
        start.wait()
        results.append(work())

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == number
    return results


def test_a_row_is_claimed_once(any_warehouse: Warehouse):
    first = CampaignTable(any_warehouse.hook, "wtschat_campaign", "c")
    first.create()
    first.plan(lambda: planned(400), {})
    first.close()

    def claim_all() -> list[int]:
        table = CampaignTable(any_warehouse.hook, "wtschat_campaign", "c")
        found: list[int] = []
        while (claim := table.claim("owner", 7)) is not None:
            found += [row.seq for row in claim.rows]
        table.close()
        return found

    claimed = [seq for found in together(6, claim_all) for seq in found]
    assert sorted(claimed) == list(range(1, 401))


def test_a_dispatch_is_planned_once(any_warehouse: Warehouse):
    first = CampaignTable(any_warehouse.hook, "wtschat_campaign", "c")
    first.create()

    def plan() -> tuple[bool, int]:
        table = CampaignTable(any_warehouse.hook, "wtschat_campaign", "c")
        mine = threading.get_ident() % 1000 + 300
        done = table.plan(lambda: planned(mine), {"rows": mine}), mine
        table.close()
        return done

    plans = together(4, plan)
    (winner,) = [number for won, number in plans if won]
    assert first.facts() == {"rows": winner}
    assert first.counts()[Status.PLANNED] == winner
    first.close()


def test_half_a_plan_is_none(any_warehouse: Warehouse):
    table = CampaignTable(any_warehouse.hook, "wtschat_campaign", "c")
    table.create()

    def rows() -> Any:
        yield from planned(700)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table.plan(rows, {})
    assert table.facts() is None
    assert not any_warehouse.rows()
    assert table.plan(lambda: planned(700), {})
    table.close()


def test_a_lost_connection_to_the_database_costs_no_row(any_warehouse: Warehouse):
    table = CampaignTable(any_warehouse.hook, "wtschat_campaign", "c")
    table.create()
    table.plan(lambda: planned(3), {})
    table._database._connection.close()
    claim = table.claim("a", 3)
    assert claim is not None
    table._database._connection.close()
    table.record(claim, [Outcome(seq=row.seq, status=Status.SENT, message_id="m") for row in claim.rows])
    assert any_warehouse.statuses() == {"sent": 3}
    table.close()


def test_the_table_may_be_in_another_database(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    warehouse.fill(2)
    other = json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "other.db")})
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", other)
    assert dispatch(table_conn_id="other", table="dispatches")["sent"] == 2
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", other)
    assert [row.status for row in Warehouse(other).rows("dispatches")] == ["sent", "sent"]


# Pause, resume and stop


def control(action: str, **changed: Any) -> dict[str, Any]:
    given = {"campaign": "reminders", "table_conn_id": "warehouse", **changed}
    return WtsChatCampaignControlOperator(task_id="control", action=action, **given).execute(context())


def after_the_first_request(do: Callable[[], Any]) -> pytest.MonkeyPatch:
    real, done = CampaignTable.record, threading.Event()

    def record(self: CampaignTable, claim: Claim, outcomes: Any) -> None:
        real(self, claim, outcomes)
        if not done.is_set():
            done.set()
            do()

    patch = pytest.MonkeyPatch()
    patch.setattr(CampaignTable, "record", record)
    return patch


def test_a_paused_campaign_waits_and_goes_on(
    any_warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine, "PAUSED_LOOK", timedelta(seconds=0.2))
    any_warehouse.fill(250)
    found: list[dict[str, int]] = []

    def resume() -> None:
        found.append(any_warehouse.statuses())
        any_warehouse.execute("UPDATE wtschat_campaign SET status = 'plan' WHERE seq = 0")

    def pause() -> None:
        assert control("pause")["state"] == "paused"
        threading.Timer(2, resume).start()

    with closing_patch(after_the_first_request(pause)):
        assert dispatch()["sent"] == 250
    assert found == [{"sent": 100, "planned": 150}]
    assert len(sent(simulator)) == len(set(sent(simulator))) == 250


def test_a_paused_campaign_holds_no_worker(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(150)
    with closing_patch(after_the_first_request(lambda: control("pause"))), pytest.raises(TaskDeferred) as deferred:
        dispatch(deferrable=True)
    assert deferred.value.trigger.purpose == "resumption"
    again = SqlToWtsChatTemplateOperator(**arguments(simulator, deferrable=True))
    event = {"status": "due", "purpose": "resumption"}
    with pytest.raises(TaskDeferred):
        again.execute_complete(context(), event)
    assert len(simulator.sends) == 100
    control("resume")
    assert again.execute_complete(context(), event)["sent"] == 150
    assert len(sent(simulator)) == len(set(sent(simulator))) == 150


def test_a_stopped_campaign_fails_with_everything_planned(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(150)
    stop = after_the_first_request(
        lambda: warehouse.execute("UPDATE wtschat_campaign SET status='stopped' WHERE seq=0")
    )
    with closing_patch(stop), pytest.raises(WtsChatFailedError, match="'reminders' is stopped"):
        dispatch()
    with pytest.raises(WtsChatFailedError, match="'reminders' is stopped"):
        dispatch()
    assert warehouse.statuses() == {"sent": 100, "planned": 50}
    assert control("resume") == {
        "campaign": "reminders", "table": "wtschat_campaign", "state": "plan",
        "planned": 50, "claimed": 0, "sent": 100, "refused": 0, "uncertain": 0, "suppressed": 0, "held_out": 0,
    }  # fmt: skip
    assert dispatch()["sent"] == 150
    control("stop")
    assert dispatch()["sent"] == 150  # there is nothing left to stop


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"campaign": "x"}, "campaign: nothing is planned as 'x'"),
        ({"action": "halt"}, "action: .*pause, resume, stop"),
        ({"table_conn_id": "wtschat_default"}, "table_conn_id: .* is no database"),
    ],
)
def test_only_a_campaign_can_be_controlled(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, changed: dict[str, Any], said: str
):
    warehouse.fill(1)
    dispatch()
    with pytest.raises(WtsChatFailedError, match=said):
        control(**{"action": "pause", **changed})


@pytest.mark.parametrize("status", ["Paused", "Disapproved", "Disabled"])
def test_a_template_that_is_paused_stops_the_dispatch(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch, status: str
):
    monkeypatch.setattr(engine, "TEMPLATE_EVERY", 0.0)
    warehouse.fill(250)
    template = next(row for row in simulator.world.templates if row["name"] == "lembrete_pagamento")

    def turn(value: str) -> None:
        template.data["status"] = value  # type: ignore[index]  # a mapping to everybody else

    with (
        closing_patch(after_the_first_request(lambda: turn(status))),
        pytest.raises(WtsChatFailedError, match=f"template_name: .*'lembrete_pagamento' is {status}.*stays planned"),
    ):
        dispatch()
    assert warehouse.statuses() == {"sent": 100, "planned": 150}
    turn("Approved")
    assert dispatch()["sent"] == 250


def test_a_template_that_was_made_again_is_looked_up_again(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try
) -> None:
    warehouse.fill(2)
    templates = simulator.world.templates
    dispatch()  # whose look-up is kept for some minutes

    def make_again() -> str:
        old = next(row for row in templates if row["name"] == "lembrete_pagamento")
        new = replace(old, id=str(uuid4()))
        templates.delete(old.id)
        templates.put(new)
        return new.id

    made = make_again()
    assert dispatch(campaign="rehearsed", dry_run=True)["recipients"] == 2
    assert dispatch(campaign="after it")["sent"] == 2
    assert [send.template_id for send in simulator.sends][2:] == [made] * 2
    # What is planned names the template that it was planned with.
    dispatch(campaign="grows", audience="new_keys", sql="SELECT * FROM customers WHERE id = 1")
    make_again()
    with pytest.raises(WtsChatFailedError, match="planned already, with another template"):
        dispatch(run_id="later", campaign="grows", audience="new_keys")
    assert len(simulator.sends) == 5


# Sending again what was refused, and forgetting it


def test_what_was_refused_may_be_sent_again(
    any_warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    any_warehouse.fill(20)
    with monkeypatch.context() as patch:
        refuse_bodies(simulator, patch, "5511900000007", text="o limite de 131049 foi atingido", key="FORM_LIMIT")
        refuse_bodies(simulator, patch, "5511900000008", text="numero invalido")
        assert dispatch()["refused"] == 2
    (seven, eight) = [row for row in any_warehouse.rows() if row.status == "refused"]
    assert (seven.phone, seven.failed_key, eight.failed_key) == ("+5511900000007", "FORM_LIMIT", None)
    for reasons, refused in (
        (False, 2), (["no such text"], 2), (["131049"], 1), (["form_limit"], 1), ("INVALIDO", 0), (True, 0),
    ):  # fmt: skip
        assert dispatch(resend_refused=reasons)["refused"] == refused
    assert len(sent(simulator)) == len(set(sent(simulator))) == 20
    assert all(row.phone is None and row.reason is None and row.failed_key is None for row in any_warehouse.rows())


def test_a_row_says_nothing_of_a_person_when_its_retention_is_over(
    any_warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    any_warehouse.fill(20)
    with monkeypatch.context() as patch:
        refuse_bodies(simulator, patch, "5511900000007")
        assert dispatch(retention=3600)["refused"] == 1
    monkeypatch.setattr(converters, "MAX_BATCH", 5)
    simulator.inject("lost_before", on=SEND)
    simulator.inject("429", on=SEND, times=None, retry_after="60")
    monkeypatch.setattr(SqlToWtsChatTemplateOperator, "hook", WtsChatHook(max_wait=0.2))
    with pytest.raises(WtsChatRateLimitError):
        dispatch(campaign="other", retention=3600)
    simulator.application.faults.clear()
    monkeypatch.undo()
    connect(simulator, monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", any_warehouse.connection)
    # A try of any campaign empties what is over, of all of them.
    assert dispatch(campaign="third", sql="SELECT * FROM customers WHERE id < 0", retention=None)["recipients"] == 0
    assert sum(row.phone is not None for row in any_warehouse.rows()) == 21
    any_warehouse.execute(
        "UPDATE wtschat_campaign SET expires_at = '2020-01-01T00:00:00.000000Z' WHERE expires_at IS NOT NULL"
    )
    dispatch(campaign="third", sql="SELECT * FROM customers WHERE id < 0", retention=None)
    rows = any_warehouse.rows()
    assert all((row.phone, row.content) == (None, None) for row in rows)
    other = [row.status for row in rows if row.campaign == "other"]
    assert {status: other.count(status) for status in set(other)} == {"uncertain": 5, "refused": 15}
    assert dispatch(resend_refused=True, retention=3600)["refused"] == 1  # nobody knows any more whom to send it to
    assert dispatch(campaign="other", resend_uncertain=True, resend_refused=True, retention=3600)["planned"] == 0


# Time


def test_nothing_is_sent_once_it_is_too_late(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(converters, "MAX_BATCH", 1)
    warehouse.fill(3)
    real = CampaignTable.record
    over = datetime.now(UTC) + timedelta(seconds=4)  # a busy machine plans and sends the first in less

    def record(self: CampaignTable, claim: Claim, outcomes: Any) -> None:
        real(self, claim, outcomes)
        time.sleep(max(0.0, (over - datetime.now(UTC)).total_seconds()) + 0.01)

    monkeypatch.setattr(CampaignTable, "record", record)
    with pytest.raises(WtsChatFailedError, match=r"send_before: .* is over"):
        dispatch(send_before=over)
    assert warehouse.statuses() == {"sent": 1, "planned": 2}


def test_messages_are_scheduled_one_by_one(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(3)
    moment = {"schedule_at": "2999-12-24 09:00", "timezone": "America/Sao_Paulo"}
    with pytest.raises(WtsChatFailedError, match=r"max_scheduled: .* more than 2 recipients"):
        dispatch(**moment, max_scheduled=2)
    simulator.inject("lost_after", on="POST /chat/v1/scheduled-message")
    result = dispatch(**moment)
    assert (result["sent"], result["uncertain"]) == (2, 1)
    assert [write.body["scheduling"] for write in simulator.books] == ["2999-12-24T12:00:00.000000Z"] * 3
    assert simulator.books[0].body["templateParams"]["parameters"]["nome"] == "Cliente 1"
    assert dispatch(**moment) == result
    assert len(simulator.books) == 3


# Follow-up


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look sooner and faster."""
    monkeypatch.setattr(engine, "LOOKS", (timedelta(seconds=0.2), timedelta(seconds=0.5)))
    monkeypatch.setattr(engine, "_HOURLY", timedelta(seconds=0.3))
    monkeypatch.setattr(following, "LOOK_PAUSE", 0.0)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("options", [{"message_step_s": 0.3, "fail_share": 0.3}])
def test_messages_are_followed(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(20)
    result = dispatch(wait_for_status="DELIVERED", deferrable=False)
    found = result["delivery"]
    assert sum(found.values()) == 20
    assert set(found) <= {"DELIVERED", "READ", "FAILED"}
    assert found["FAILED"] > 0
    assert all(row.reason for row in warehouse.rows() if row.delivery == "FAILED")
    looks = Counter(entry.path for entry in simulator.requests if entry.path.endswith("/message"))
    failed = warehouse.execute("SELECT session_id FROM wtschat_campaign WHERE delivery = 'FAILED'")
    assert looks.total() > 20
    assert all(looks[f"/chat/v1/session/{session}/message"] < 4 for (session,) in failed)  # final ones are left out
    for most in (found["FAILED"], 0.9, "0.5"):
        assert dispatch(wait_for_status="DELIVERED", max_failed=most) == result
    for most in (0, 0.01):
        with pytest.raises(WtsChatFailedError, match=r"max_failed: \d+ of 20 messages"):
            dispatch(wait_for_status="DELIVERED", max_failed=most)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("options", [{"message_step_s": 3600.0}])
def test_following_ends_in_time(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(2)
    simulator.inject("404", on="GET /chat/v1/session/{id}/message")
    simulator.inject("502", on="GET /chat/v1/session/{id}/message", skip=3, times=1)
    result = dispatch(wait_for_status="READ", follow_up_for=0.9, deferrable=False)
    assert result["delivery"] == {"QUEUED": 2}
    # Later still it looks once more, and ends.
    assert dispatch(wait_for_status="READ", follow_up_for=0.9, deferrable=False) == result


def test_looks_come_after_minutes_and_then_every_hour():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    looks = engine.looks(start)
    assert [int((next(looks) - start).total_seconds() / 60) for _ in range(7)] == [1, 5, 15, 60, 120, 180, 240]
    assert pytest.approx(0.24) == following.LOOK_PAUSE  # 500 in 2 minutes, half of what the API allows


def test_deferring_holds_no_worker_and_repeats_nothing(
    warehouse: Warehouse, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
):
    warehouse.fill(3)
    operator = SqlToWtsChatTemplateOperator(**arguments(simulator, wait_for_status="SENT", deferrable=True))
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context())
    path, kwargs = deferred.value.trigger.serialize()
    assert path == "airflow_provider_wtschat.triggers.campaign.CampaignTrigger"
    assert list(json.loads(json.dumps(kwargs))) == ["look_at", "purpose"]
    again = SqlToWtsChatTemplateOperator(**arguments(simulator, wait_for_status="SENT", deferrable=True))
    result = again.execute_complete(context(), {"status": "due"})
    assert sum(result["delivery"].values()) == 3
    assert len(simulator.sends) == 3


async def test_the_trigger_only_waits():
    from airflow_provider_wtschat.triggers.campaign import CampaignTrigger

    started = time.monotonic()
    moment = (datetime.now(UTC) + timedelta(seconds=0.2)).isoformat()
    events = [event async for event in CampaignTrigger(look_at=moment).run()]
    assert [event.payload for event in events] == [{"status": "due", "purpose": "look"}]
    assert time.monotonic() - started > 0.1
    _, kwargs = CampaignTrigger(look_at="2020-01-01T00:00:00Z").serialize()
    assert [event.payload async for event in CampaignTrigger(**kwargs).run()] == [{"status": "due", "purpose": "look"}]


# In a real Airflow


def make_dag(simulator: Simulator, **changed: Any) -> DAG:
    with DAG("test_dispatch", schedule=None, start_date=pendulum.datetime(2026, 1, 1)) as dag:
        SqlToWtsChatTemplateOperator(**arguments(simulator, **changed))
    return dag


@pytest.mark.airflow
@pytest.mark.usefixtures("soon")
def test_a_dispatch_in_a_dag(
    warehouse: Warehouse,
    simulator: Simulator,
    run_dag: Any,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
):
    warehouse.fill(30, name=lambda i: "Zacarias Segredo")
    simulator.inject("lost_after", on=SEND)
    caplog.set_level(logging.INFO)
    dag = make_dag(simulator, campaign="of {{ ds }}", wait_for_status="SENT", deferrable=True, dry_run="{{ 'false' }}")
    run = run_dag(dag, logical_date=pendulum.datetime(2026, 3, 1))
    assert run.state == "success", run.errors
    result = run.xcom("dispatch")
    assert (result["campaign"], result["sent"]) == ("of 2026-03-01", 30)
    assert sum(result["delivery"].values()) == 30
    again = run_dag(dag, logical_date=pendulum.datetime(2026, 3, 1))
    assert again.xcom("dispatch") == result
    assert len(sent(simulator)) == len(set(sent(simulator))) == 30
    out, err = capfd.readouterr()
    logged = out + err + caplog.text + json.dumps(result)
    assert "Planned 30 recipients" in logged
    for secret in ("Zacarias", "R$ 7,00", "90000-0007", "5511900000007", "11900000007", simulator.token):
        assert secret not in logged


@pytest.mark.airflow
def test_the_query_may_be_a_file(warehouse: Warehouse, simulator: Simulator, run_dag: Any, tmp_path: Any):
    warehouse.fill(5)
    (tmp_path / "customers.sql").write_text("SELECT * FROM customers WHERE id > {{ params.above }} ORDER BY id")
    with DAG(
        "test_file",
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1),
        template_searchpath=str(tmp_path),
        params={"above": 3},
    ) as dag:
        SqlToWtsChatTemplateOperator(**arguments(simulator, sql="customers.sql", max_recipients="{{ params.above }}"))
    assert run_dag(dag).xcom("dispatch")["sent"] == 2


def test_a_table_needs_a_database_that_keeps_the_promise(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dialects.Sqlite, "drivers", frozenset())
    with pytest.raises(WtsChatError, match="SQLite, PostgreSQL or MySQL; the connection's driver is sqlite3"):
        CampaignTable(warehouse.hook, "t", "c").create()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sql": "SELECT * FROM nowhere"}, "sql: the query of the connection 'warehouse' failed with .*nowhere"),
        ({"sql": "SELEC"}, "sql: the query of the connection 'warehouse' failed with "),
    ],
)
def test_what_the_database_refuses_is_said_in_a_sentence_and_not_tried_again(
    any_warehouse: Warehouse, simulator: Simulator, dispatch: Try, changed: dict[str, Any], said: str
):
    any_warehouse.fill(1)
    with pytest.raises(WtsChatFailedError, match=rf"(?s){said}.*A retry does not help"):
        dispatch(**changed)


def test_a_table_that_cannot_be_used_is_said_in_a_sentence(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(1)
    warehouse.execute("CREATE TABLE other (campaign INTEGER)")
    with pytest.raises(WtsChatFailedError, match="table: other of the connection 'warehouse' failed with"):
        dispatch(table="other")
    with pytest.raises(WtsChatFailedError, match=r"table: nowhere\.x of the connection 'warehouse' failed with"):
        dispatch(table="nowhere.x")


def test_a_database_that_is_gone_is_worth_a_retry(
    postgres: str, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "_PAUSE", 0.01)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**json.loads(postgres), "port": 1}))
    with pytest.raises(WtsChatError, match=r"table: .* failed with OperationalError: .*A retry may help") as raised:
        dispatch()
    assert raised.value.retryable


def test_a_login_needs_no_right_to_create_where_the_table_is_there(
    postgres: str, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", postgres)
    warehouse = Warehouse(postgres)
    warehouse.fill(3)
    for table in (CampaignTable(warehouse.hook, "wtschat_campaign", "c"), SuppressionTable(warehouse.hook)):
        table.create()
        table.close()
    role = f"sender{uuid4().hex[:8]}"
    warehouse.execute(
        f"REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE {role} LOGIN;"
        f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}"
    )
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**json.loads(postgres), "login": role}))
    assert dispatch()["sent"] == 3
    with pytest.raises(WtsChatFailedError, match=r"table: another of .* permission denied .*A retry does not help"):
        dispatch(table="another", campaign="x")


def test_a_table_without_transactions_is_refused(
    mariadb: str, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", mariadb)
    warehouse = Warehouse(mariadb)
    warehouse.fill(3)
    dispatch(campaign="first")
    warehouse.execute("ALTER TABLE wtschat_campaign ENGINE=MyISAM")
    with pytest.raises(WtsChatFailedError, match=r"table: .* the engine MyISAM, which knows no transactions"):
        dispatch()
    assert len(simulator.sends) == 3


@pytest.mark.airflow
def test_several_workers_share_a_dispatch(warehouse: Warehouse, simulator: Simulator, run_dag: Any):
    warehouse.fill(30)
    with DAG("test_workers", schedule=None, start_date=pendulum.datetime(2026, 1, 1)) as dag:
        SqlToWtsChatTemplateOperator.partial(**arguments(simulator)).expand_kwargs([{}, {}, {}])
    run = run_dag(dag)
    assert run.states == {"dispatch": ["success"] * 3}
    assert run.xcom("dispatch", map_index=2)["sent"] == 30
    assert len(sent(simulator)) == len(set(sent(simulator))) == 30


@pytest.mark.airflow
def test_an_execution_timeout_ends_the_task_and_leaves_the_truth(
    warehouse: Warehouse, simulator: Simulator, run_dag: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(converters, "MAX_BATCH", 5)
    warehouse.fill(15)
    simulator.inject("slow", on=SEND, skip=1, delay_s=8)
    dag = make_dag(simulator, execution_timeout=timedelta(seconds=2))
    try:
        assert run_dag(dag).state == "failed"
    except AirflowTaskTimeout:
        assert AIRFLOW_2  # where dag.test() lets it through
    assert warehouse.statuses() == {"sent": 5, "uncertain": 5, "planned": 5}
    dag = make_dag(simulator)
    assert run_dag(dag).state == "success"
    assert len(sent(simulator)) == len(set(sent(simulator))) == 15
    assert warehouse.statuses() == {"sent": 15}


def test_errors_name_no_person(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(3, phone=lambda i: "Zacarias", name=lambda i: "Segredo")
    with pytest.raises(AirflowException) as raised:
        dispatch()
    error: BaseException | None = raised.value
    while error is not None:
        assert "Zacarias" not in str(error)
        error = error.__cause__
    assert isinstance(raised.value, WtsChatError)


def test_rows_need_little_memory(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    """The operator itself keeps no row: what it holds is a claim."""
    held = SimpleNamespace(most=0)
    real = CampaignTable._query

    def query(self: CampaignTable, *args: Any, **kwargs: Any) -> list[Any]:
        rows = real(self, *args, **kwargs)
        held.most = max(held.most, len(rows))
        return rows

    warehouse.fill(1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CampaignTable, "_query", query)
        dispatch()
    assert held.most == 100

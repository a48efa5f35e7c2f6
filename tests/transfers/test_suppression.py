"""Who must not be written to: left out when a campaign is planned, and again before each request."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from airflow_provider_wtschat.api.quiet import QuietHours
from airflow_provider_wtschat.campaigns import dispatch as engine
from airflow_provider_wtschat.campaigns import following, people
from airflow_provider_wtschat.campaigns.people import SuppressionTable, person, spellings
from airflow_provider_wtschat.campaigns.replies import is_opt_out
from airflow_provider_wtschat.campaigns.table import CampaignTable, sender_id
from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.operators.campaign import (
    WtsChatCampaignReportOperator,
    WtsChatErasePersonOperator,
    WtsChatOptOutOperator,
)
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator
from tests.transfers.conftest import SEND, Warehouse, arguments, context

Try = Callable[..., dict[str, Any]]


def number(i: int) -> str:
    return f"+55|119{i:08}"


def told(simulator: Simulator) -> set[int]:
    """Return which customers got a message."""
    return {int(str(send.recipient)[-8:]) for send in simulator.sends}


def suppress(warehouse: Warehouse, *customers: int) -> None:
    table = SuppressionTable(warehouse.hook)
    table.create()
    marks = {table.pseudonym(person(f"+55119{i:08}")): "complained" for i in customers}
    assert table.add(marks, "test") == len(customers)
    assert table.add(marks, "test") == 0
    table.close()


def left_out(warehouse: Warehouse) -> dict[int, str]:
    rows = [row for row in warehouse.rows() if row.status == "suppressed"]
    assert all((row.phone, row.content, row.message_id) == (None, None, None) for row in rows)
    return {int(row.row_key): row.reason for row in rows}


def account(simulator: Simulator) -> None:
    """Let the account have a contact who is blocked, one who is archived, and one with a tag."""
    world = simulator.world
    tag = next(iter(world.tags))
    world.create_contact(phone=number(1), status="BLOCKED")
    world.create_contact(phone=number(2), status="ARCHIVED")
    world.create_contact(phone=number(3), tag_ids=(tag.id,))
    world.create_contact(phone=number(4))


def test_people_are_left_out_when_a_campaign_is_planned(any_warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    account(simulator)
    contact = simulator.world.create_contact(phone=number(9))
    tag = next(iter(simulator.world.tags))["name"]
    any_warehouse.fill(12)
    any_warehouse.execute("CREATE TABLE opt_outs (who VARCHAR(60))")
    names = ["(11) 90000-0005", "+55 11 0000-0006", "5511900000007", None, " ", contact.id]
    any_warehouse.execute("INSERT INTO opt_outs VALUES (?)", [(name,) for name in names])
    suppress(any_warehouse, 8)
    exclusions = {"exclude_sql": "SELECT who FROM opt_outs", "exclude_tags": [tag]}
    rehearsal = dispatch(**exclusions, dry_run=True)
    assert (rehearsal["recipients"], rehearsal["suppressed"]) == (5, 7)
    result = dispatch(**exclusions, max_failed=0)
    assert (result["sent"], result["suppressed"], result["recipients"]) == (5, 7, 12)
    assert left_out(any_warehouse) == {
        1: "BLOCKED contact",
        2: "ARCHIVED contact",
        3: f"contact with the tag {tag!r}",
        5: "exclude_sql names this recipient",
        7: "exclude_sql names this recipient",
        8: "complained",
        9: "exclude_sql names this recipient",
    }
    assert told(simulator) == {4, 6, 10, 11, 12}
    everybody = {"include_blocked": True, "ignore_suppression": "yes"}
    assert dispatch(campaign="to all", **everybody)["sent"] == 12


def test_people_are_left_out_who_asked_after_the_planning(
    any_warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(people, "REFRESH_EVERY", 0.0)
    any_warehouse.fill(250)
    any_warehouse.execute("CREATE TABLE opt_outs (who VARCHAR(60))")
    contact, tagged = (simulator.world.create_contact(phone=number(i)) for i in (150, 170))
    tag, hour = next(iter(simulator.world.tags)), 3600 * 10**6
    simulator.world.contacts.put(replace(tagged, created=tagged.created - hour, updated=tagged.updated - hour))
    suppress(any_warehouse)
    real, requests = CampaignTable.record, iter(range(9))

    def record(self: CampaignTable, claim: Any, outcomes: Any) -> None:
        real(self, claim, outcomes)
        if next(requests) == 0:
            suppress(any_warehouse, 7, 140)
            simulator.world.change_contact(contact.id, status="BLOCKED")
            any_warehouse.execute("INSERT INTO opt_outs VALUES (?)", [("11900000160",)])
            # Whether a tag counts as a change of the contact is not known; here it does not.
            stored = simulator.world.contacts.get(tagged.id)
            assert stored is not None
            simulator.world.contacts.put(replace(stored, tag_ids=(tag.id,)))

    monkeypatch.setattr(CampaignTable, "record", record)
    result = dispatch(exclude_sql="SELECT who FROM opt_outs", exclude_tags=[tag["name"]])
    assert (result["sent"], result["suppressed"]) == (246, 4)
    assert set(left_out(any_warehouse)) == {140, 150, 160, 170}
    assert told(simulator) == set(range(1, 251)) - {140, 150, 160, 170}


def test_a_campaign_of_an_earlier_version_leaves_people_out(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    """Its rows have nothing that stands for a person but the number."""
    warehouse.fill(3)
    with SqlToWtsChatTemplateOperator(**arguments(simulator))._dispatch(context()) as planner:
        planner.table.create()
        planner._people.create()
        planner._plan()
    warehouse.execute("UPDATE wtschat_campaign SET person = NULL, phone = substr(phone, 2) WHERE seq > 0")
    suppress(warehouse, 2)
    assert (dispatch()["sent"], set(left_out(warehouse))) == (2, {2})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"exclude_sql": "SELECT 'call me'"}, "exclude_sql: row 1 has neither a phone number nor a contact id"),
        ({"exclude_sql": "SELECT nothing FROM nowhere"}, "exclude_sql: the query of the connection 'warehouse' failed"),
        ({"exclude_tags": "opt-oot"}, "exclude_tags: .* no tag 'opt-oot'"),
        ({"include_blocked": "perhaps"}, "include_blocked: "),
        ({"suppression_table": "x; DROP TABLE customers"}, "suppression_table: .* a name such as"),
    ],
)
def test_nobody_is_written_to_where_it_is_not_known_who_must_not_be(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, changed: dict[str, Any], said: str
):
    warehouse.fill(2)
    with pytest.raises(WtsChatFailedError, match=said):
        dispatch(**changed)
    assert not simulator.sends


def test_a_query_that_is_refused_lets_go_of_the_database(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(2500)
    with pytest.raises(WtsChatFailedError, match="exclude_sql: row 1 ") as refused:
        dispatch(exclude_sql="SELECT name FROM customers", max_recipients=5000)
    # An open reader of SQLite blocks who writes.
    warehouse.execute("DELETE FROM customers")
    assert refused


def test_a_token_that_may_not_read_contacts_writes_to_nobody(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(2)
    simulator.inject("401", on="GET /core/v1/contact", times=None)
    with pytest.raises(WtsChatFailedError, match=r"include_blocked, .* cannot be read, so nobody is written to"):
        dispatch()
    assert not simulator.sends
    assert dispatch(include_blocked=True)["sent"] == 2


def test_what_it_costs(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    """Lists, and not a request per row."""
    for i in range(300):
        simulator.world.create_contact(phone=number(5000 + i), status="BLOCKED")
    warehouse.fill(1000)
    dispatch()
    asked = [entry.path for entry in simulator.requests if "/contact" in entry.path]
    assert len(asked) <= 6


@pytest.mark.parametrize(
    "reason", ["(#131050) User has stopped receiving marketing messages", "Erro 131026: Message undeliverable"]
)
def test_whoever_wants_no_more_is_remembered(
    any_warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch, reason: str
):
    any_warehouse.fill(5)
    real = simulator.application._perform

    def perform(call: Any) -> Any:
        answer = real(call)
        for result in (answer or {}).get("results") or () if isinstance(answer, dict) else ():
            if result["senderId"] in unhappy:
                result.update(status="FAILED", failedReason=reason)
        return answer

    unhappy = {sender_id("reminders", "2")}
    monkeypatch.setattr(simulator.application, "_perform", perform)
    assert dispatch()["refused"] == 1
    assert [row.reason for row in any_warehouse.rows() if row.status == "refused"] == [reason]
    assert dispatch(campaign="next")["suppressed"] == 1
    assert left_out(any_warehouse) == {2: reason}
    assert dispatch(campaign="all the same", ignore_suppression=True)["sent"] == 5


def test_a_failure_that_comes_later_is_remembered_too(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine, "LOOKS", (timedelta(seconds=0.1),))
    monkeypatch.setattr(following, "LOOK_PAUSE", 0.0)
    real = simulator.application._perform

    def perform(call: Any) -> Any:
        answer = real(call)
        if call.operation.key == "GET /chat/v1/session/{id}/message":
            for message in answer["items"]:
                message.update(status="FAILED", failedReason="(#131026) Message undeliverable")
        return answer

    monkeypatch.setattr(simulator.application, "_perform", perform)
    warehouse.fill(2)
    assert dispatch(wait_for_status="READ", follow_up_for=0.5)["delivery"] == {"FAILED": 2}
    assert dispatch(campaign="next")["suppressed"] == 2


def test_the_table_holds_no_number(any_warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    any_warehouse.fill(2)
    suppress(any_warehouse, 1)
    dispatch()
    kept = json.dumps(any_warehouse.execute("SELECT person, reason, source, since FROM wtschat_suppression"))
    kept += json.dumps(any_warehouse.execute("SELECT * FROM wtschat_campaign WHERE seq > 0"))
    assert "90000000" not in kept
    other = SuppressionTable(any_warehouse.hook, "another")
    other.create()
    assert other.pseudonym("+551100000001") not in kept  # each table has a secret of its own
    other.close()


# Opting out


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("SAIR", True), ("sair.", True), ("Stop!", True), ("parar por favor", True), ("Quero SAIR da lista", True),
        ("não quero receber mais mensagens", True), ("pare de enviar", True), ("descadastrar 🙏", True), ("PARA", True),
        ("Cancelar, obrigado", True), ("opt-out", True), ("por favor me tire dessa lista", True),
        ("não quero sair", False), ("vou sair agora", False), ("nao pare", False), ("não quero cancelar", False),
        ("como faço para sair?", False), ("quero receber", False), ("por favor", False), ("para mim", False),
        ("nonstop", False), ("parar o carro", False), ("", False), (None, False), ("🙏", False), ("obrigado", False),
    ],
)  # fmt: skip
def test_a_reply_asks_to_be_left_alone_or_does_not(text: str | None, asks: bool):
    assert is_opt_out(text) is asks


def test_words_of_ones_own():
    assert is_opt_out("Chega!", ["chega"])
    assert not is_opt_out("SAIR", ["chega"])


def test_replies_become_opt_outs_and_tags(any_warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    world = simulator.world
    tag = next(iter(world.tags))
    contacts = [world.create_contact(phone=number(i)) for i in (1, 2)]
    any_warehouse.fill(4)
    any_warehouse.execute("CREATE TABLE replies (phone VARCHAR(40), text VARCHAR(200))")
    replies = [("+55|11900000001", "SAIR"), ("+55|11900000002", "não quero sair"), ("11900000003", "Pare!"),
               ("11900000003", "stop"), (None, "bom dia"), (None, "sair"), ("?", "sair")]  # fmt: skip
    any_warehouse.execute("INSERT INTO replies VALUES (?, ?)", replies)

    def opt_out(**changed: Any) -> dict[str, int]:
        given = {
            "sql": "SELECT phone, text FROM replies", "sql_conn_id": "warehouse", "recipient_column": "phone",
            "text_column": "text", "tag_name": tag["name"], **changed,
        }  # fmt: skip
        return WtsChatOptOutOperator(task_id="opt_out", **given).execute(context())

    # Whatever becomes of the tag, they are left out from now on, and a later try tags them.
    simulator.inject("403", on="POST /core/v1/contact/phonenumber/{phone}/tags", times=1)
    with pytest.raises(WtsChatFailedError, match="403"):
        opt_out()
    assert dispatch(campaign="at once", dry_run=True)["suppressed"] == 2
    assert opt_out() == {"replies": 7, "opt_outs": 2, "new": 0}
    asked = len(simulator.requests)
    assert opt_out() == {"replies": 7, "opt_outs": 2, "new": 0}
    assert len(simulator.requests) == asked
    assert [tag.id in world.contacts.get(contact.id).tag_ids for contact in contacts] == [True, False]
    result = dispatch()
    assert (result["sent"], set(left_out(any_warehouse))) == (2, {1, 3})
    with pytest.raises(WtsChatFailedError, match="sql: the query has no column 'said'; it has phone, text"):
        opt_out(text_column="said")
    with pytest.raises(WtsChatFailedError, match="sql: the query of the connection 'warehouse' failed with"):
        opt_out(sql="SELEC")


# Erasing a person


def erase(**changed: Any) -> dict[str, int]:
    given = {"phone": "(11) 90000-0002", "table_conn_id": "warehouse", **changed}
    return WtsChatErasePersonOperator(task_id="erase", **given).execute(context())


def test_a_person_is_erased(any_warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    any_warehouse.fill(4)
    dispatch()
    dispatch(campaign="second", sql="SELECT * FROM customers WHERE id > 2")
    suppress(any_warehouse, 2, 3)
    any_warehouse.execute("CREATE TABLE contacts (id VARCHAR(40), name VARCHAR(40))")
    ids = ["0b1c2d3e-0000-4000-8000-000000000001", "0b1c2d3e-0000-4000-8000-000000000002"]
    any_warehouse.execute("INSERT INTO contacts VALUES (?, ?)", [(name, "Ana") for name in ids])
    landing = {"contact_id": ids[0], "sql_conn_id": "warehouse", "landing_tables": {"contacts": "id"}}
    assert erase(**landing) == {"wtschat_campaign": 1, "wtschat_suppression": 1, "contacts": 1}
    assert erase(**landing) == {"wtschat_campaign": 0, "wtschat_suppression": 0, "contacts": 0}
    (row,) = [row for row in any_warehouse.rows() if row.row_key == "2"]
    assert (row.status, row.message_id, row.phone) == ("sent", None, None)
    assert dispatch()["sent"] == 4  # and is not written to again
    assert len(simulator.sends) == 6
    assert any_warehouse.execute("SELECT id FROM contacts") == [(ids[1],)]


def test_an_erased_person_gets_no_message_that_was_planned(
    any_warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch
):
    any_warehouse.fill(150)
    real, requests = CampaignTable.record, iter(range(9))

    def record(self: CampaignTable, claim: Any, outcomes: Any) -> None:
        real(self, claim, outcomes)
        if next(requests) == 0:
            assert erase(phone="11 90000-0120")["wtschat_campaign"] == 1

    monkeypatch.setattr(CampaignTable, "record", record)
    result = dispatch()
    assert (result["sent"], left_out(any_warehouse)) == (149, {120: "the person was erased"})
    assert 120 not in told(simulator)


def failed(attempt: Callable[[], Any]) -> None:
    with pytest.raises(WtsChatFailedError):
        attempt()


def test_what_is_uncertain_keeps_no_id_for_a_reason(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(2)
    dispatch()
    warehouse.execute("UPDATE wtschat_campaign SET status = 'uncertain', reason = 'has a message, 0b1c' WHERE seq > 0")
    assert erase()["wtschat_campaign"] == 1
    assert [row.reason for row in warehouse.rows()] == ["has a message, 0b1c", "the person was erased"]


def waits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everybody sleep until half a second after somebody was to be written to."""
    mornings: list[datetime] = []

    def next_start(self: QuietHours, number: str, now: datetime) -> datetime | None:
        if not mornings:
            mornings.append(now + timedelta(seconds=0.5))
        return mornings[0] if now < mornings[0] else None

    monkeypatch.setattr(QuietHours, "next_start", next_start)


@pytest.mark.parametrize("moment", ["claim", "record", "settle", "follow", "release", "postpone"])
def test_who_is_erased_while_a_message_is_under_way_stays_erased(
    any_warehouse: Warehouse, simulator: Simulator, dispatch: Try, monkeypatch: pytest.MonkeyPatch, moment: str
):
    """The person is erased at each step of a claim: after the row was claimed, before its answer was recorded, ..."""
    any_warehouse.fill(3)
    erased: list[int] = []
    # The first change is the update that claims the rows; the query that reads them follows.
    method = {"claim": "_change"}.get(moment, moment)
    real = getattr(CampaignTable, method)

    def called(self: CampaignTable, *args: Any, **kwargs: Any) -> Any:
        after = moment in ("claim", "release")
        result = real(self, *args, **kwargs) if after else None
        if not erased:
            erased.append(0)
            erased[0] = erase()["wtschat_campaign"]
        return result if after else real(self, *args, **kwargs)

    monkeypatch.setattr(CampaignTable, method, called)
    tries: list[Callable[[], Any]] = [dispatch, dispatch]
    if moment == "settle":
        simulator.inject("lost_after", on=SEND)
    elif moment == "release":
        simulator.inject("403", on=SEND)
        tries[0] = lambda: failed(dispatch)
    elif moment == "follow":
        tries[1] = lambda: WtsChatCampaignReportOperator(
            task_id="report", campaign="reminders", table_conn_id="warehouse"
        ).execute(context())
    elif moment == "postpone":
        waits_once(monkeypatch)
        tries = [partial(dispatch, quiet_hours="20:00-08:00")] * 2
    for attempt in tries:
        attempt()
    assert erased == [1]
    rows = (
        "SELECT status, message_id, session_id, phone, content, person, contact_id FROM wtschat_campaign WHERE row_key"
    )
    ((status, *left),) = any_warehouse.execute(f"{rows} = '2'")
    assert left == [None] * 6
    written_to = 2 in told(simulator)
    sent = moment in ("record", "settle", "follow")
    assert (status, written_to) == ("sent" if sent else "suppressed", sent)
    others = any_warehouse.execute(f"{rows} IN ('1', '3')")
    assert all(status == "sent" and message_id and session_id for status, message_id, session_id, *_ in others)
    assert len(simulator.sends) == 2 + sent


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"phone": "123"}, "phone: .* is no phone number"),
        ({"landing_tables": {"contacts": "id"}}, "landing_tables: .* give contact_id and sql_conn_id too"),
        ({"landing_tables": {"x; DROP": "id"}}, "landing_tables: .* a name such as"),
        ({"landing_tables": {"x": "id = id OR id"}}, "landing_tables.*: .* a name such as"),
    ],
)
def test_what_cannot_be_erased_is_said(warehouse: Warehouse, changed: dict[str, Any], said: str):
    with pytest.raises(WtsChatFailedError, match=said):
        erase(**changed)


def test_spellings_of_a_person():
    assert spellings(person("+5511987654321")) == ["+551187654321", "+5511987654321", "551187654321", "5511987654321"]
    assert spellings(person("+14155550134")) == ["+14155550134", "14155550134"]
    assert person("+5511932345678") == "+5511932345678"  # without its 9 it would be somebody's line at home

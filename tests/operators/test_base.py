"""What the operators share: templates, names in place of ids, errors, links."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_wtschat.exceptions import WtsChatFailedError, WtsChatServerError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.operators.base import WtsChatBaseOperator, name_argument
from airflow_provider_wtschat.operators.contact import (
    CreateContactOperator,
    UpdateContactOperator,
    UpdateContactTagsOperator,
)
from airflow_provider_wtschat.operators.file import UploadFileOperator
from airflow_provider_wtschat.operators.message import SendFileOperator, SendTemplateOperator, SendTextOperator
from airflow_provider_wtschat.operators.panel import (
    CreateCardFileNoteOperator,
    CreateCardOperator,
    DeleteCardNoteOperator,
    DuplicateCardOperator,
    GetPanelOperator,
    ListCardsOperator,
    UpdateCardOperator,
)
from airflow_provider_wtschat.operators.scheduled_message import ScheduleMessageOperator
from airflow_provider_wtschat.operators.sequence import (
    AddContactToSequenceOperator,
    RemoveContactFromSequenceOperator,
)
from airflow_provider_wtschat.operators.session import (
    AssignSessionOperator,
    ConcludeSessionOperator,
    GetSessionOperator,
    ListSessionsOperator,
    SendSessionFileOperator,
    SendSessionTemplateOperator,
    SendSessionTextOperator,
    TransferSessionOperator,
    UpdateSessionOperator,
    UpdateSessionStatusOperator,
)
from tests.conftest import AIRFLOW_2
from tests.operators.account import Account
from tests.operators.cases import operators
from tests.operators.conftest import Tries, new_dag

ID = "0b1c2d3e-0000-4000-8000-000000000001"
OTHER = "0b1c2d3e-0000-4000-8000-000000000002"
SHARED = set(dir(WtsChatBaseOperator))


@pytest.mark.parametrize("operator", sorted(operators(), key=lambda cls: cls.__name__), ids=lambda cls: cls.__name__)
class TestEveryOperator:
    """Rules that hold for each."""

    @staticmethod
    def arguments(operator: type) -> set[str]:
        return {
            name
            for cls in operator.__mro__
            if cls.__module__.startswith("airflow_provider_wtschat") and "__init__" in vars(cls)
            for name, parameter in inspect.signature(inspect.unwrap(cls.__init__)).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }

    def test_every_argument_is_templated(self, operator: type):
        assert set(operator.template_fields) == self.arguments(operator)
        assert len(set(operator.template_fields)) == len(operator.template_fields)

    def test_no_argument_shadows_what_operators_share(self, operator: type):
        assert self.arguments(operator) & SHARED - {"clear"} == set()

    def test_every_parameter_of_the_operation_can_be_given(self, operator: type):
        if not hasattr(operator, "operation"):
            return
        # What a message is made of is told by several operators.
        others = [other for other in operators() if getattr(other, "operation", None) is operator.operation]
        given = set().union(*map(self.arguments, others))
        reached = {operator.renamed.get(name, name) for name in inspect.signature(operator.operation).parameters}
        # A file goes by one of three arguments, and an upload begins with a path.
        assert reached - given <= {"file", "temp_file_id"}

    def test_every_id_by_name_has_its_argument(self, operator: type):
        assert {name_argument(argument) for argument in operator.named} <= self.arguments(operator)

    def test_docstring_says_the_operation_and_what_is_templated(self, operator: type):
        if operator.__name__ != "WtsChatOperator":
            assert any(f"``{method} /" in operator.__doc__ for method in ("GET", "POST", "PUT", "DELETE"))
        for cls in operator.__mro__:
            if cls.__module__.startswith("airflow_provider_wtschat"):
                parts = (cls.__doc__ or "").split(":param ")[1:]
                assert [
                    part.split(":")[0] for part in parts if "(templated" not in part and ", templated)" not in part
                ] == []


# Refusals

BAD: list[tuple[type, dict[str, Any], str]] = [
    (GetSessionOperator, {"session_id": ""}, "session_id"),
    (GetSessionOperator, {"session_id": "None"}, "session_id.*template"),
    (GetSessionOperator, {"session_id": None}, "session_id"),
    (GetSessionOperator, {"session_id": ID, "include_details": ["Agent"]}, "include_details.*AgentDetails"),
    (ConcludeSessionOperator, {"session_id": ID, "stop_bot_in_execution": "perhaps"}, "stop_bot_in_execution"),
    (UpdateSessionStatusOperator, {"session_id": ID, "status": "UNDEFINED"}, "status.*PENDING"),
    (UpdateSessionStatusOperator, {"session_id": ID, "status": "OPEN"}, "status.*PENDING"),
    (UpdateSessionOperator, {"session_id": ID}, "nothing to update"),
    (UpdateSessionOperator, {"session_id": ID, "number": "1", "clear": ["number"]}, "number"),
    (UpdateSessionOperator, {"session_id": ID, "clear": ["title"]}, "clear.*department_id"),
    (UpdateSessionOperator, {"session_id": ID, "end_at": "soon"}, "end_at"),
    (UpdateSessionOperator, {"session_id": "x", "department_name": "Vendas"}, "session_id"),
    (UpdateSessionOperator, {"session_id": ID, "department_name": "None"}, "department_name.*template"),
    (CreateCardOperator, {"panel_name": "Vendas", "step_name": " ", "title": "x"}, "step_name.*template"),
    (CreateCardOperator, {"panel_name": "None", "step_name": "Lead", "title": "x"}, "panel_name.*template"),
    (TransferSessionOperator, {"session_id": ID}, "department"),
    (
        TransferSessionOperator,
        {"session_id": ID, "department_id": ID, "department_name": "Vendas"},
        "department_id, department_name",
    ),
    (SendSessionTextOperator, {"session_id": ID, "text": " "}, "text"),
    (SendSessionTextOperator, {"session_id": ID, "text": "Oi", "synchronous": "later"}, "synchronous"),
    (SendSessionTextOperator, {"session_id": ID, "text": "Oi", "may_repeat": "maybe"}, "may_repeat"),
    (SendSessionFileOperator, {"session_id": ID}, "file_url, file_id, file_path.*none"),
    (
        SendSessionFileOperator,
        {"session_id": ID, "file_url": "https://example.com/a", "file_id": ID},
        "file_url and file_id",
    ),
    (SendSessionFileOperator, {"session_id": "7", "file_path": __file__}, "session_id"),
    (SendSessionFileOperator, {"session_id": ID, "file_path": "/no/such/file"}, "file_path.*no file"),
    (SendSessionTemplateOperator, {"session_id": ID}, "template_id"),
    (
        SendSessionTemplateOperator,
        {"session_id": ID, "template_id": ID, "template_name": "x"},
        "template_id, template_name",
    ),
    (SendTextOperator, {"text": "Oi"}, "to, session_id"),
    (SendTextOperator, {"text": "Oi", "to": "123"}, "to: "),
    (SendTextOperator, {"text": "Oi", "to": "11 90000-0001", "delay_typing": 26}, "delay_typing"),
    (SendFileOperator, {"to": "11 90000-0001"}, "file_url, file_id, file_path"),
    (SendFileOperator, {"to": "11 90000-0001", "file_url": "ftp://x/y"}, "file_url.*https"),
    (SendFileOperator, {"to": "11 90000-0001", "file_id": "7"}, "file_id"),
    (SendFileOperator, {"to": "11 90000-0001", "file_url": "https://example.com/a.mp3", "text": "Ouça"}, "text.*audio"),
    (
        SendFileOperator,
        {"to": "11 90000-0001", "file_url": "https://example.com/a", "file_kind": "PAPER"},
        "file_kind.*IMAGE",
    ),
    (SendTemplateOperator, {"template_name": "boas_vindas", "from_channel": "1133330001"}, "to: is required"),
    (SendTemplateOperator, {"template_id": ID, "to": "11 90000-0001"}, "^from_channel, from_channel_name: is required"),
    (ScheduleMessageOperator, {"to": "11 90000-0001", "scheduling": "soon", "template_name": "x"}, "scheduling"),
    (ScheduleMessageOperator, {"to": "11 90000-0001", "scheduling": "2031-01-01"}, "bot_key|template_id"),
    (
        ScheduleMessageOperator,
        {"to": "11 90000-0001", "scheduling": "2026-01-01 09:00", "template_id": ID, "timezone": "America/Sao_Paulo"},
        "^scheduling: 2026-01-01T12:00:00.000000Z has passed.*America/Sao_Paulo",
    ),
    (CreateContactOperator, {}, "contact"),
    (CreateContactOperator, {"name": "Eva", "contact_email": "None"}, "^contact_email"),
    (
        CreateContactOperator,
        {"phone_number": "11 90000-0001", "upsert": True, "get_if_exists": True},
        "upsert, get_if_exists",
    ),
    (UpdateContactOperator, {"contact_id": ID}, "nothing to update"),
    (UpdateContactOperator, {"contact_id": ID, "contact_email": "a@b.c", "clear": ["contact_email"]}, "clear"),
    (UpdateContactOperator, {"contact_id": ID, "status": "GONE"}, "status.*ARCHIVED"),
    (UpdateContactTagsOperator, {"tag_names": ["VIP"]}, "contact_id, phone_number"),
    (
        UpdateContactTagsOperator,
        {"contact_id": ID, "phone_number": "1", "tag_names": ["VIP"]},
        "contact_id, phone_number",
    ),
    (UpdateContactTagsOperator, {"contact_id": ID}, "tag_ids, tag_names"),
    (
        UpdateContactTagsOperator,
        {"contact_id": ID, "tag_names": "VIP", "tags_operation": "Add"},
        "^tags_operation.*InsertIfNotExists",
    ),
    (GetPanelOperator, {}, "panel_id"),
    (ListCardsOperator, {"step_name": "Lead"}, "panel"),
    (ListCardsOperator, {"panel_id": ID, "step_id": ID, "step_name": "Lead"}, "step_id, step_name"),
    (ListCardsOperator, {"panel_id": ID, "statuses": ["DONE"]}, "statuses.*WON"),
    (CreateCardOperator, {"title": "x"}, "^step_id, step_name: "),
    (DuplicateCardOperator, {"card_id": ID, "copy_to_step_id": "x"}, "^copy_to_step_id: "),
    (SendTextOperator, {"text": "Oi", "to": "11 90000-0001", "bot_key": ID, "sender_id": "x"}, "^sender_id, bot_key"),
    (SendTextOperator, {"text": "Oi", "session_id": ID, "synchronous": True}, "^session_id, synchronous"),
    (SendTextOperator, {"text": "Oi", "to": "11 90000-0001", "synchronous": "later"}, "^synchronous"),
    (ListSessionsOperator, {"channel_ids": [ID], "channel_names": ["Matriz"]}, "^channel_ids, channel_names"),
    (AssignSessionOperator, {"session_id": ID}, "^user_id, user_name: "),
    (CreateCardOperator, {"title": "x", "step_name": "Lead"}, "step_name.*panel_id or panel_name"),
    (CreateCardOperator, {"step_id": ID}, "title"),
    (CreateCardOperator, {"step_id": ID, "title": "x", "monetary_amount": "much"}, "monetary_amount"),
    (UpdateCardOperator, {"card_id": ID}, "nothing to update"),
    (UpdateCardOperator, {"card_id": ID, "archived": True, "status": "WON"}, "archived, status"),
    (UpdateCardOperator, {"card_id": ID, "lost_reason_id": ID}, "lost_reason_id"),
    (DuplicateCardOperator, {"card_id": ID, "copy_fields": ["Everything"]}, "copy_fields"),
    (DuplicateCardOperator, {"card_id": ID, "copy_to_step_name": "Lead"}, "^copy_to_step_name.*panel"),
    (CreateCardFileNoteOperator, {"card_id": ID, "file_urls": []}, "file_urls"),
    (AddContactToSequenceOperator, {"sequence_id": ID}, "contact_id, phone_number"),
    (AddContactToSequenceOperator, {"contact_id": ID}, "sequence_id"),
    (UploadFileOperator, {"file_path": "None"}, "file_path"),
]


@pytest.mark.parametrize(
    ("operator", "arguments", "named"), BAD, ids=[f"{operator.__name__}-{n}" for n, (operator, _, _) in enumerate(BAD)]
)
def test_bad_input_is_refused_before_any_request(
    account: Account, once: Tries, operator: type, arguments: dict[str, Any], named: str
):
    before = account.requests
    with pytest.raises(WtsChatFailedError, match=named):
        once(operator(task_id="task", **arguments))
    assert account.requests == before


@pytest.mark.parametrize(
    ("operator", "arguments", "named"),
    [
        (TransferSessionOperator, {"session_id": ID, "department_name": "vendas"}, "department_name.*'Vendas'"),
        (ListSessionsOperator, {"user_name": "Zé"}, "user_name.*'Ana Souza'"),
        (ListSessionsOperator, {"channel_names": ["Matriz", "Sede"]}, "^channel_names.*'Matriz'"),
        (
            SendTextOperator,
            {"to": "11 90000-0001", "text": "Oi", "from_channel_name": "Sede"},
            "from_channel_name.*'Matriz'",
        ),
        (
            SendTextOperator,
            {"to": "11 90000-0001", "text": "Oi", "from_channel_name": "@exemplo"},
            "from_channel_name.*number",
        ),
        (CreateCardOperator, {"panel_name": "Compras", "step_name": "x", "title": "y"}, "panel_name.*'Vendas'"),
        (CreateCardOperator, {"panel_name": "Vendas", "step_name": "x", "title": "y"}, "step_name.*'Proposta'"),
        (
            ListCardsOperator,
            {"panel_name": "Vendas", "responsible_user_name": "Zé"},
            "^responsible_user_name.*'Ana Souza'",
        ),
        (
            CreateContactOperator,
            {"phone_number": "11900000001", "custom_fields": {"limit": 1}},
            "custom_fields.*limite",
        ),
        (CreateContactOperator, {"phone_number": "11900000001", "custom_fields": {"pontos": "x"}}, "pontos"),
        (CreateCardOperator, {"step_id": OTHER, "title": "y", "custom_fields": {"valor": 1}}, "step_id"),
    ],
)
def test_an_unknown_name_shows_the_candidates(
    account: Account, once: Tries, operator: type, arguments: dict[str, Any], named: str
):
    books = len(account.simulator.books)
    with pytest.raises(WtsChatFailedError, match=named):
        once(operator(task_id="task", **arguments))
    assert len(account.simulator.books) == books


def test_a_list_of_names_is_read_once(account: Account, once: Tries):
    operator = UpdateSessionOperator(
        task_id="update", session_id=account.session(), user_name="Ana Souza", department_name="Vendas"
    )
    once(operator)
    before = account.requests
    once(operator)
    assert account.requests == before + 1


# Errors


@pytest.mark.parametrize(
    ("fault", "kind"), [("401", WtsChatFailedError), ("404", WtsChatFailedError), ("403", WtsChatFailedError)]
)
def test_what_no_retry_mends_fails_for_good(account: Account, once: Tries, fault: str, kind: type):
    account.simulator.inject(fault, times=None)
    with pytest.raises(kind) as failed:
        once(GetSessionOperator(task_id="get", session_id=account.session()))
    assert isinstance(failed.value, AirflowFailException)
    assert failed.value.status == int(fault)
    assert failed.value.retryable is False


def test_what_may_pass_is_left_to_retries(account: Account, once: Tries):
    account.simulator.inject("502", times=None)
    operator = GetSessionOperator(task_id="get", session_id=account.session())
    operator.__dict__["hook"] = WtsChatHook(max_retries=1)
    with pytest.raises(WtsChatServerError) as failed:
        once(operator)
    assert not isinstance(failed.value, AirflowFailException)


def test_deleting_what_is_gone_is_done(account: Account, tries: Tries):
    card_id = account.card()["id"]
    operator = DeleteCardNoteOperator(task_id="delete", card_id=card_id, note_id=account.note(card_id)["id"])
    tries(operator)
    assert tries(operator) is None
    remove = RemoveContactFromSequenceOperator(
        task_id="remove", sequence_name="Pós-venda", contact_id=account.contact().id
    )
    tries(remove)
    tries(remove)


def test_a_concluded_session_stays_an_error_where_it_is_one(account: Account, once: Tries):
    session_id = account.session(status="PENDING")
    account.simulator.inject("entity_error_save", on="PUT /chat/v1/session/{id}/complete")
    with pytest.raises(WtsChatFailedError, match="ENTITY_ERROR_SAVE"):
        once(ConcludeSessionOperator(task_id="conclude", session_id=session_id))


# Rendering

VALUES = {
    "session_id": "{{ params.session_id }}",
    "metadata": {"order": "{{ params.order }}", "plain": "{{ dag.dag_id }}"},
    "clear": "{{ params.emptied }}",
    "stop_bot_in_execution": "{{ params.flag }}",
    "user_name": "{{ params.user }}",
}


@pytest.mark.airflow
@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
def test_arguments_survive_rendering(account: Account, run_dag: Any, native: bool):
    """A list, a flag and a missing value come out of a template as text, or as what they are."""
    made = [account.session(department_id=account.department("Vendas")) for _ in range(3)]
    params = {"order": 17, "emptied": ["department_id", "number"], "flag": False, "user": "Ana Souza"}
    with new_dag(params=params | {"session_id": made[0]}, render_template_as_native_obj=native) as dag:
        UpdateSessionOperator(task_id="plain", **VALUES)
        UpdateSessionOperator.partial(
            task_id="mapped", **{name: value for name, value in VALUES.items() if name != "session_id"}
        ).expand(session_id=made[1:])
        ListSessionsOperator(
            task_id="list",
            contact_id=account.world.sessions.get(made[0]).contact_id,
            status="{{ ['PENDING', 'STARTED'] }}",
            max_rows="{{ 5 }}",
            fields="{{ ['id'] }}",
            created_after="{{ '2026-01-01' }}",
        )
        CreateCardOperator(
            task_id="card",
            step_id=account.step("Suporte", "Tratado"),
            title="{{ params.order }}",
            monetary_amount="{{ 10.5 }}",
            position="{{ 3 }}",
            custom_fields={"valor": "{{ 2.5 }}", "observador": "{{ ['Pessoa A', 'Pessoa B'] }}"},
        )
    run = run_dag(dag)
    assert run.errors == []
    rows = [run.xcom("plain"), *(run.xcom("mapped", map_index=n) for n in (0, 1))]
    assert [row["id"] for row in rows] == made
    for session_id in made:
        row = account.world.sessions.get(session_id)
        assert (row.department_id, row.number, row.user_id) == (None, None, account.agent("Ana Souza"))
        assert {name: str(value) for name, value in row.metadata.items()} == {"order": "17", "plain": dag.dag_id}
    assert run.xcom("list") == [{"id": made[0]}]
    card = account.get(f"/crm/v2/panel/card/{run.xcom('card')['id']}?IncludeDetails=CustomFields")
    assert (card["title"], card["monetaryAmount"]) == ("17", 10.5)
    assert (card["customFields"]["valor"], card["customFields"]["observador"]) == (2.5, ["Pessoa A", "Pessoa B"])


@pytest.mark.airflow
@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
@pytest.mark.parametrize("value", [None, ""], ids=["none", "blank"])
def test_a_value_that_rendered_to_nothing_is_refused(account: Account, run_dag: Any, native: bool, value: Any):
    with new_dag(params={"value": value}, render_template_as_native_obj=native) as dag:
        GetSessionOperator(task_id="get", session_id="{{ params.value }}")
    before = account.requests
    run = run_dag(dag)
    assert run.states == {"get": "failed"}
    assert "session_id" in str(run.error("get"))
    assert account.requests == before


# Links


@pytest.mark.airflow
def test_the_link_leads_to_the_session(account: Account, run_dag: Any):
    from airflow_provider_wtschat.links import WtsChatSessionLink

    made = [account.session() for _ in range(3)]
    with new_dag() as dag:
        GetSessionOperator(task_id="plain", session_id=made[0])
        ConcludeSessionOperator.partial(task_id="mapped").expand(session_id=made[1:])
        CreateContactOperator(task_id="no_session", phone_number=account.phone(), name="Eva")
    run = run_dag(dag)
    assert run.state == "success", run.errors
    link = WtsChatSessionLink()
    for ti in run.dag_run.get_task_instances():
        task = dag.get_task(ti.task_id)
        if ti.task_id == "no_session":
            assert list(task.operator_extra_links) == []
            continue
        session_id = made[0] if ti.task_id == "plain" else made[1 + ti.map_index]
        url = run.xcom(ti.task_id, key=link.xcom_key, map_index=ti.map_index)
        assert url == account.get(f"/chat/v2/session/{session_id}")["previewUrl"]
        assert [extra.name for extra in task.operator_extra_links] == ["Open in WTS Chat"]
        if AIRFLOW_2:  # later lines read the XCom themselves
            assert link.get_link(task, ti_key=ti.key) == url


@pytest.mark.skipif(not AIRFLOW_2, reason="later lines read the XCom themselves")
def test_the_link_is_empty_where_no_address_is_known(airflow_db: Any):
    from airflow.models.taskinstancekey import TaskInstanceKey

    from airflow_provider_wtschat.links import WtsChatSessionLink

    key = TaskInstanceKey("no_dag", "no_task", "no_run", 1, -1)
    assert WtsChatSessionLink().get_link(GetSessionOperator(task_id="get", session_id=ID), ti_key=key) == ""

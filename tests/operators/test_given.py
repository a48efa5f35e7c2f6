"""An argument that was given and has no value when the task runs is refused, by every operator."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.operators.approval import WhatsAppApprovalOperator
from airflow_provider_wtschat.operators.contact import FilterContactsOperator, UpdateContactOperator
from airflow_provider_wtschat.operators.session import ConcludeSessionOperator, ListSessionsOperator
from airflow_provider_wtschat.operators.wtschat import WtsChatOperator
from tests.operators.account import Account
from tests.operators.cases import CASES, operators
from tests.operators.conftest import Tries, new_dag, render
from tests.operators.test_approval import HAS_UI

pytestmark = pytest.mark.airflow

EVERY = sorted(operators() - (set() if HAS_UI else {WhatsAppApprovalOperator}), key=lambda cls: cls.__name__)
ARGUMENTS = {case.operator: case.arguments for case in reversed(CASES)}
ARGUMENTS[WhatsAppApprovalOperator] = lambda account: {"session_id": account.session(), "subject": "Send?"}
VALUES = {"none": None, "blank": "", "none_in_words": "None", "spaces": "  "}


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
@pytest.mark.parametrize("operator", EVERY, ids=lambda cls: cls.__name__)
def test_every_argument_of_every_operator(account: Account, once: Tries, operator: type, native: bool):
    """With a template that Airflow renders to nothing, the task fails for good and asks nothing."""
    arguments, before = ARGUMENTS[operator](account), account.requests
    with new_dag(render_template_as_native_obj=native) as dag:
        for number, name in enumerate(operator.template_fields):
            value = list(VALUES)[number % len(VALUES)]
            template = "{{ values." + value + " }}"
            task = copy.copy(operator(task_id=name, **{**arguments, name: template}))
            before = account.requests
            render(task, name, {"values": VALUES, "dag": dag})
            assert getattr(task, name) != template
            with pytest.raises(WtsChatFailedError) as refused:
                once(task)
            assert str(refused.value).startswith(f"{name}: was given")
    assert account.requests == before


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
def test_a_task_that_returned_nothing_concludes_nothing(account: Account, run_dag: Any, native: bool):
    """The way it went wrong: a contact that was not found, its sessions listed, and each of them concluded."""
    for _ in range(5):
        account.session(status="PENDING")
    concluded = sum(session.status == "COMPLETED" for session in account.world.sessions)
    with new_dag(render_template_as_native_obj=native) as dag:
        find = python_task(dag, "find", None)
        none = python_task(dag, "none", [None])
        plain = ListSessionsOperator(task_id="plain", contact_id=find, fields=["id"], max_rows=5000)
        mapped = ListSessionsOperator.partial(task_id="mapped", fields=["id"], max_rows=5000).expand(contact_id=none)
        kwargs = ListSessionsOperator.partial(task_id="kwargs", max_rows=5000).expand_kwargs(
            python_task(dag, "rows", [{"contact_id": None}])
        )
        for rows in (plain, mapped, kwargs):
            ConcludeSessionOperator.partial(task_id=f"conclude_{rows.task_id}").expand(
                session_id=rows.output.map(lambda row: row["id"])
            )
    run = run_dag(dag)
    for task in ("plain", "mapped", "kwargs"):
        assert set([run.states[task]] if isinstance(run.states[task], str) else run.states[task]) == {"failed"}
        assert "contact_id: was given" in str(run.error(task))
    assert sum(session.status == "COMPLETED" for session in account.world.sessions) == concluded


def python_task(dag: Any, task_id: str, value: Any) -> Any:
    try:
        from airflow.sdk import task
    except ImportError:
        from airflow.decorators import task  # type: ignore[no-redef]

    return task(task_id=task_id)(lambda: value)()


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
def test_what_was_not_given_is_no_error(account: Account, run_dag: Any, native: bool):
    """None in the Dag's own text is how one says "not given", also where others are mapped."""
    contact_ids = [account.contact().id, account.contact().id]
    with new_dag(render_template_as_native_obj=native) as dag:
        ListSessionsOperator(task_id="plain", contact_id=contact_ids[0], department_id=None, include_details=[])
        ListSessionsOperator.partial(task_id="mapped", department_id=None, status=None).expand(contact_id=contact_ids)
    run = run_dag(dag)
    assert run.errors == []
    assert run.states == {"plain": "success", "mapped": ["success", "success"]}


def test_arguments_of_default_args_are_given(account: Account, run_dag: Any):
    with new_dag(default_args={"contact_id": "{{ none }}", "wtschat_conn_id": "{{ none }}"}) as dag:
        ListSessionsOperator(task_id="filter", wtschat_conn_id="wtschat_default")
        ListSessionsOperator(task_id="connection", contact_id=account.contact().id)
    run = run_dag(dag)
    assert str(run.error("filter")).startswith("contact_id: was given")
    assert str(run.error("connection")).startswith("wtschat_conn_id: was given")


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda account: ListSessionsOperator(task_id="t", tag_ids=["x"]), {"tag_ids": []}),
        (lambda account: FilterContactsOperator(task_id="t", metadata={"a": "b"}), {"metadata": {}}),
        (
            lambda account: UpdateContactOperator(task_id="t", contact_id=account.contact().id, tag_names=["VIP"]),
            {"tag_names": []},
        ),
        (
            lambda account: WtsChatOperator(task_id="t", action="contacts.list", arguments={"status": "x"}),
            {"arguments": {"status": None}},
        ),
    ],
    ids=["list", "mapping", "field of an update", "argument of an action"],
)
@pytest.mark.parametrize("copied", [False, True])
def test_an_empty_list_is_nothing_too(account: Account, once: Tries, make: Any, change: Any, copied: bool):
    operator = make(account)
    operator = copy.deepcopy(operator) if copied else operator
    for name, value in change.items():
        setattr(operator, name, value)
    before = account.requests
    with pytest.raises(WtsChatFailedError, match="was given"):
        once(operator)
    assert account.requests == before


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        (ListSessionsOperator, lambda nested: {"metadata": nested}),
        (FilterContactsOperator, lambda nested: {"metadata": nested}),
        (FilterContactsOperator, lambda nested: {"custom_fields": nested}),
        (WtsChatOperator, lambda nested: {"action": "sessions.list", "arguments": {"metadata": nested}}),
        (WtsChatOperator, lambda nested: {"action": "contacts.filter", "arguments": {"metadata": nested}}),
    ],
    ids=["sessions", "contacts", "custom fields", "action sessions.list", "action contacts.filter"],
)
def test_none_within_a_filter(account: Account, once: Tries, operator: type, arguments: Any, native: bool):
    """It would be compared with the text "None", or with nothing."""
    before = account.requests
    with new_dag(render_template_as_native_obj=native) as dag:
        for value in VALUES:
            nested = {"city": "{{ values." + value + " }}", "plan": "gold"}
            task = operator(task_id=value, **arguments(nested))
            task.render_template_fields({"values": VALUES, "dag": dag})
            with pytest.raises(WtsChatFailedError, match=r"^(metadata|custom_fields)\['city'\]"):
                once(task)
    assert account.requests == before


def test_a_filter_by_keys_takes_what_has_a_text(account: Account, once: Tries):
    session = account.session()
    account.world.change_session(session, metadata={"vip": "true", "plan": "7"})
    account.session()
    task = ListSessionsOperator(task_id="t", metadata={"vip": True, "plan": 7}, fields=["id"])  # type: ignore[dict-item]
    assert once(task) == [{"id": session}]

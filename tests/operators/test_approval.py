"""An approval: on WhatsApp or in the UI, whichever comes first, and never both."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_wtschat._compat import AirflowOptionalProviderFeatureException
from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.operators.approval import WhatsAppApprovalOperator
from airflow_provider_wtschat.simulator import Simulator
from scripts.local import wait_for
from tests.live import LiveAirflow
from tests.operators.test_ask import TaskInstance as Plain
from tests.operators.test_ask import Variables, says, session_id, shared, simulator, texts, variables
from tests.waiting import run_in_triggerer

__all__ = ["session_id", "shared", "simulator", "variables"]

HAS_UI = find_spec("airflow.sdk") is not None and find_spec("airflow.sdk.execution_time.hitl") is not None
needs_ui = pytest.mark.skipif(not HAS_UI, reason="Airflow's UI takes answers from 3.1 on")
USER = {"id": "7", "name": "Ana"}


class Conflict(Exception):
    """What Airflow's API says when there is an answer already."""


class Required:
    """Airflow's table of required actions, with the one row of the task, and its rules."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: SimpleNamespace = self._none()
        self.threads: set[str] = set()

    @staticmethod
    def _none() -> SimpleNamespace:
        return SimpleNamespace(response_received=False, chosen_options=None, responded_at=None, responded_by_user=None)

    def upsert(self, **asked: Any) -> None:
        """Keep a question; it forgets an earlier answer."""
        self.asked.append(asked)
        self.answer = self._none()

    def update(self, *, ti_id: UUID, chosen_options: list[str], params_input: Any, user: Any = None) -> None:
        """Keep an answer, the first one."""
        assert isinstance(ti_id, UUID)
        if self.answer.response_received:
            raise Conflict
        by = None if user is None else SimpleNamespace(**user)
        now = datetime.now(UTC)
        self.answer = SimpleNamespace(
            response_received=True, chosen_options=chosen_options, responded_at=now, responded_by_user=by
        )

    def get(self, *, ti_id: UUID) -> SimpleNamespace:
        """Return the answer."""
        return self.answer


class TaskInstance(Plain):
    id = uuid4()


class Task:
    """As much of a task as tells what follows."""

    def __init__(self) -> None:
        self.near, self.far, self.end = (SimpleNamespace(task_id=n, is_teardown=n == "end") for n in ("a", "b", "end"))

    def get_direct_relatives(self, *, upstream: bool) -> list[Any]:
        return [self.near, self.end]

    def get_flat_relatives(self, *, upstream: bool) -> list[Any]:
        return [self.near, self.far, self.end]


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch) -> Required:
    from airflow.sdk.execution_time import hitl

    made = Required()
    for name, method in {"upsert_hitl_detail": made.upsert, "update_hitl_detail_response": made.update,
                         "get_hitl_detail_content_detail": made.get}.items():  # fmt: skip
        monkeypatch.setattr(hitl, name, method)
    return made


def approval(session_id: str, **arguments: Any) -> WhatsAppApprovalOperator:
    given = {"task_id": "approve", "subject": "Enviar?", "poll_interval": 0.05, "session_id": session_id, **arguments}
    return WhatsAppApprovalOperator(**given)


def run(operator: Any, *replies: Callable[[], object] | None) -> tuple[Any, list[str]]:
    """Run it as Airflow does; return the answer, and the tasks that were skipped."""
    context: Any = {"ti": TaskInstance(operator.task_id), "task": Task(), "task_state_store": None}
    skipped: list[str] = []
    operator.skip = lambda ti, tasks: skipped.extend(task.task_id for task in tasks)
    step: Callable[[], Any] = lambda: operator.execute(context)  # noqa: E731
    left = list(replies)
    while True:
        try:
            answer = step()
        except TaskDeferred as deferred:
            event = run_in_triggerer(deferred.trigger, left.pop(0) if left else None)
            step = lambda event=event: operator.resume_execution("execute_complete", {"event": event}, context)  # noqa: E731
        else:
            assert context["ti"].pushed["answer"] == answer
            return answer, skipped


def in_ui(required: Required, option: str) -> Callable[[], object]:
    return lambda: required.update(ti_id=TaskInstance.id, chosen_options=[option], params_input={}, user=USER)


@pytest.mark.skipif(HAS_UI, reason="this Airflow's UI takes answers")
def test_an_earlier_airflow_is_told():
    with pytest.raises(AirflowOptionalProviderFeatureException, match=r"needs Airflow 3\.1 or later"):
        approval("00000000-0000-4000-8000-000000000001")


@needs_ui
def test_an_answer_on_whatsapp_closes_the_question_in_the_ui(
    simulator: Simulator, variables: Variables, session_id: str, required: Required
) -> None:
    answer, skipped = run(
        approval(session_id, body="900 de 1000", assigned_users=[USER]), says(simulator, session_id, "OK!")
    )
    assert texts(simulator) == ["Enviar?\n\n900 de 1000\n\n1. Approve\n2. Reject"]
    (asked,) = required.asked
    assert (asked["subject"], asked["options"], asked["assigned_users"]) == ("Enviar?", ["Approve", "Reject"], [USER])
    assert required.answer.chosen_options == ["Approve"]
    contact = simulator.world.sessions.get(session_id).contact_id
    assert (answer["chosen_options"], answer["responded_by_user"], skipped) == (["Approve"], {"id": contact}, [])
    assert answer["message_id"]
    assert variables.values == {}


@needs_ui
def test_an_answer_in_the_ui_ends_the_wait(
    simulator: Simulator, variables: Variables, session_id: str, required: Required
) -> None:
    answer, skipped = run(approval(session_id), in_ui(required, "Reject"))
    assert (answer["chosen_options"], answer["responded_by_user"]) == (["Reject"], USER)
    assert answer["message_id"] is None
    assert skipped == ["a"]  # and not the teardown
    _, skipped = run(approval(session_id, ignore_downstream_trigger_rules=True), in_ui(required, "Reject"))
    assert skipped == ["a", "b"]
    with pytest.raises(WtsChatFailedError, match="rejected"):
        run(approval(session_id, fail_on_reject=True), says(simulator, session_id, "não"))


@needs_ui
def test_the_first_of_two_answers_counts(
    simulator: Simulator, variables: Variables, session_id: str, required: Required, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The UI is quicker by an instant, after the trigger has read what the contact wrote."""
    from airflow.sdk.execution_time import hitl

    def beaten(**arguments: Any) -> None:
        if not required.answer.response_received:
            in_ui(required, "Reject")()
        required.update(**arguments)

    monkeypatch.setattr(hitl, "update_hitl_detail_response", beaten)
    answer, _ = run(approval(session_id, poll_interval=3), says(simulator, session_id, "sim"))
    assert (answer["chosen_options"], answer["responded_by_user"], answer["message_id"]) == (["Reject"], USER, None)


@needs_ui
def test_an_answer_that_is_seen_while_it_is_written_keeps_its_message(
    simulator: Simulator, variables: Variables, session_id: str, required: Required, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look into Airflow's table finds the answer before what writes it goes on."""
    from airflow_provider_wtschat.triggers import approval as module

    read, written = module._detail, asyncio.Event()

    async def late(ti_id: str) -> Any:
        if asyncio.current_task().get_coro().__name__ == "_on_whatsapp":
            written.set()
            await asyncio.sleep(0.3)  # six looks of the other one
        return await read(ti_id)

    monkeypatch.setattr(module, "_detail", late)
    answer, _ = run(approval(session_id), says(simulator, session_id, "sim"))
    assert written.is_set()
    assert answer["message_id"]


@needs_ui
def test_what_is_not_clear_is_asked_again_and_then_waited_for(
    simulator: Simulator, variables: Variables, session_id: str, required: Required
) -> None:
    hein = says(simulator, session_id, "hein?")
    answer, _ = run(approval(session_id), hein, hein, hein, in_ui(required, "Approve"))
    assert answer["responded_by_user"] == USER
    assert len(simulator.sends) == 2  # attempts
    assert len(required.asked) == 1  # a second time would forget an answer


@needs_ui
def test_time_runs_out(simulator: Simulator, variables: Variables, session_id: str, required: Required) -> None:
    soon = timedelta(seconds=0.4)
    with pytest.raises(WtsChatFailedError, match="no answer came in time"):
        run(approval(session_id, response_timeout=soon))
    answer, skipped = run(approval(session_id, response_timeout=soon, defaults="Reject"))
    assert (answer["chosen_options"], answer["responded_by_user"], skipped) == (["Reject"], None, ["a"])
    assert required.answer.chosen_options == ["Reject"]


@needs_ui
def test_the_event_of_airflow_itself_is_an_answer(
    simulator: Simulator, variables: Variables, session_id: str, required: Required
) -> None:
    """From 3.3 on the UI resumes a deferred task at once, with an event of its own."""
    operator = approval(session_id, options=["Pode", "Não pode"])
    context: Any = {"ti": TaskInstance("approve"), "task": Task(), "task_state_store": None}
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    event = {"chosen_options": ["Pode"], "params_input": {}, "responded_at": datetime(2026, 1, 1, tzinfo=UTC),
             "responded_by_user": USER, "timedout": False}  # fmt: skip
    answer = operator.resume_execution("execute_complete", {"event": event}, context)
    assert answer["responded_at"] == "2026-01-01T00:00:00.000000Z"
    assert json.dumps(answer)
    with pytest.raises(WtsChatFailedError, match="none of the options"):
        operator.resume_execution("execute_complete", {"event": {**event, "chosen_options": ["Talvez"]}}, context)


@needs_ui
def test_a_crashed_trigger_asks_nobody_again(
    simulator: Simulator, variables: Variables, session_id: str, required: Required
) -> None:
    operator = approval(session_id)
    context: Any = {"ti": TaskInstance("approve"), "task": Task(), "task_state_store": None}
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    with pytest.raises(TaskDeferred) as deferred:
        operator.resume_execution("__fail__", {"error": "TriggerFailureReason"}, context)
    event = run_in_triggerer(deferred.value.trigger, says(simulator, session_id, "1"))
    assert operator.resume_execution("execute_complete", {"event": event}, context)["chosen_options"] == ["Approve"]
    assert len(simulator.sends) == 1


@needs_ui
@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"options": ["A", "B", "C"]}, "options"), ({"deferrable": False}, "deferrable"), ({"defaults": "?"}, "defaults")],
)
def test_what_is_wrong_is_refused_before_anybody_is_asked(
    simulator: Simulator, variables: Variables, session_id: str, required: Required, arguments: Any, said: str
) -> None:
    with pytest.raises(WtsChatFailedError, match=said):
        run(approval(session_id, **arguments))
    assert (simulator.sends, required.asked) == ([], [])


@needs_ui
@pytest.mark.airflow
@pytest.mark.soak
def test_under_a_real_scheduler_triggerer_and_api_server(tmp_path: Path) -> None:
    home = tmp_path / "airflow"
    home.mkdir()
    names = ("whatsapp", "ui", "both")
    with Simulator(sessions=20, seed=9, limits=False, strict=True) as simulator:
        world = simulator.world
        # Three people: each is asked one question at a time.
        people = {name: world.create_contact(phone=f"+55 11 97777-100{i}").id for i, name in enumerate(names)}
        sessions = {name: world.create_session(contact_id=who, status="IN_PROGRESS").id for name, who in people.items()}
        for one in sessions.values():
            world.add_inbound_message(one)
        connection = {"wtschat_default": json.loads(simulator.connection_json)}
        dag = Path(__file__).parents[1] / "dags" / "approvals.py"
        with LiveAirflow(home, [dag], connection, WTSCHAT_TEST_CASE=json.dumps(sessions)) as airflow:
            url = airflow.processes.environment["AIRFLOW__API__BASE_URL"]
            deferred = "SELECT run_id FROM task_instance WHERE state = 'deferred'"
            (run_id, *_) = wait_for(
                lambda: [row["run_id"] for row in rows] if len(rows := airflow.query(deferred)) == len(names) else None,
                "The deferrals",
                airflow.processes,
                200,
            )
            # The scheduler has to learn from its executor that the first part of each task ended before the next one.
            log = home / "logs" / "scheduler.log"
            told = "Received executor event with state success"
            wait_for(lambda: log.read_text().count(told) >= len(names), "The scheduler's view", airflow.processes, 60)
            token = called(f"{url}/auth/token")["access_token"]
            path = f"{url}/api/v2/dags/approvals/dagRuns/{quote(run_id)}/taskInstances/{{}}/-1/hitlDetails"
            waiting = called(f"{url}/api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false", token)
            assert waiting["total_entries"] == len(names)
            world.add_inbound_message(sessions["whatsapp"], "sim")
            for name, option in {"ui": "Reject", "both": "Approve"}.items():
                called(path.format(name), token, {"chosen_options": [option], "params_input": {}})
            world.add_inbound_message(sessions["both"], "não")
            run = airflow.wait_for_run("approvals", "scheduled", 200)
            shown = {name: called(path.format(name), token) for name in names}
    assert run["states"] == {
        "whatsapp": "success", "after_whatsapp": "success", "ui": "success", "after_ui": "skipped",
        "both": "success", "after_both": "success",
    }  # fmt: skip
    assert {name: one["chosen_options"] for name, one in shown.items()} == {
        "whatsapp": ["Approve"], "ui": ["Reject"], "both": ["Approve"],
    }  # fmt: skip
    assert all(one["response_received"] for one in shown.values())
    assert len(simulator.sends) == len(names)


def called(url: str, token: str | None = None, body: Any = None) -> Any:
    """Call Airflow's API."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method="GET" if body is None else "PATCH")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)

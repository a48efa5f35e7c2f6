"""Asking a contact: once, until the answer is clear, and one question at a time."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator, TaskDeferred

from airflow_provider_wtschat.exceptions import WtsChatFailedError, WtsChatUncertainError
from airflow_provider_wtschat.operators import ask
from airflow_provider_wtschat.operators.ask import AskContactBranchOperator, AskContactOperator
from airflow_provider_wtschat.simulator import Simulator
from tests.operators.conftest import Store
from tests.waiting import hurry, run_in_triggerer

SEND = "POST /chat/v1/session/{id}/message"


class Variables:
    """Variables of Airflow, which all tasks share."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.before: dict[int, Callable[[], None]] = {}
        """What happens before an access, by its number."""
        self._accesses = 0

    def _access(self) -> None:
        self._accesses += 1
        if (happens := self.before.pop(self._accesses, None)) is not None:
            happens()

    def get(self, name: str, default: Any = None, *, deserialize_json: bool = False) -> Any:
        """Return a value."""
        self._access()
        return json.loads(self.values[name]) if name in self.values else default

    def set(self, name: str, value: Any, *, serialize_json: bool = False) -> None:
        """Keep a value."""
        self._access()
        self.values[name] = json.dumps(value)

    def delete(self, name: str) -> None:
        """Forget a value."""
        self._access()
        del self.values[name]


class TaskInstance:
    """As much of a task instance as the operator sees."""

    dag_id, run_id, map_index = "d", "r", -1

    def __init__(self, task_id: str, try_number: int = 1) -> None:
        self.task_id, self.try_number = task_id, try_number
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep what was pushed."""
        self.pushed[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        """Return what was pushed."""
        return self.pushed.get(key)


@pytest.fixture(scope="module")
def shared() -> Iterator[Simulator]:
    with Simulator(sessions=20, seed=9, limits=False, strict=True, message_step_s=0.02) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    hurry(monkeypatch, shared)
    monkeypatch.setattr(ask, "_SETTLING", 0.0)
    shared.world.books.clear()
    yield shared
    shared.application.faults.clear()


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    made = Variables()
    monkeypatch.setattr(ask, "Variable", made)
    return made


@pytest.fixture
def session_id(simulator: Simulator) -> str:
    """A session whose window is open."""
    session = simulator.world.create_session(status="IN_PROGRESS")
    simulator.world.add_inbound_message(session.id)
    return session.id


QUESTION: dict[str, Any] = {
    "task_id": "ask", "subject": "Confirma?", "options": ["Sim", "Não"], "poll_interval": 0.05,
}  # fmt: skip


def question(session_id: str | None, **arguments: Any) -> AskContactOperator:
    return AskContactOperator(**{**QUESTION, "session_id": session_id, **arguments})


def run(operator: Any, *replies: Callable[[], object] | None, store: Any = None, try_number: int = 1) -> Any:
    """Run an operator as Airflow does; each deferral is met by the next of the replies."""
    context: Any = {"ti": TaskInstance(operator.task_id, try_number), "task_state_store": store}
    step: Callable[[], Any] = lambda: operator.execute(context)  # noqa: E731
    left = list(replies)
    while True:
        try:
            return step()
        except TaskDeferred as deferred:
            event = run_in_triggerer(deferred.trigger, left.pop(0) if left else None)
            assert "Sim" not in json.dumps(event)
            step = lambda event=event: operator.resume_execution("execute_complete", {"event": event}, context)  # noqa: E731


def says(simulator: Simulator, session_id: str, text: str) -> Callable[[], object]:
    return lambda: simulator.world.add_inbound_message(session_id, text)


def texts(simulator: Simulator) -> list[str]:
    return [str(entry.text) for entry in simulator.sends]


def test_a_clear_answer_is_returned_in_the_words_of_airflow(
    simulator: Simulator, variables: Variables, session_id: str
) -> None:
    written: list[str] = []
    answer = run(
        question(session_id, body="Pedido 7"),
        lambda: written.append(simulator.world.add_inbound_message(session_id, "não!").id),
    )
    assert texts(simulator) == ["Confirma?\n\nPedido 7\n\n1. Sim\n2. Não"]
    assert (answer["chosen_options"], answer["params_input"]) == (["Não"], {})
    contact = simulator.world.sessions.get(session_id).contact_id
    assert answer["responded_by_user"] == {"id": contact}
    assert pendulum.parse(answer["responded_at"])
    assert [answer["message_id"]] == written
    assert "não" not in json.dumps(answer)
    assert variables.values == {}


def test_what_is_not_clear_is_asked_again(simulator: Simulator, variables: Variables, session_id: str) -> None:
    unclear = says(simulator, session_id, "quem é?")
    answer = run(question(session_id, unclear_text="Como?"), unclear, says(simulator, session_id, "1"))
    assert answer["chosen_options"] == ["Sim"]
    assert texts(simulator)[1:] == ["Como?\n\n1. Sim\n2. Não"]


@pytest.mark.parametrize("deferrable", [True, False])
def test_no_clear_answer_fails_or_takes_the_default(
    simulator: Simulator, variables: Variables, session_id: str, deferrable: bool
) -> None:
    how = {"response_timeout": timedelta(seconds=0.4), "deferrable": deferrable}
    with pytest.raises(WtsChatFailedError, match=r"was asked, .*no answer came in time"):
        run(question(session_id, **how))
    answer = run(question(session_id, defaults="Não", **how))
    assert (answer["chosen_options"], answer["message_id"], answer["responded_by_user"]) == (["Não"], None, None)
    assert variables.values == {}


def test_after_so_many_attempts_it_is_not_asked_again(
    simulator: Simulator, variables: Variables, session_id: str
) -> None:
    unclear = says(simulator, session_id, "?")
    with pytest.raises(WtsChatFailedError, match="not clear, 2 times"):
        run(question(session_id), unclear, unclear)
    assert len(simulator.sends) == 2
    assert run(question(session_id, attempts=1, defaults=["Sim"]), unclear)["chosen_options"] == ["Sim"]


def test_a_template_to_a_number(simulator: Simulator, variables: Variables) -> None:
    channel = next(str(row["number"]) for row in simulator.world.channels if row["number"])
    contact = simulator.world.create_contact(phone="+55 11 97777-0001")
    operator = question(
        None,
        to="(11) 97777-0001",
        from_channel=channel,
        template_name="alerta_airflow",
        template_parameters=["Confirma?"],
    )

    def reply() -> None:
        (sent,) = simulator.sends
        simulator.world.add_inbound_message(sent.session_id, "sim")

    answer = run(operator, reply)
    assert (answer["chosen_options"], answer["responded_by_user"]) == (["Sim"], {"id": contact.id})


@pytest.mark.parametrize("deferrable", [True, False])
def test_an_answer_may_open_a_new_session(
    simulator: Simulator, variables: Variables, session_id: str, deferrable: bool
) -> None:
    world = simulator.world
    asked = world.sessions.get(session_id)

    def elsewhere(text: str, *, same_channel: bool = True) -> None:
        channel = asked.channel_id if same_channel else next(c.id for c in world.channels if c.id != asked.channel_id)
        session = world.create_session(contact_id=asked.contact_id, channel_id=channel, status="IN_PROGRESS")
        world.add_inbound_message(session.id, text)

    def conclude_and_answer() -> None:
        world.conclude_session(session_id)
        elsewhere("não", same_channel=False)  # of another conversation
        elsewhere("hein?")

    if deferrable:
        answer = run(question(session_id), conclude_and_answer, lambda: elsewhere("sim"))
        # The second attempt goes where the contact is now.
        assert [send.session_id == session_id for send in simulator.sends] == [True, False]
    else:

        def conclude() -> None:
            while not simulator.sends:
                threading.Event().wait(0.02)
            world.conclude_session(session_id)
            elsewhere("sim")

        thread = threading.Thread(target=conclude, daemon=True)
        thread.start()
        answer = run(question(session_id, deferrable=False))
        thread.join()
    assert answer["chosen_options"] == ["Sim"]


def test_two_questions_at_once_are_refused(simulator: Simulator, variables: Variables, session_id: str) -> None:
    first, context = question(session_id), {"ti": TaskInstance("ask")}
    with pytest.raises(TaskDeferred) as deferred:
        first.execute(context)
    with pytest.raises(WtsChatFailedError, match="the contact has another one to answer, of task ask"):
        run(question(session_id, task_id="other"))
    event = run_in_triggerer(deferred.value.trigger, says(simulator, session_id, "sim"))
    assert first.execute_complete(context, event)["chosen_options"] == ["Sim"]
    assert len(simulator.sends) == 1
    # The first one is answered, so the next may be asked.
    assert run(question(session_id, task_id="other"), says(simulator, session_id, "2"))["chosen_options"] == ["Não"]


def test_a_number_that_the_question_makes_a_contact_of_is_asked_one_at_a_time(
    simulator: Simulator, variables: Variables
) -> None:
    channel = next(str(row["number"]) for row in simulator.world.channels if row["number"])
    how = {"to": "(11) 97777-0002", "from_channel": channel, "template_name": "alerta_airflow",
           "template_parameters": ["Confirma?"]}  # fmt: skip
    first, context = question(None, **how), {"ti": TaskInstance("ask")}
    with pytest.raises(TaskDeferred) as deferred:
        first.execute(context)
    with pytest.raises(WtsChatFailedError, match="the contact has another one to answer, of task ask"):
        run(question(None, task_id="other", **how))
    (sent,) = simulator.sends
    event = run_in_triggerer(deferred.value.trigger, says(simulator, sent.session_id, "sim"))
    assert first.execute_complete(context, event)["chosen_options"] == ["Sim"]
    assert variables.values == {}


@pytest.mark.parametrize("who", ["session", "new number", "session of a new number"])
def test_a_task_that_is_held_up_lets_no_second_question_out(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, session_id: str, who: str
) -> None:
    """One task is held up before each of its accesses to a Variable in turn, while another one asks the same person."""
    channel = next(str(row["number"]) for row in simulator.world.channels if row["number"])
    template = {"from_channel": channel, "template_name": "alerta_airflow", "template_parameters": ["Confirma?"]}
    for held in itertools.count(1):
        variables = Variables()
        monkeypatch.setattr(ask, "Variable", variables)
        if who != "session":
            # A number of its own at each turn, in two spellings: it is a contact from the first question on.
            number = f"9{held:04}-{len(who):04}"
            first, other = ({"to": f"{start} {number}", **template} for start in ("(11)", "+55 11"))
        else:
            session = simulator.world.create_session(status="IN_PROGRESS")
            simulator.world.add_inbound_message(session.id)
            first = other = {"session_id": session.id}
        before = len(simulator.sends)
        asked: list[str] = []

        def meanwhile(other: Any = other, asked: list[str] = asked, before: int = before) -> None:
            if who.startswith("session of"):
                if len(simulator.sends) == before:
                    return  # There is none before the question is out.
                other = {"session_id": simulator.sends[-1].session_id}
            asked += outcome(AskContactOperator(**{**QUESTION, "task_id": "other", **other}))

        variables.before = {held: meanwhile}
        asked += outcome(AskContactOperator(**{**QUESTION, **first}))
        if variables.before:
            break  # It has fewer accesses.
        assert len(simulator.sends) - before == len(asked) == 1
    assert held > 10


def outcome(operator: AskContactOperator) -> list[str]:
    """Ask, and say whether the question went out."""
    with pytest.raises((TaskDeferred, WtsChatFailedError)) as ended:
        operator.execute({"ti": TaskInstance(operator.task_id)})
    if isinstance(ended.value, TaskDeferred):
        return [operator.task_id]
    assert "The question was not asked" in str(ended.value)
    return []


def test_a_lost_answer_asks_nobody_twice(simulator: Simulator, variables: Variables, session_id: str) -> None:
    store = Store()
    simulator.inject("lost_after", on=SEND)
    with pytest.raises(WtsChatUncertainError):
        run(question(session_id), store=store)
    with pytest.raises(WtsChatFailedError, match="may_repeat=True"):
        run(question(session_id), store=store, try_number=2)
    assert len(simulator.sends) == 1


def test_a_later_try_waits_for_the_answer_to_the_same_question(
    simulator: Simulator, variables: Variables, session_id: str
) -> None:
    store = Store()
    with pytest.raises(WtsChatFailedError):
        run(question(session_id, response_timeout=0.3), store=store)
    simulator.world.add_inbound_message(session_id, "sim")
    answer = run(question(session_id, response_timeout=0.3), store=store, try_number=2)
    assert answer["chosen_options"] == ["Sim"]
    assert len(simulator.sends) == 1


def resume(operator: Any, context: Any, ended: str = "trigger crashed") -> None:
    if ended == "trigger crashed":
        operator.resume_execution("__fail__", {"error": "Trigger failure", "traceback": []}, context)
    else:
        operator.execute_complete(context, {"status": "error", "error": "WtsChatServerError", "retryable": True})


@pytest.mark.parametrize("ended", ["trigger crashed", "error event"])
def test_a_wait_that_broke_off_goes_on(simulator: Simulator, variables: Variables, session_id: str, ended: str) -> None:
    operator, context = question(session_id), {"ti": TaskInstance("ask")}
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    for _ in range(5):
        with pytest.raises(TaskDeferred) as deferred:
            resume(operator, context, ended)
    event = run_in_triggerer(deferred.value.trigger, says(simulator, session_id, "sim"))
    assert operator.execute_complete(context, event)["chosen_options"] == ["Sim"]
    assert len(simulator.sends) == 1


def test_a_wait_that_breaks_off_each_time_fails_for_good(
    simulator: Simulator, variables: Variables, session_id: str
) -> None:
    operator, context = question(session_id), {"ti": TaskInstance("ask")}
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    for _ in range(5):
        with pytest.raises(TaskDeferred):
            resume(operator, context)
    with pytest.raises(WtsChatFailedError, match="was asked, and will not be asked again"):
        resume(operator, context)
    assert variables.values == {}


@pytest.mark.parametrize(
    ("wrong", "argument"),
    [
        ({"options": ["Sim", "sim"]}, "options"),
        ({"options": []}, "options"),
        ({"defaults": "Talvez"}, "defaults"),
        ({"defaults": ["Sim", "Não"]}, "defaults"),
        ({"synonyms": {"Talvez": ["x"]}}, "synonyms"),
        ({"response_timeout": "soon"}, "response_timeout"),
        ({"attempts": 0}, "attempts"),
        ({"subject": "None"}, "subject"),
        ({"to": "11 97777-0001"}, "to, session_id"),
        ({"deferrable": "perhaps"}, "deferrable"),
    ],
)
def test_a_refused_argument_is_named_before_any_request(
    simulator: Simulator, variables: Variables, session_id: str, wrong: dict[str, Any], argument: str
) -> None:
    asked = len(simulator.requests)
    with pytest.raises(WtsChatFailedError, match=f"^{argument}"):
        run(question(session_id, **wrong))
    assert len(simulator.requests) == asked


class DoneOperator(BaseOperator):
    """Does nothing."""

    def execute(self, context: Any) -> str:
        return self.task_id


@pytest.mark.airflow
def test_a_branch_in_a_real_dag(simulator: Simulator, run_dag: Any, session_id: str) -> None:
    def reply() -> None:
        while not simulator.sends:
            threading.Event().wait(0.05)
        simulator.world.add_inbound_message(session_id, "nao")

    with DAG("asks", schedule=None, start_date=pendulum.datetime(2026, 1, 1)) as dag:
        asked = AskContactBranchOperator(
            task_id="ask",
            subject="Confirma?",
            options=["Sim", "Não"],
            options_mapping={"Sim": "ship", "Não": "cancel"},
            session_id=session_id,
            poll_interval=0.05,
        )
        asked >> [DoneOperator(task_id="ship"), DoneOperator(task_id="cancel")]
    thread = threading.Thread(target=reply)
    thread.start()
    finished = run_dag(dag)
    thread.join()
    assert finished.states == {"ask": "success", "ship": "skipped", "cancel": "success"}, finished.errors
    assert finished.xcom("ask", key="answer")["chosen_options"] == ["Não"]
    assert len(simulator.sends) == 1

"""What becomes of a task that a user clears, in a real Airflow of this release series."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from airflow_provider_wtschat.simulator import Simulator
from scripts.local import connections
from tests.live import LiveAirflow
from tests.operators.account import Account

CARD = "POST /crm/v2/panel/card"
NOTE = "POST /chat/v1/session/{id}/note"
REMEMBERS = metadata.version("apache-airflow").startswith("3.3.")


@pytest.mark.airflow
def test_cleared_tasks_do_what_the_table_says(tmp_path: Path):
    home = tmp_path / "airflow"
    home.mkdir()
    with Simulator(sessions=30, seed=9) as simulator:
        account = Account(simulator)
        case = {name: account.session() for name in ("same", "repeated", "changed", "uncertain")}
        parameters = account.parameters("boas_vindas")
        messages = [{"to": account.phone(), "parameters": parameters} for _ in range(101)]
        step = account.step("Vendas", "Lead")
        simulator.inject("lost_after", on=NOTE)
        simulator.inject("entity_error_save", on=CARD)
        connection = {"wtschat_default": connections(simulator, tmp_path / "warehouse.db")["wtschat_default"]}
        given = json.dumps({**case, "step": step, "messages": messages})
        dag = Path(__file__).parents[1] / "dags" / "cleared.py"
        with LiveAirflow(home, [dag], connection, WTSCHAT_TEST_CASE=given) as airflow:
            first = airflow.wait_for_run("cleared", "scheduled", 420)
            airflow.cli("tasks", "clear", "--yes", "cleared")
            second = airflow.wait_for_run("cleared", "scheduled", 420)
            tries = {row["try_number"] for row in airflow.query("SELECT try_number FROM task_instance")}
            logs = "".join(path.read_text(errors="replace") for path in home.rglob("attempt=2.log"))
        sent = {name: len(account.sent_to(session_id)) for name, session_id in case.items()}
        to_many = [len(account.sent_to(message["to"])) for message in messages]
        cards = [card["title"] for card in account.world.cards].count("Cleared")
        notes = len(account.items(f"/chat/v1/session/{case['uncertain']}/note"))
    failed = {"uncertain", "not_sent"}
    assert {task for task, state in first["states"].items() if state != "success"} == failed
    assert tries == {2}
    assert {task for task, state in second["states"].items() if state == "success"} == (
        {"same", "repeated", "not_sent", "batch"} if REMEMBERS else {"repeated"}
    )
    assert (sent["same"], sent["repeated"], sent["changed"], notes) == (1, 2, 1, 1)
    assert set(to_many) == {1}
    assert cards == (1 if REMEMBERS else 0)
    assert logs.count("it is not sent again") == (3 if REMEMBERS else 0)

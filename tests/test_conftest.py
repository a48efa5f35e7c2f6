"""The harness that the tests of Dags stand on."""

from __future__ import annotations

import pendulum
import pytest

from airflow_provider_wtschat import __version__

pytestmark = pytest.mark.airflow


def broken_dag(dag_id: str):
    from airflow.providers.common.compat.sdk import DAG, task

    with DAG(dag_id, schedule=None, start_date=pendulum.datetime(2026, 1, 1)) as dag:

        @task
        def numbers():
            return [1, 2]

        @task
        def half(number):
            if number == 2:
                message = "two is refused"
                raise ValueError(message)
            return number / 2

        half.expand(number=numbers())
    return dag


def test_run_dag_tells_states_results_and_errors(run_dag):
    run = run_dag(broken_dag("broken"))
    assert run.state == "failed"
    assert run.states == {"numbers": "success", "half": ["success", "failed"]}
    assert run.xcom("numbers") == [1, 2]
    assert run.xcom("half", map_index=0) == 0.5
    assert run.xcom("half", map_index=1) is None
    assert str(run.error("half")) == "two is refused"
    assert run.errors[0][:2] == ("half", 1)


def test_run_dag_takes_a_file_a_date_and_a_conf(run_dag, tmp_path):
    file = tmp_path / "with_conf.py"
    file.write_text(
        "import pendulum\n"
        "from airflow.providers.common.compat.sdk import DAG, task\n"
        "with DAG('with_conf', schedule=None, start_date=pendulum.datetime(2026, 1, 1)):\n"
        "    @task\n"
        "    def tell(dag_run=None, ds=None):\n"
        "        return [dag_run.conf['word'], ds]\n"
        "    tell()\n"
    )
    run = run_dag(file, logical_date=pendulum.datetime(2026, 3, 4), conf={"word": "hello"})
    assert run.state == "success"
    assert run.xcom("tell") == ["hello", "2026-03-04"]


def test_version():
    assert __version__

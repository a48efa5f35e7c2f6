"""What every Airflow line does with the example Dags: find them, read them, serialize them and read them back."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from tests.conftest import AIRFLOW_2, load_dags

EXAMPLES = sorted((Path(__file__).parents[2] / "example_dags").glob("example_*.py"))


def round_trip(dag):
    if AIRFLOW_2:
        from airflow.serialization.serialized_objects import SerializedDAG as Serialization
    else:
        try:
            from airflow.serialization.serialized_objects import DagSerialization as Serialization  # type: ignore[assignment]
        except ImportError:  # Airflow 3.0 and 3.1
            from airflow.serialization.serialized_objects import SerializedDAG as Serialization
    return Serialization.from_dict(json.loads(json.dumps(Serialization.to_dict(dag))))


@pytest.mark.airflow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_dag_is_read_and_serialized(path: Path, airflow_db):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module=r"(unusual_prefix|example_|airflow_provider_wtschat).*")
        dags = load_dags(path)
    assert dags
    for dag in dags.values():
        assert dag.dag_id.startswith("example_wtschat")
        assert {"example", "wtschat"} <= set(dag.tags)
        assert dag.doc_md
        assert set(round_trip(dag).task_ids) == set(dag.task_ids)


def test_dag_ids_are_unique():
    ids = [dag_id for path in EXAMPLES for dag_id in load_dags(path)]
    assert len(ids) == len(set(ids))

"""
Copy contacts into object storage, and load what came into a table of any database.

What: the copy appends compressed JSON lines to a folder and writes a manifest last. The load reads the parts that this
run's manifests name and stores each contact by its id. Phones, e-mails and names are copied as they are; with
``personal_data="hash"`` and a connection whose password is the key only their hashes would leave Airflow.

Needs: a connection ``wtschat_default``, and a connection ``warehouse`` of any type whose provider builds on
``common.sql``. The folder is a temporary one unless the environment variable ``WTSCHAT_LAKE`` names another, such as
``s3://aws_default@lake/wtschat``.
"""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseHook, ObjectStoragePath, task

from airflow_provider_wtschat.transfers.wtschat_to_object_storage import WtsChatToObjectStorageOperator

LAKE = os.environ.get("WTSCHAT_LAKE", f"file://{Path(tempfile.gettempdir()) / 'wtschat_lake'}")
WAREHOUSE = "warehouse"
TABLE = "lake_contacts"

with DAG(
    dag_id="example_wtschat_object_storage_load",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:
    copy = WtsChatToObjectStorageOperator(
        task_id="copy",
        resource="contacts",
        path=f"{LAKE}/contacts",
        file_format="jsonl",
    )

    @task
    def load(figures: dict[str, Any]) -> int:
        """Store the contacts of the parts that new manifests name; the newest version of each comes last."""
        manifests = [ObjectStoragePath(path) for path in figures["manifests"]]
        parts = [
            manifest.parent.parent / part["name"]
            for manifest in manifests
            for part in json.loads(manifest.read_text())["parts"]
        ]

        def rows() -> Iterator[tuple[str, str, str, str]]:
            for part in parts:
                with part.open("rb") as packed, gzip.open(packed, "rt", encoding="utf-8") as lines:
                    for line in lines:
                        row = json.loads(line)
                        yield row["id"], row["status"], row["updatedAt"], line

        database = BaseHook.get_connection(WAREHOUSE).get_hook()
        columns = "id VARCHAR(36) PRIMARY KEY, status VARCHAR(20), updated_at VARCHAR(32), payload TEXT"
        database.run(f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns})")
        names = ["id", "status", "updated_at", "payload"]
        # A contact can come twice in one reading; the lists are read in the order of the last change.
        newest = sorted(rows(), key=lambda row: row[2])
        database.insert_rows(TABLE, newest, names, replace=True, replace_index="id")
        return len(newest)

    load(copy.output)

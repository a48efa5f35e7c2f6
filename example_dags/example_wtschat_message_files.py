"""
Keep the files of messages (pictures, voice messages, documents) beside the warehouse, each once.

What: messages are loaded into the warehouse, with a table of their files beside them; then what is new in that table is
copied into object storage. A list in ``_manifests`` names each file with its size and checksum when it is there whole,
so a run that was killed is made up for by the next. Files that the server has no more are recorded, and do not fail the
run.

Needs: a connection ``wtschat_default``, and a connection ``warehouse`` to PostgreSQL, MySQL, SQLite or DuckDB. The
folder is a temporary one unless the environment variable ``WTSCHAT_FILES`` names another, such as
``s3://aws_default@lake/wtschat/files``. Add the hosts that your files come from to ``allowed_hosts``: a run that meets
another host fails and names it.
"""

from __future__ import annotations

import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_wtschat.transfers.wtschat_files_to_object_storage import WtsChatFilesToObjectStorageOperator
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator

FILES = os.environ.get("WTSCHAT_FILES", f"file://{Path(tempfile.gettempdir()) / 'wtschat_files'}")
# The address of the API, whether the connection has it in one piece or in three.
API = (
    "{% set api = conn.wtschat_default %}"
    "{% set scheme = api.schema ~ '://' if api.schema and '//' not in (api.host or '') else '' %}"
    "{{ scheme ~ api.host ~ (':' ~ api.port if api.port else '') if api.host else 'https://api.wts.chat' }}"
)

with DAG(
    dag_id="example_wtschat_message_files",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["example", "wtschat"],
    doc_md=__doc__,
) as dag:
    messages = WtsChatToSqlOperator(
        task_id="messages", resource="messages", sql_conn_id="warehouse", table="wtschat_messages"
    )

    files = WtsChatFilesToObjectStorageOperator(
        task_id="files",
        path=FILES,
        sql_conn_id="warehouse",
        table="wtschat_messages_files",
        allowed_hosts=[API],
        # Only for a simulator on this machine: addresses of your own network are refused.
        private_addresses="{{ '127.0.0.1' in (conn.wtschat_default.host or '') }}",
    )

    messages >> files

"""Ways to read all sessions of an account, each run in a process of its own and measured there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from airflow_provider_wtschat.simulator.simulator import SpawnedSimulator

OURS = """
from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.extraction import read_changes
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

def read(keep, since=None, **how):
    changes = read_changes(WtsChatHook(), sessions.list_(), since, **how)
    for batch in changes:
        keep(batch.rows)
    return {"until": changes.until_reached.isoformat(), "verified": changes.verified}
"""

NUMBERS = """
from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

def read(keep, since=None):
    request, number = sessions.list_(updated_after=since, order_by="UpdatedAt", order_direction="ASCENDING"), 1
    hook = WtsChatHook()
    while True:
        page = hook.run(request.page(number))
        keep(page["items"])
        if not page["hasMorePages"]:
            return
        number += 1
"""

HTTP_OPERATOR = """
from airflow.providers.http.operators.http import HttpOperator

def following(response):
    page = response.json()
    if page["hasMorePages"]:
        return {"data": {**PARAMETERS, "PageNumber": page["pageNumber"] + 1}}

PARAMETERS = {"PageNumber": 1, "PageSize": 100, "OrderBy": "UpdatedAt", "OrderDirection": "ASCENDING"}

def read(keep):
    pages = HttpOperator(
        task_id="read",
        http_conn_id="http_wtschat",
        method="GET",
        endpoint="chat/v2/session",
        data=PARAMETERS,
        pagination_function=following,
        response_filter=lambda responses: [response.json()["items"] for response in responses],
    ).execute({})
    for page in pages:
        keep(page)
"""

DLT = """
import dlt
from dlt.sources.rest_api import rest_api_source

def read(keep):
    source = rest_api_source(
        {
            "client": {
                "base_url": URL,
                "auth": {"type": "bearer", "token": TOKEN},
                "paginator": {"type": "page_number", "base_page": 1, "page_param": "PageNumber",
                              "total_path": "totalPages"},
            },
            "resources": [
                {
                    "name": "sessions",
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": "chat/v2/session",
                        "params": {"PageSize": 100, "OrderBy": "UpdatedAt", "OrderDirection": "ASCENDING"},
                        "data_selector": "items",
                    },
                }
            ],
        }
    )
    database = dlt.destinations.duckdb(f"{HOME}/dlt.duckdb")
    pipeline = dlt.pipeline("bench", pipelines_dir=HOME, destination=database, dataset_name="wts")
    started = time.perf_counter()
    pipeline.extract(source)
    extracted = time.perf_counter() - started
    pipeline.normalize()
    pipeline.load()
    with pipeline.sql_client() as client:
        when = "strftime(updated_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%f')"
        rows = client.execute_sql(f"SELECT id, {when} FROM sessions")
    keep([{"id": row_id, "updatedAt": f"{updated}Z"} for row_id, updated in rows])
    return {"reading": extracted}
"""

_MEASURE = """
import json, logging, os, resource, sys, time
logging.disable(logging.WARNING)
URL, TOKEN, HOME = os.environ["BENCH_URL"], os.environ["BENCH_TOKEN"], os.environ["AIRFLOW_HOME"]
{reader}
from datetime import datetime, timezone

rows, kept = 0, {{}}

def instant(text):
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc)

def keep(page):
    global rows
    rows += len(page)
    if {keep!r}:
        for row in page:
            moment = instant(row["updatedAt"])
            if row["id"] not in kept or kept[row["id"]] < moment:
                kept[row["id"]] = moment

before = resource.getrusage(resource.RUSAGE_SELF)
started = time.perf_counter()
told = read(keep, **{how!r}) or {{}}
seconds = time.perf_counter() - started
after = resource.getrusage(resource.RUSAGE_SELF)
print("FIGURES" + json.dumps({{
    "rows": rows, "seconds": seconds, "before": before.ru_maxrss / 1024, "peak": after.ru_maxrss / 1024,
    "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, **told,
    "kept": {{row_id: moment.astimezone(timezone.utc).isoformat() for row_id, moment in kept.items()}},
}}))
"""


def measure(
    simulator: SpawnedSimulator,
    reader: str,
    *,
    keep: bool = False,
    bulk_share: float = 1.0,
    free: bool = False,
    **how: Any,
) -> dict[str, Any]:
    """
    Run a reader and return its figures.

    :param simulator: the account
    :param reader: one of the readers of this module
    :param keep: also return the newest version of each row
    :param bulk_share: share of the account's limit for bulk reads
    :param free: let it send as fast as it can, for an account without limits
    :param how: arguments of the reader
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "AIRFLOW_HOME": home,
            "AIRFLOW__WTSCHAT__BULK_SHARE": str(bulk_share),
            "AIRFLOW_CONN_WTSCHAT_DEFAULT": simulator.connection_json,
            "AIRFLOW_CONN_HTTP_WTSCHAT": json.dumps(
                {"conn_type": "http", "host": simulator.url, "extra": {"Authorization": f"Bearer {simulator.token}"}}
            ),
            "BENCH_URL": simulator.url,
            "BENCH_TOKEN": simulator.token,
            # Nothing here may leave the machine.
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "DO_NOT_TRACK": "1",
        }
        script = _MEASURE.format(reader=reader, keep=keep, how=how)
        if free:
            script = _FREE + script
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1][:200]}
    line = next(line for line in done.stdout.splitlines() if line.startswith("FIGURES"))
    figures: dict[str, Any] = json.loads(line.removeprefix("FIGURES"))
    return figures


_FREE = """
from airflow_provider_wtschat import budget
from airflow_provider_wtschat.hooks import wtschat
_roomy = budget.Window(1_000_000, 1.0)
_limits = budget.Limits(burst=_roomy, read=_roomy, send=_roomy)
wtschat.get_budget = lambda account, **_: budget.get_budget(account, "process", limits=_limits)
"""

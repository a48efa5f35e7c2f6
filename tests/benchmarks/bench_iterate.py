"""
Reading 20,000 sessions: ``WtsChatHook.iterate`` beside Airflow's own ``HttpOperator`` with a pagination function.

Both run against the simulator with 120 ms latency and the account's real limits on, each in a process of its own and
with a simulated account of its own. A second table shows that memory stays flat, a third what importing an operator
module costs on top of ``airflow.sdk``.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

from airflow_provider_wtschat.simulator import Simulator

ROWS = 20_000
MEMORY_ROWS = (2_000, 10_000, 50_000)

ITERATE = """
from airflow_provider_wtschat.api import sessions
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
rows = sum(1 for _ in WtsChatHook().iterate(sessions.list_()))
"""

HTTP_OPERATOR = """
from airflow.providers.http.operators.http import HttpOperator

def next_page(response):
    page = response.json()
    if page["hasMorePages"]:
        return {"data": {"PageNumber": page["pageNumber"] + 1, "PageSize": 100}}

pages = HttpOperator(
    task_id="read",
    http_conn_id="http_wtschat",
    method="GET",
    endpoint="chat/v2/session",
    data={"PageNumber": 1, "PageSize": 100},
    pagination_function=next_page,
    response_filter=lambda responses: [row for response in responses for row in response.json()["items"]],
).execute({})
rows = len(pages)
"""

MEASURED = """
import json, logging, resource, time
logging.disable(logging.WARNING)
{imports}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
error = None
rows = 0
try:
{body}
except Exception as caught:
    error = f"{{type(caught).__name__}}: {{caught}}"[:120]
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({{"rows": rows, "seconds": seconds, "before": before, "peak": peak, "error": error}}))
"""


def read(body: str, sessions: int, *, latency_ms: int, limits: bool = True) -> dict[str, object]:
    """Run a reader in a process of its own, and return what it measured and what the server saw."""
    with Simulator.spawn(sessions=sessions, latency_ms=latency_ms, limits=limits, seed=3) as simulator:
        with tempfile.TemporaryDirectory() as home:
            environment = {
                **os.environ,
                "AIRFLOW_HOME": home,
                "AIRFLOW_CONN_WTSCHAT_DEFAULT": simulator.connection_json,
                "AIRFLOW_CONN_HTTP_WTSCHAT": json.dumps(
                    {
                        "conn_type": "http",
                        "host": simulator.url,
                        "extra": {"Authorization": f"Bearer {simulator.token}"},
                    }
                ),
            }
            if not limits:
                environment["AIRFLOW__WTSCHAT__BUDGET"] = "process"
            imports = "\n".join(line for line in body.splitlines() if line.startswith(("from ", "import ")))
            script = MEASURED.format(imports=imports, body="\n".join(f"    {line}" for line in body.splitlines()))
            done = subprocess.run(
                [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
            )
        figures: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        statuses = [entry["status"] for entry in simulator.requests]
    return {**figures, "requests": len(statuses), "limited": statuses.count(429)}


def import_cost(module: str, runs: int = 5) -> tuple[float, int]:
    """Return the seconds and the modules that an import adds to ``airflow.sdk``, the median of some runs."""
    script = (
        "import airflow.sdk, sys, time\n"
        "from airflow.providers.common.compat.sdk import BaseOperator\n"
        "known = len(sys.modules); started = time.perf_counter()\n"
        f"import {module}\n"
        "print(time.perf_counter() - started, len(sys.modules) - known)"
    )
    results = []
    for _ in range(runs):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        seconds, modules = done.stdout.split()[-2:]
        results.append((float(seconds), int(modules)))
    return sorted(results)[runs // 2]


def main() -> None:
    """Print the figures."""
    print(f"{ROWS:,} sessions, 120 ms latency, limits on; 200 requests in 5 s allow {ROWS // 100} pages at once")
    seconds = {}
    for name, body in (("iterate", ITERATE), ("HttpOperator", HTTP_OPERATOR)):
        got = read(body, ROWS, latency_ms=120)
        seconds[name] = float(str(got["seconds"]))
        print(
            f"  {name:13} {got['rows']:>6} rows in {seconds[name]:5.1f} s, {got['requests']:>4} requests, "
            f"{got['limited']} 429s, {int(str(got['peak'])) // 1024} MiB at its peak"
            f"{'; ' + str(got['error']) if got['error'] else ''}"
        )
    print(f"  ratio         {seconds['iterate'] / seconds['HttpOperator']:.2f} of the time of HttpOperator")

    print("Memory of iterate (limits off, no latency)")
    for rows in MEMORY_ROWS:
        got = read(ITERATE, rows, latency_ms=0, limits=False)
        grown = (int(str(got["peak"])) - int(str(got["before"]))) / 1024
        print(f"  {rows:>6} rows: {grown:5.1f} MiB more than before it, {float(str(got['seconds'])):.1f} s")

    print("Importing on top of airflow.sdk, median of 5")
    for module in ("airflow_provider_wtschat.operators.session", "airflow_provider_wtschat.sensors.session"):
        took, modules = import_cost(module)
        print(f"  {module}: {took * 1000:.0f} ms, {modules} modules")
    print(f"This process used {resource.getrusage(resource.RUSAGE_SELF).ru_utime:.1f} s of CPU; {time.ctime()}")


if __name__ == "__main__":
    main()

"""
What a reading loses while the account lives on: ours, page numbers ordered by UpdatedAt, and dlt ordered the same way.

*Lost* are rows that were there before and after the reading and did not come; *stale* are rows that came older than
they were when the reading began. Where rows become visible late, a second reading whose window overlaps the first
counts, too.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.simulator.simulator import SpawnedSimulator
from tests.benchmarks.readers import DLT, NUMBERS, OURS, measure

ROWS = 10_000
LATENCY_MS = 60
OVERLAP = timedelta(minutes=2)

Versions = dict[str, datetime]

SCENARIOS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("nothing changes", {}),
    ("20 changes/s", {"changes_per_s": 20}),
    ("20 changes/s, bounds excluded", {"changes_per_s": 20, "bounds": "exclusive"}),
    ("20 changes/s, a tie of 3,200, any order", {"changes_per_s": 20, "tie": 3_200, "tie_order": "arbitrary"}),
    ("200 changes/s, a fifth of them deletions", {"changes_per_s": 200, "deletions": 0.2}),
    ("200 changes/s, a tie of 3,200", {"changes_per_s": 200, "tie": 3_200, "bounds": "exclusive"}),
    ("20 changes/s, server 10 s ahead", {"changes_per_s": 20, "clock_skew_s": 10}),
    ("20 changes/s, server 10 s behind", {"changes_per_s": 20, "clock_skew_s": -10}),
    ("20 changes/s, a tenth 30 s late", {"changes_per_s": 20, "late_rows": 0.1, "late_s": 30}),
)
WITH_DLT = frozenset({"20 changes/s", "20 changes/s, a tie of 3,200, any order", "200 changes/s, a tie of 3,200"})


def truth(simulator: SpawnedSimulator) -> Versions:
    """Return every row's last change, whatever lists show."""
    rows = simulator.call("truth", table="sessions")
    return {row_id: _instant(text) for row_id, text in rows.items()}


def loss(reader: str, options: dict[str, Any]) -> str:
    """Run a reader while the account lives on, and say what it missed."""
    late = "late_rows" in options
    with Simulator.spawn(sessions=ROWS, latency_ms=LATENCY_MS, seed=11, **options) as simulator:
        if late:
            time.sleep(2)  # some rows must have changed that do not show yet
        before = truth(simulator)
        got = measure(simulator, reader, keep=True)
        if "error" in got:
            return str(got["error"])
        kept = {row_id: _instant(text) for row_id, text in got["kept"].items()}
        simulator.call("set_changes_per_s", per_second=0)
        if late:
            simulator.call("advance", seconds=60)
            until = _instant(str(got.get("until") or max(kept.values()).isoformat()))
            again = measure(simulator, reader, keep=True, since=(until - OVERLAP).isoformat())
            for row_id, text in again["kept"].items():
                kept[row_id] = max(_instant(text), kept.get(row_id, _instant(text)))
        after = truth(simulator)
        requests = simulator.summary["statuses"]
    there = before.keys() & after.keys()
    lost = sum(row_id not in kept for row_id in there)
    stale = sum(row_id in kept and kept[row_id] < before[row_id] for row_id in there)
    return f"{lost:>5} lost {stale:>5} stale {sum(requests.values()):>4} requests {got['seconds']:5.1f} s"


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def main() -> None:
    """Print the figures."""
    print(f"{ROWS:,} sessions, {LATENCY_MS} ms latency, the account's limits on")
    for name, options in SCENARIOS:
        for reader, body in (("read_changes", OURS), ("page numbers", NUMBERS), ("dlt", DLT)):
            if body is not DLT or name in WITH_DLT:
                print(f"  {name:42} {reader:13} {loss(body, options)}", flush=True)


if __name__ == "__main__":
    main()

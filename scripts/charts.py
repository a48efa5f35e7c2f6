"""
Draw the charts of the analyst's page from a simulated account: ``make charts``.

The account is loaded into DuckDB as users load theirs, the models are built on it, and the charts show what the queries
of the page find. Drawing needs matplotlib, which is in the environment of the documentation.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "analytics.md"
IMAGES = ROOT / "docs" / "images"
DRAWING = ROOT / ".venv-docs" / "bin" / "python"
NOW = "2026-06-19T20:30:00Z"
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_INK, _STRONG, _SOFT, _WARM = "#444444", "#0b6e4f", "#9bc4b3", "#d08c3f"


def questions() -> dict[str, str]:
    """
    Read the queries of the analyst's page.

    :return: by name
    """
    shown = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    named = [re.match(r"-- question: ([a-z-]+)\n(.*)", sql, re.DOTALL) for sql in shown]
    if None in named:
        raise ValueError(f"{PAGE}: a query without a line `-- question: NAME`")
    return {found[1]: found[2] for found in named if found is not None}


def collect() -> dict[str, Any]:
    """
    Load a simulated account, build the models, and ask.

    :return: what the queries found, by name
    """
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name, "warehouse.duckdb")
    os.environ["AIRFLOW_HOME"] = folder.name
    os.environ["AIRFLOW__WTSCHAT__BUDGET"] = "process"
    os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": "duckdb", "host": str(path)})
    import duckdb

    from airflow_provider_wtschat.budget import registry
    from airflow_provider_wtschat.budget.limits import Limits, Window
    from airflow_provider_wtschat.extraction import RESOURCES, Kind
    from airflow_provider_wtschat.simulator import Simulator
    from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator
    from scripts.dbt_rendering import Project

    wide = Limits(burst=Window(10**6, 1.0), read=Window(10**6, 1.0), send=Window(10**6, 1.0))
    setattr(registry, "Limits", lambda: wide)  # noqa: B010  # the account has none either
    options: dict[str, Any] = {"sessions": 1800, "seed": 7, "spread_days": 60, "now": NOW, "limits": False}
    # Most of what began is over, as in an account that is looked after.
    options["statuses"] = {"COMPLETED": 0.97, "PENDING": 0.01, "IN_PROGRESS": 0.015, "STARTED": 0.005}
    with folder, Simulator(**options) as simulator:
        os.environ["AIRFLOW_CONN_WTSCHAT_DEFAULT"] = simulator.connection_json
        for name in sorted(RESOURCES, key=lambda name: RESOURCES[name].kind is Kind.CHILDREN):
            WtsChatToSqlOperator(
                task_id="load", resource=name, sql_conn_id="warehouse", history=name in ("sessions", "cards")
            ).execute({})
        with duckdb.connect(str(path)) as cursor:
            Project(cursor, wtschat_as_of=NOW.replace("T", " ").removesuffix("Z")).build()
            found = {}
            for name, sql in questions().items():
                cursor.execute(sql)
                names = [column[0] for column in cursor.description or ()]
                found[name] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return found


def draw(found: dict[str, Any]) -> None:
    """
    Draw the charts.

    :param found: what the queries found, by name
    """
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update(
        {
            "svg.hashsalt": "wtschat", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10,
            "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": _INK, "text.color": _INK,
            "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
        }
    )  # fmt: skip
    charts: dict[str, Callable[[Any, Any], None]] = {
        "analytics-first-response": lambda figure, axes: _first_response(axes, found["how-fast"]),
        "analytics-backlog": lambda figure, axes: _backlog(axes, found["backlog"]),
        "analytics-peak-hours": lambda figure, axes: _peak_hours(figure, axes, found["peak-hours"]),
    }
    IMAGES.mkdir(exist_ok=True)
    for name, chart in charts.items():
        figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
        chart(figure, axes)
        figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None}, facecolor="white")
        plt.close(figure)
        print(IMAGES / f"{name}.svg")


def _first_response(axes: Any, rows: list[dict[str, Any]]) -> None:
    weeks = [date.fromisoformat(row["week"][:10]) for row in rows]
    for column, colour, label in (
        ("nine_of_ten_within_minutes", _WARM, "nine of ten"),
        ("half_within_minutes", _STRONG, "half"),
    ):
        values = [row[column] for row in rows]
        axes.plot(weeks, values, color=colour, marker="o", markersize=4)
        axes.annotate(label, (weeks[-1], values[-1]), xytext=(8, -3), textcoords="offset points", color=colour)
    axes.set_yscale("log")
    ticks = [10, 30, 60, 180, 600, 1440]
    axes.set_yticks(ticks, [f"{tick} min" if tick < 60 else f"{tick // 60} h" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_xticks(weeks, [f"{week:%b} {week.day}" for week in weeks])
    axes.set_xlabel("week in which the session began")
    axes.set_title("Contacts answered within", loc="left")


def _backlog(axes: Any, rows: list[dict[str, Any]]) -> None:
    days = [date.fromisoformat(row["day"][:10]) for row in rows]
    axes.bar(days, [row["begun"] for row in rows], color=_SOFT, width=0.9, label="began")
    axes.bar(days, [-row["ended"] for row in rows], color=_WARM, alpha=0.7, width=0.9, label="ended")
    axes.plot(days, [row["open_at_the_end"] for row in rows], color=_STRONG, linewidth=2, label="open at the end")
    axes.axhline(0, color=_INK, linewidth=0.6)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    marks = [day for day in days if day.weekday() == 0]
    axes.set_xticks(marks, [f"{day:%b} {day.day}" for day in marks])
    axes.set_title("Sessions by day", loc="left")
    axes.legend(loc="upper left", frameon=False, ncols=3)


def _peak_hours(figure: Any, axes: Any, rows: list[dict[str, Any]]) -> None:
    counts = [[0] * 24 for _ in _WEEKDAYS]
    for row in rows:
        counts[row["weekday"] - 1][row["hour"]] = row["messages"]
    picture = axes.imshow(counts, cmap="Greens", aspect="auto")
    axes.set_xticks(range(0, 24, 2), [f"{hour}:00" for hour in range(0, 24, 2)])
    axes.set_yticks(range(7), _WEEKDAYS)
    axes.set_title("Messages of contacts by weekday and hour", loc="left")
    figure.colorbar(picture, ax=axes, label="messages", pad=0.01)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else float(value)


def main() -> None:
    """Collect here, and draw where matplotlib is."""
    if len(sys.argv) > 1:
        draw(json.loads(Path(sys.argv[1]).read_text()))
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(collect(), file, default=_plain)
        file.flush()
        python = os.environ.get("WTSCHAT_DRAWING", str(DRAWING))
        subprocess.run([python, "-m", "scripts.charts", file.name], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()

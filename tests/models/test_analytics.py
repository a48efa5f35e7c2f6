"""The queries of the analyst's page run on a loaded account, and what they find is what its books say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.simulator.records import OPEN_STATUSES
from scripts.charts import IMAGES, PAGE, questions
from scripts.dbt_rendering import Project
from tests.models.account import OPTIONS, Living, past
from tests.models.books import Books, instant, statuses_seen
from tests.transfers.conftest import connect

duckdb = pytest.importorskip("duckdb")

# A simulated dispatch is part of what `make models` proves.
MAY_BE_EMPTY = {"campaigns"}


class Asked(NamedTuple):
    """What the queries found, and the books."""

    found: dict[str, list[dict[str, Any]]]
    books: Books


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Load an account, build the models, and ask everything."""
    path = tmp_path_factory.mktemp("analytics") / "warehouse.duckdb"
    with pytest.MonkeyPatch.context() as patch, Simulator(**{**OPTIONS, "sessions": 70, "now": past()}) as simulator:
        connect(simulator, patch)
        patch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "duckdb", "host": str(path)}))
        living = Living(simulator, 0)
        living.rest()
        with duckdb.connect(str(path)) as cursor:
            as_of = instant(living.world.now())
            assert as_of is not None
            Project(cursor, wtschat_as_of=as_of.isoformat(" "), wtschat_conversion_tag="VIP").build()
            found = {name: rows(cursor, sql) for name, sql in questions().items()}
            seen = rows(cursor, "SELECT id, status, read_at FROM stg_wtschat__messages")
        yield Asked(found, Books(living, statuses_seen(living, seen)))


def rows(cursor: Any, sql: str) -> list[dict[str, Any]]:
    cursor.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.parametrize("question", list(questions()))
def test_each_question_has_an_answer(asked: Asked, question: str) -> None:
    assert question in MAY_BE_EMPTY or asked.found[question]


def test_answers_are_those_of_the_books(asked: Asked) -> None:
    found, books = asked
    sessions = list(books.fct_sessions().values())
    messages = list(books.fct_messages().values())

    def total(question: str, column: str) -> int:
        return sum(int(row[column] or 0) for row in found[question])

    answered = [one for one in sessions if one["first_response_seconds"] is not None]
    going = [one for one in sessions if one["status"] in OPEN_STATUSES]
    assert total("how-fast", "answered") == len(answered)
    assert total("office-sla", "answered") == sum(one["department_id"] is not None for one in answered)
    assert total("open", "sessions") == len(going)
    assert found["backlog"][-1]["open_at_the_end"] == len(going)
    assert total("load-of-agents", "open_now") <= sum(one["user_id"] is not None for one in going)
    assert total("peak-hours", "messages") == sum(one["is_inbound"] for one in messages)
    by_contact = [one for one in sessions if one["opened_by"] == "contact"]
    with_bot = sum(one["messages_by_bot"] > 0 for one in by_contact)
    assert found["bot"][0]["sessions"] == len(by_contact)
    assert float(found["bot"][0]["percent_with_bot"]) == pytest.approx(100 * with_bot / len(by_contact), abs=0.06)
    templates = [one for one in messages if one["template_id"]]
    assert total("templates", "sent") == len(templates)
    assert total("templates", "replied") == sum(one["replied_at"] is not None for one in templates)
    assert total("cost", "delivered") == sum(one["is_delivered"] for one in templates)
    assert total("steps", "there_now") == sum(card["status"] == "OPEN" for card in books.world.cards)
    summary = list(books.contact_summary().values())
    assert total("conversion", "converted") == sum(one["is_converted"] for one in summary if one["sessions"])


def test_each_chart_is_drawn_and_says_what_it_shows() -> None:
    shown = re.findall(r"!\[([^\]]+)\]\(images/(analytics-[a-z-]+\.svg)\)", PAGE.read_text())
    assert {name for _, name in shown} == {path.name for path in IMAGES.glob("analytics-*.svg")}
    assert all(len(text) > 40 for text, _ in shown)
    assert all(Path(IMAGES, name).stat().st_size < 60_000 for _, name in shown)

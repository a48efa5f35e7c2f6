"""
Draw the funnel of a simulated campaign for the documentation: ``python -m scripts.funnel``.

It sends a campaign to five hundred customers of the simulator, lets some of them read and answer, asks for the report,
and draws a bar for each stage of it, to docs/static/funnel.svg. The same seed draws the same picture.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scripts.local import ROOT

PICTURE = ROOT / "docs" / "static" / "funnel.svg"
CUSTOMERS = 500
CAMPAIGN = "payment reminders of March"
STAGES = {
    "planned": "#5b7083",
    "suppressed": "#b8a06a",
    "held_out": "#b8a06a",
    "failed": "#b5534c",
    "sent": "#2f7d5b",
    "delivered": "#2f7d5b",
    "read": "#2f7d5b",
    "replied": "#2f7d5b",
}
_ROW, _LEFT, _WIDTH, _TOP = 34, 110, 460, 44


def simulated(seed: int = 7) -> dict[str, Any]:
    """
    Send a campaign to the simulator, and return its funnel.

    :param seed: of everything that is random
    """
    from airflow_provider_wtschat.operators.campaign import WtsChatCampaignReportOperator
    from airflow_provider_wtschat.simulator import Simulator
    from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator

    rng = random.Random(seed)  # noqa: S311  # not for secrets
    context: Any = {"ti": SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)}
    with tempfile.TemporaryDirectory() as folder, Simulator(sessions=20, seed=seed, limits=False) as simulator:
        database = Path(folder, "warehouse.db")
        os.environ["AIRFLOW_CONN_WTSCHAT_DEFAULT"] = simulator.connection_json
        os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": "sqlite", "host": str(database)})
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("CREATE TABLE invoices (number INTEGER, phone TEXT, name TEXT, amount TEXT)")
            rows = [(i, f"+55119{i:08}", f"Cliente {i}", f"R$ {i},00") for i in range(1, CUSTOMERS + 1)]
            connection.executemany("INSERT INTO invoices VALUES (?, ?, ?, ?)", rows)
        world = simulator.world
        for number in range(1, 21):
            world.create_contact(phone=f"+55119{number:08}", status="BLOCKED")
        SqlToWtsChatTemplateOperator(
            task_id="t",
            campaign=CAMPAIGN,
            sql="SELECT * FROM invoices ORDER BY number",
            sql_conn_id="warehouse",
            recipient_column="phone",
            key_column="number",
            parameter_columns={"nome": "name", "valor": "amount"},
            template_name="lembrete_pagamento",
            from_channel_name="Matriz",
            holdout=0.1,
        ).execute(context)
        for send in list(simulator.sends):
            fate = rng.choices(["SENT", "DELIVERED", "READ", "FAILED"], [4, 21, 70, 5])[0]
            reason = "Número não está no WhatsApp" if fate == "FAILED" else None
            world.set_message_status(send.message_id, fate, reason)
            if fate == "READ" and rng.random() < 0.3:
                world.add_inbound_message(send.session_id, "sim")
        report = WtsChatCampaignReportOperator(task_id="t", campaign=CAMPAIGN, table_conn_id="warehouse")
        found: dict[str, Any] = report.execute(context)["funnel"]
        return found


def drawn(funnel: Mapping[str, Any]) -> str:
    """
    Draw a funnel: a bar for each stage.

    :param funnel: the counts, as the report returns them
    :return: SVG
    """
    most = max(1, funnel["planned"])
    lines = []
    for place, (stage, colour) in enumerate(STAGES.items()):
        number, top = funnel[stage], _TOP + place * _ROW
        width = max(2, round(_WIDTH * number / most))
        lines += [
            f'<text x="{_LEFT - 10}" y="{top + 17}" text-anchor="end">{escape(stage.replace("_", " "))}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{width}" height="{_ROW - 10}" rx="3" fill="{colour}"/>',
            f'<text x="{_LEFT + width + 8}" y="{top + 17}">{number:,} ({number / most:.0%})</text>',
        ]
    height = _TOP + len(STAGES) * _ROW + 6
    title = escape(f"{CAMPAIGN}: {most:,} recipients")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 110} {height}" role="img" '
            'font-family="Arial, sans-serif" font-size="14" fill="#222">',
            f"<title>{title}</title>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<text x="{_LEFT}" y="26" font-weight="bold">{title}</text>',
            *lines,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(drawn(simulated()))
    print(f"drew {PICTURE.relative_to(ROOT)}")

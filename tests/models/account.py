"""An account that lives while it is loaded, with attempts that are killed, and what was there to be seen."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from airflow_provider_wtschat.extraction import RESOURCES, Kind
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.simulator.records import Message, Record, Session
from airflow_provider_wtschat.simulator.world import World
from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator
from airflow_provider_wtschat.transfers.wtschat_reconcile import WtsChatReconcileOperator
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator
from tests.transfers.test_loads_under_faults import attempt, outcome, until_done

CAMPAIGN = "spring"
HISTORY = ("sessions", "cards")
OPTIONS = {
    "sessions": 160, "contacts": 60, "cards": 60, "spread_days": 25, "limits": False, "strict": True,
    "deletions": 0.02, "message_step_s": 0.05,
}  # fmt: skip
PER_SECOND = 0.01
"""Changes per second of the account's clock, which a round puts forward by some hours."""


class Seen(NamedTuple):
    """What was to be seen of the account at an instant at which nothing moved."""

    at: int
    sessions: dict[str, Session]
    cards: dict[str, Record]


def load(resource: str) -> None:
    """Load a resource, as a task does."""
    WtsChatToSqlOperator(
        task_id="load", resource=resource, sql_conn_id="warehouse", workers=4, lock_timeout=60,
        history=resource in HISTORY,
    ).execute({})  # fmt: skip


def load_all() -> None:
    """Load everything in the order of `wtschat_account`."""
    last = [name for name in RESOURCES if RESOURCES[name].kind is Kind.CHILDREN]
    for name in (*(name for name in RESOURCES if name not in last), *last):
        load(name)


class Living:
    """
    Lets an account live and loads it.

    :param simulator: the account; its clock is stopped but for the rounds
    :param seed: decides when attempts are killed
    """

    def __init__(self, simulator: Simulator, seed: int) -> None:
        self.world = simulator.world
        self.seen: list[Seen] = []
        self.killed = 0
        self._rng = random.Random(seed)
        self.world.clock.freeze(self.world.now())
        self.card_versions = [(card.id, card.updated, card) for card in self.world.cards]
        put = self.world.cards.put

        def note(card: Record, **given: Any) -> None:
            self.card_versions.append((card.id, card.updated, card))
            put(card, **given)

        self.world.cards.put = note  # type: ignore[assignment, method-assign]

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Let the account's clock run quickly, and things happen."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(0.02):
                with self.world.lock:
                    self.world.clock.advance(20)
                    self.world.settle()

        self.world.churn.set_rate(PER_SECOND)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.world.churn.set_rate(0)

    def conclude(self) -> None:
        """Conclude some sessions so that their contacts can take them up again."""
        going = [session for session in self.world.sessions if session.status == "IN_PROGRESS"][:6]
        for session in going:
            self.world.clock.advance(1)
            self.world.conclude_session(session.id, reactivate=True)

    def reopen(self) -> None:
        """Let contacts of such sessions write, and move some cards."""
        for session in [session for session in self.world.sessions if session.reactivate][:4]:
            self.world.clock.advance(1)
            self.world.add_inbound_message(session.id, "Ainda não chegou")
        for _ in range(8):
            self.world.clock.advance(1)
            self.world.churn._move_card(self.world.now())

    def round(self) -> None:
        """Kill an attempt while things happen, let another one go on, and load once more when nothing moves."""
        with self.moving():
            child = attempt(load_all)
            threading.Event().wait(self._rng.uniform(0.3, 2.5))
            os.kill(child, signal.SIGKILL)
            self.killed += outcome(child) == -signal.SIGKILL
            until_done(lambda: load("sessions"))
        self.rest()

    def rest(self) -> None:
        """Load everything while nothing moves, and note what there is."""
        until_done(load_all)
        with self.world.lock:
            sessions = {session.id: session for session in self.world.sessions}
            self.seen.append(Seen(self.world.now(), sessions, {card.id: card for card in self.world.cards}))

    def compare(self) -> None:
        """Mark what was deleted."""
        for resource in ("sessions", "cards"):
            until_done(
                lambda resource=resource: WtsChatReconcileOperator(
                    task_id="compare", resource=resource, sql_conn_id="warehouse", table=f"wtschat_{resource}",
                    workers=4, full=True, fail_below=0,
                ).execute({})
            )  # fmt: skip


def past(days: float = 4) -> str:
    """Return an instant of the past, since the account's clock is not to get ahead of the real one."""
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def dispatch(living: Living, folder: Path, table_conn_id: str) -> None:
    """Send a campaign: some of its messages fail, some rows are refused, and some people reply."""
    world = living.world
    contacts = [contact for contact in world.contacts if contact.phone and contact.status == "ACTIVE"][:30]
    world.failing_recipients.update(str(contact.phone) for contact in contacts[:3])
    with closing(sqlite3.connect(folder / "crm.db")) as database, database:
        database.execute("CREATE TABLE people (id TEXT, phone TEXT, name TEXT)")
        people = [(contact.id, str(contact.phone).replace("|", ""), "Ana") for contact in contacts]
        database.executemany("INSERT INTO people VALUES (?, ?, ?)", [*people, ("nobody", "12", "Beto")])
    SqlToWtsChatTemplateOperator(
        task_id="dispatch", campaign=CAMPAIGN, sql="SELECT * FROM people", sql_conn_id="crm", recipient_column="phone",
        key_column="id", parameter_columns={"nome": "name", "valor": "name"}, template_name="lembrete_pagamento",
        from_channel=next(iter(world.channels))["number"], table_conn_id=table_conn_id, max_invalid=1,
    ).execute({"ti": SimpleNamespace(dag_id="d", run_id="r", task_id="dispatch", map_index=-1)})  # fmt: skip
    world.clock.advance(5)
    for send in campaign_messages(world)[5:14]:
        if send.status(world.now()) != "FAILED":
            world.add_inbound_message(send.session_id, "Quero saber mais")
            world.clock.advance(1)


def campaign_messages(world: World) -> list[Message]:
    """Return the messages of the campaign, of which no other message carries the id of a sender."""
    found = [message for session in world.sessions for message in world.history.of(session.id)]
    return [message for message in found if message.sender_id]

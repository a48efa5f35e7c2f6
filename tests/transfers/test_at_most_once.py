"""
The proof of the promise: whatever fails and whoever is killed, nobody gets a message twice.

Hundreds of customers, a fault of any kind in every twentieth answer, and workers in processes of their own that are
killed (SIGKILL) while they plan, before they claim, between claim and request, and between request and record. Two of
them work at once, and all are cleared and run again, until nothing is planned. Every option that leaves people out,
lets rows wait, lets the audience grow, tries out or follows up is switched on, and the campaign is paused and resumed.
Of five seeds one schedules its messages, which some options exclude; two have another campaign that writes to the same
people at the same time; and two have a ``send_before`` that passes meanwhile. Then the simulator's books tell who got
what, and when.

What takes minutes and hours in life (until a claim is stale, until people wake) takes a second here, by other constants
and never by another clock. A worker that hangs says where, and fails the test.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_wtschat.api import converters
from airflow_provider_wtschat.api.quiet import QuietHours
from airflow_provider_wtschat.campaigns import dispatch, following, table
from airflow_provider_wtschat.campaigns.people import SuppressionTable, person
from airflow_provider_wtschat.campaigns.table import CampaignTable, State
from airflow_provider_wtschat.exceptions import WtsChatError
from airflow_provider_wtschat.hooks import answers
from airflow_provider_wtschat.simulator import FAULTS, Simulator
from airflow_provider_wtschat.transfers.sql_to_wtschat import SqlToWtsChatTemplateOperator
from tests.databases import SERVERS
from tests.transfers.conftest import Warehouse, arguments, connect, context, phone

CUSTOMERS = 300
BATCH = 10
SHARE = 0.05
KILLS = ("planning", "before the claim", "between claim and request", "between request and record")
MOST_RUNS = 40
FINAL = ("sent", "refused", "uncertain", "suppressed", "held_out")
LATER = 30
"""So many customers come in each of the first rounds of the campaign."""
GROWING = 2
TESTER = "+55|11988887777"
"""Who gets the first message of each plan, and is no customer."""
STALE_AFTER = timedelta(seconds=1)
HANGS_AFTER = 120.0
"""Seconds after which a worker cannot be alive."""

pytestmark = pytest.mark.airflow


def kill_after(times: int, method: str, *, before: bool) -> None:
    """Let this process be killed at the n-th call of a method of the table."""
    real, calls = getattr(CampaignTable, method), iter(range(1, times + 1))

    def called(self: CampaignTable, *args: Any, **kwargs: Any) -> Any:
        last = next(calls, times) == times
        if last and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(self, *args, **kwargs)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(CampaignTable, method, called)


def arm(kill: str | None, times: int) -> None:
    if kill == "planning":
        kill_after(times, "_insert", before=False)
    elif kill == "before the claim":
        kill_after(times, "claim", before=True)
    elif kill == "between claim and request":
        kill_after(times, "claim", before=False)
    elif kill == "between request and record":
        kill_after(times, "record", before=True)


@dataclass(frozen=True, kw_only=True)
class Case:
    """
    What a seed puts a campaign through.

    :param scheduled: when its messages are to go out, if they are scheduled
    :param ends: whether there is a ``send_before`` that passes before everything is sent
    :param rival: whether another campaign of the table writes to the same people
    """

    customers: int
    scheduled: str | None
    ends: bool
    rival: bool

    @classmethod
    def of(cls, seed: int, customers: int) -> Case:
        """Choose by the seed, evenly over the databases."""
        moment = (datetime.now(UTC) + timedelta(days=2)).isoformat() if seed % 5 == 0 else None
        return cls(customers=customers, scheduled=moment, ends=seed % 5 in (2, 3), rival=seed % 5 in (1, 3))


def dispatch_of(simulator: Simulator, case: Case, **more: Any) -> dict[str, Any]:
    """Return the arguments of the dispatch, with every option that there is."""
    tag = next(iter(simulator.world.tags))["name"]
    given = arguments(
        simulator,
        exclude_sql="SELECT phone FROM opt_outs",
        exclude_tags=[tag],
        max_per_contact=[1, 604800],
        per_minute=100_000,
        holdout=0.1,
        audience="new_keys",
        resend_refused=True,
        preview=True,
        max_failed=case.customers,
    )
    if case.scheduled is not None:
        return {**given, "schedule_at": case.scheduled, "send_before": case.scheduled, **more}
    return {
        **given,
        "canary": 50,
        "canary_wait": 0.1,
        "quiet_hours": "20:00-08:00",
        "test_recipient": TESTER.replace("|", ""),
        "wait_for_status": "DELIVERED",
        "follow_up_for": 0.4,
        "send_before": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        **more,
    }


def let_sleep(monkeypatch: pytest.MonkeyPatch, morning: Path) -> datetime:
    """
    Let every seventh customer sleep, whatever the clock says, until a file is there.

    :return: when those among the first hundred wake; everybody else waits until it is known how these fared
    """
    early = datetime.now(UTC) + timedelta(seconds=3)

    def next_start(self: QuietHours, number: str, now: datetime) -> datetime | None:
        if not sleeps(number) or (now >= early if customer(number) <= 100 else morning.exists()):
            return None
        return now + timedelta(seconds=0.3)

    monkeypatch.setattr(QuietHours, "next_start", next_start)
    return early


def customer(number: str) -> int:
    return int(number[-6:])


def sleeps(number: str) -> bool:
    return customer(number) % 7 == 0


def control(warehouse: Warehouse, state: State) -> None:
    with closing(CampaignTable(warehouse.hook, "wtschat_campaign", "reminders")) as rows:
        assert rows.control(state)


def come(warehouse: Warehouse, first: int, number: int) -> None:
    """Let customers come who were not there when the campaign was planned."""
    rows = [(i, phone(i), f"Cliente {i}", f"R$ {i},00") for i in range(first, first + number)]
    warehouse.execute("INSERT INTO customers VALUES (?, ?, ?, ?)", rows)


def opt_out(warehouse: Warehouse, customers: range) -> set[str]:
    """Let customers ask not to be written to any more, and return their numbers."""
    numbers = {f"+55|119{i:08}" for i in customers}
    people = SuppressionTable(warehouse.hook)
    people.create()
    people.add({people.pseudonym(person(number.replace("|", ""))): "complained" for number in numbers}, "test")
    people.close()
    return numbers


def leave_out(simulator: Simulator, warehouse: Warehouse, customers: int) -> set[str]:
    """Let a tenth of the customers be left out, in each of the ways there are, and return their numbers."""
    groups = [[f"+55|119{i:08}" for i in range(way, customers, 50)] for way in range(1, 5)]
    by_query, by_tag, blocked, archived = groups
    warehouse.execute("CREATE TABLE opt_outs (phone VARCHAR(40))")
    warehouse.execute("INSERT INTO opt_outs VALUES (?)", [(number,) for number in by_query])
    tag = next(iter(simulator.world.tags))
    for number in by_tag:
        simulator.world.create_contact(phone=number, tag_ids=(tag.id,))
    for number in blocked:
        simulator.world.create_contact(phone=number, status="BLOCKED")
    for number in archived:
        simulator.world.create_contact(phone=number, status="ARCHIVED")
    return {number for group in groups for number in group} | opt_out(warehouse, range(5, customers, 50))


def start(
    simulator: Simulator,
    case: Case,
    worker: int,
    kill: str | None = None,
    times: int = 1,
    run: str | None = None,
    **more: Any,
) -> int:
    """Let a worker, by default always the same task of the same run, work in a process of its own; the process's id."""
    child = os.fork()
    if child == 0:
        try:
            faulthandler.dump_traceback_later(HANGS_AFTER, exit=True, file=sys.__stderr__)
            arm(kill, times)
            work(simulator, case, run or f"run {worker}", **more)
        except WtsChatError as error:
            print(f"worker {worker}: {type(error).__name__}: {error}", flush=True)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    return child


def work(simulator: Simulator, case: Case, run: str, **more: Any) -> None:
    """Do what a task of a run does."""
    operator = SqlToWtsChatTemplateOperator(**dispatch_of(simulator, case, **more))
    operator.execute(context(run, dag_id="proof"))


@dataclass(frozen=True)
class Message:
    """A message that went out, or was scheduled, by the simulator's books."""

    recipient: str
    id: str
    sender_id: str | None
    at: float


def written(simulator: Simulator) -> list[Message]:
    """Return the messages to customers."""
    world = simulator.world
    sends = [Message(str(send.recipient), send.message_id, send.sender_id, send.at) for send in simulator.sends]
    rows = [
        Message(str(world.contacts.get(row["contactId"]).phone), row.id, None, row.created) for row in world.scheduled
    ]
    return [message for message in sends + rows if message.recipient != TESTER]


def end(child: int) -> bool:
    """Wait for a process, and say whether it was killed."""
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or status == 0, "the worker hung, or ended in a way of its own"
    return killed


def prove(
    seed: int,
    warehouse: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    sender_lookup: str,
    customers: int,
    last: Callable[[Simulator, Case], None],
) -> None:
    """
    Put a campaign through all of it.

    :param last: the last try, without faults, after which everything is done
    """
    rng, case = random.Random(seed), Case.of(seed, customers)
    # An earlier account may have had the same port.
    answers.forget()
    monkeypatch.setattr(converters, "MAX_BATCH", BATCH)
    for module in (table, dispatch):
        # A worker waits for the claims of another one until these are too old to be alive.
        monkeypatch.setattr(module, "STALE_AFTER", STALE_AFTER)
    if sender_lookup != "none":
        # A fault may keep a look-up from finding a message; the next try finds it.
        monkeypatch.setattr(table, "LOOK_UP_AGAIN", timedelta(0))
    monkeypatch.setattr(dispatch, "PAUSED_LOOK", timedelta(seconds=0.2))
    monkeypatch.setattr(dispatch, "LOOKS", (timedelta(seconds=0.1), timedelta(seconds=0.3)))
    monkeypatch.setattr(dispatch, "_TURN", timedelta(seconds=0.2))
    monkeypatch.setattr(following, "LOOK_PAUSE", 0.0)
    there = customers - GROWING * LATER
    warehouse.fill(there)
    options = {
        "faults": {name: SHARE / len(FAULTS) for name in FAULTS},
        "batch_results": rng.choice(["ordered", "shuffled", "partial"]),
        "sender_lookup": sender_lookup,
        "message_step_s": 0.05,
    }
    with Simulator(sessions=20, seed=seed, limits=False, strict=True, retry_after="never", **options) as simulator:
        connect(simulator, monkeypatch)
        left_out = leave_out(simulator, warehouse, customers)
        morning = tmp_path / "morning"
        early = let_sleep(monkeypatch, morning).timestamp() * 1e6
        killed = 0
        begin = partial(start, simulator, case)
        for kill in (KILLS[0], *rng.sample(KILLS[1:], len(KILLS) - 1)):
            # A fault may end a worker before it comes to its death.
            # A plan of few customers takes two statements.
            while not end(begin(1, kill, rng.randint(1, 2 if kill == KILLS[0] else 3))):
                assert not warehouse.statuses() or "planned" in warehouse.statuses()
            killed += 1
        control(warehouse, State.PAUSED)
        ended = datetime.now(UTC) + timedelta(seconds=2)
        soon = {"send_before": ended.isoformat()} if case.ends else {}
        before, paused = len(written(simulator)), [begin(1, **soon), begin(2, **soon)]
        time.sleep(0.7)
        assert len(written(simulator)) == before
        # While nobody has a claim, more people ask to be left alone.
        too_much, asked_at = opt_out(warehouse, range(6, customers, 50)), time.time() * 1e6
        control(warehouse, State.GOING)
        paused += rivals(rng, case, begin)
        time.sleep(0.3)
        woken = time.time() * 1e6
        morning.touch()
        killed += sum([end(child) for child in paused])
        if case.ends:
            time.sleep(max(0.0, (ended - datetime.now(UTC)).total_seconds()))
            before = len(written(simulator))
            killed += end(begin(1, **soon))
            assert len(written(simulator)) == before
        for number in range(MOST_RUNS):
            run = None
            if number < GROWING:
                # Whoever comes later is planned by a run of its own, which is cleared until it has planned.
                come(warehouse, there + 1, LATER)
                there, run = there + LATER, f"run of round {number}"
            both = [begin(1), begin(2, rng.choice([*KILLS[1:], None, None]), rng.randint(1, 6), run)]
            both += rivals(rng, case, begin)
            killed += sum([end(child) for child in both])
            while len(rows_of(warehouse, "reminders")) < there:
                killed += end(begin(2, run=run))
            if there < customers:
                continue
            if not {"planned", "claimed"} & warehouse.statuses().keys():
                break
        simulator.application.faults.clear()
        if case.rival:
            # It looks up what is uncertain, too.
            killed += end(begin(3, campaign="offers", audience="fixed"))
        last(simulator, case)
        with_ids = sender_lookup != "none" and case.scheduled is None
        judge(simulator, warehouse, left_out, too_much, case, with_ids=with_ids)
        messages = written(simulator)
        assert [message for message in messages if message.recipient in too_much and message.at > asked_at] == []
        if case.scheduled is None:
            asleep = [(customer(one.recipient), one.at) for one in messages if sleeps(one.recipient)]
            assert [at for number, at in asleep if at < (early if number <= 100 else woken)] == []
            assert TESTER in {send.recipient for send in simulator.sends}
            assert "DELIVERED" in {row.delivery for row in warehouse.rows()}
    assert killed >= len(KILLS)


def rivals(rng: random.Random, case: Case, begin: Callable[..., int]) -> list[int]:
    """Let another campaign write to the same people, if there is one."""
    kill = rng.choice([*KILLS, None])
    return [begin(3, kill, rng.randint(1, 6), campaign="offers", audience="fixed")] if case.rival else []


def rows_of(warehouse: Warehouse, campaign: str) -> list[Any]:
    """Return the rows of one campaign."""
    return [row for row in warehouse.rows() if row.campaign == campaign]


def judge(
    simulator: Simulator,
    warehouse: Warehouse,
    left_out: set[str],
    too_much: set[str],
    case: Case,
    *,
    with_ids: bool,
) -> None:
    """
    Compare the table with the simulator's books.

    :param left_out: whom nothing may have been sent to
    :param too_much: whom some of it may have been sent to
    """
    messages, customers = written(simulator), case.customers
    got = Counter(message.recipient for message in messages)
    assert [number for number in got.values() if number > 1] == []
    assert not got.keys() & left_out
    rows, own = warehouse.rows(), rows_of(warehouse, "reminders")
    assert len(own) == customers
    by_status = {status: [row for row in rows if row.status == status] for status in FINAL}
    assert sum(map(len, by_status.values())) == len(rows)
    suppressed = {
        f"+55|119{int(row.row_key):08}"
        for row in own
        if row.status == "suppressed" and not row.reason.startswith("max_per_contact")
    }
    assert left_out <= suppressed <= left_out | too_much
    ids = {message.id for message in messages}
    known = {row.message_id for row in by_status["sent"]}
    assert known <= ids
    assert len(ids - known) <= len(by_status["uncertain"])
    if case.scheduled is None:  # a scheduled message carries no id of ours
        books = {str(message.sender_id): message.id for message in messages}
        assert {row.sender_id: row.message_id for row in by_status["sent"]}.items() <= books.items()
        never = {row.sender_id for name in ("refused", "suppressed", "held_out") for row in by_status[name]}
        assert not books.keys() & never
    assert all(row.reason for name in ("refused", "uncertain") for row in by_status[name])
    assert 0.04 < len([row for row in own if row.status == "held_out"]) / customers < 0.16
    if with_ids:
        assert not ids - known  # each message that went out was found by its id
    assert len(by_status["sent"]) > customers / 2
    print({name: len(found) for name, found in by_status.items()}, "written by the books:", len(messages), case)


DATABASES = ("sqlite", *SERVERS)


def cases(seeds: range) -> list[Any]:
    return [
        pytest.param(
            seed,
            DATABASES[seed % len(DATABASES)],
            ("otp", "none")[seed % 2],
            id=f"{seed}-{DATABASES[seed % len(DATABASES)]}-{('otp', 'none')[seed % 2]}",
        )
        for seed in seeds
    ]


@pytest.fixture
def warehouse(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """An empty warehouse in the database of the case."""
    connection = request.getfixturevalue(kind)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", connection)
    return Warehouse(connection)


@pytest.mark.parametrize(("seed", "kind", "sender_lookup"), cases(range(3)))
def test_nobody_gets_a_message_twice(
    warehouse: Warehouse,
    run_dag: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    sender_lookup: str,
):
    def in_a_dag(simulator: Simulator, case: Case) -> None:
        with DAG("proof", schedule=None, start_date=pendulum.datetime(2026, 1, 1)) as dag:
            SqlToWtsChatTemplateOperator(**dispatch_of(simulator, case))
        assert run_dag(dag).state == "success"

    prove(seed, warehouse, tmp_path, monkeypatch, sender_lookup=sender_lookup, customers=CUSTOMERS, last=in_a_dag)


@pytest.mark.soak
@pytest.mark.parametrize(("seed", "kind", "sender_lookup"), cases(range(3, 103)))
def test_nobody_gets_a_message_twice_over_many_seeds(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, sender_lookup: str
):
    last = partial(work, run="run 1")
    prove(seed, warehouse, tmp_path, monkeypatch, sender_lookup=sender_lookup, customers=CUSTOMERS, last=last)

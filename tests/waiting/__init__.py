"""What the tests of sensors and triggers share: a quick simulated account, and Airflow's part of waiting."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_wtschat.budget import Limits, Window, get_budget
from airflow_provider_wtschat.hooks import connection, transport
from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.triggers import feed, session_event
from tests.conftest import AIRFLOW_2

QUICK = dataclasses.replace(
    feed.PACE,
    shortest=0.05,
    gather=0.02,
    direct=1000.0,
    direct_pause=0.01,
    by_id_pause=0.01,
    last_look=5.0,
    faults=4,
    longest_pause=0.2,
)
"""The pace of the tests: no direct questions, unless a test asks for them."""

PLENTY = Limits(*(Window(10**6, 1.0),) * 3)
"""Limits that no test reaches."""

NEVER_LISTED = 10.0**6
"""Seconds after which lists show a change, for one that they do not show."""


def hurry(monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> None:
    """Lead the connection ``wtschat_default`` to a simulated account, and make everything wait for shorter."""
    for module in ("wtschat", "wtschat_async"):
        monkeypatch.setattr(
            f"airflow_provider_wtschat.hooks.{module}.get_budget",
            lambda account, **_: get_budget(account, "process", limits=PLENTY),
        )
    monkeypatch.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
    monkeypatch.setattr(transport, "_SHORTEST_BACK_OFF", 0.01)
    monkeypatch.setattr(feed, "PACE", QUICK)
    monkeypatch.setattr(session_event, "BETWEEN_EVENTS", 0.05)


def forbid_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the synchronous look-up of a connection, and the masking of its token, fail on an event loop."""
    real = BaseHook.get_connection

    def watched(conn_id: str) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return real(conn_id)
        message = "a connection was read in a way that blocks the event loop"
        raise AssertionError(message)

    monkeypatch.setattr(BaseHook, "get_connection", staticmethod(watched))

    mask = connection.mask_secret

    def mask_secret(*secret: Any) -> None:
        # In Airflow 3.0 it asks the supervisor, for which it waits.
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        mask(*secret)

    monkeypatch.setattr(connection, "mask_secret", mask_secret)


def ago(seconds: float) -> str:
    """Write an instant of the past as triggers take it."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def ahead(seconds: float) -> str:
    """Write an instant of the future as triggers take it."""
    return ago(-seconds)


def remade(trigger: Any) -> Any:
    """Make a trigger again as a triggerer does after a restart: through JSON, by the path of its class."""
    path, arguments = trigger.serialize()
    assert json.loads(json.dumps(arguments)) == arguments
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    return again


async def until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Wait on an event loop until something is true."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


async def until_followed(*tasks: asyncio.Task[Any]) -> None:
    """Wait until what runs on the feed has begun: it is subscribed, and has seen what changed before; or has ended."""

    def followed() -> bool:
        known = [one for each in feed._feeds.values() for one in each._subscribers]
        begun = sum(one.key is None or one.caught_up for one in known)
        return begun >= sum(not task.done() for task in tasks)

    await until(followed, 20)


async def event_of(trigger: Any) -> Any:
    """Run a trigger to its first event, as a triggerer does, and return the event's payload."""
    events = trigger.run()
    try:
        return (await anext(events)).payload
    finally:
        await events.aclose()


def run_in_triggerer(trigger: Any, meanwhile: Callable[[], None] | None = None) -> Any:
    """Run a trigger in an event loop of its own, and do something else in the middle of it."""

    async def run() -> Any:
        waiting = asyncio.ensure_future(event_of(remade(trigger)))
        if meanwhile is not None:
            await until_followed(waiting)
            await asyncio.to_thread(meanwhile)
        return await asyncio.wait_for(waiting, 20)

    return asyncio.run(run())


class TaskInstance:
    """As much of a task instance as a sensor sees."""

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}
        self.try_number = 1
        self.max_tries = 0
        self.dag_id = self.task_id = self.run_id = "test"
        self.map_index = -1
        self.started: datetime | None = None

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        """Keep a value."""
        self.xcoms[key] = value

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """Tell Airflow 3 when the sensor looked first."""
        return self.started


class DagRun:
    """As much of a Dag run as a sensor sees."""

    def __init__(self, start_date: datetime) -> None:
        self.start_date = start_date


def make_context(started: datetime | None = None) -> dict[str, Any]:
    """Return as much of a context as a sensor sees."""
    return {"ti": TaskInstance(), "dag_run": DagRun(started or datetime.now(UTC))}


@dataclasses.dataclass
class Ending:
    """How a task ended."""

    state: str
    """``success``, ``skipped``, ``failed`` (Airflow does not retry) or ``up_for_retry``."""
    value: Any = None
    error: BaseException | None = None
    pokes: int = 0
    deferred: Any = None
    """What it deferred with."""
    event: Any = None


def run_sensor(
    sensor: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    meanwhile: Callable[[], None] | None = None,
    crash: str | None = None,
    context: dict[str, Any] | None = None,
) -> Ending:
    """
    Run a sensor as Airflow does: again after a reschedule, and after a deferral with the trigger's event.

    :param meanwhile: what happens 0.15 s after the first look
    :param crash: what Airflow says of a deferral that it ended itself, such as ``Trigger failure``
    """
    from airflow.providers.common.compat.sdk import (
        AirflowFailException,
        AirflowSensorTimeout,
        AirflowSkipException,
        TaskDeferred,
    )

    context = make_context() if context is None else context
    ending = Ending("running")
    timer = threading.Timer(0.15, meanwhile or (lambda: None))
    started = context["ti"].started = datetime.now(UTC)
    if AIRFLOW_2:
        monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda **_: started)
    look = sensor.poke

    def poke(context: Any) -> Any:
        ending.pokes += 1
        try:
            return look(context)
        finally:
            if ending.pokes == 1:
                timer.start()

    sensor.poke = poke
    try:
        while ending.state == "running":
            try:
                ending.value, ending.state = sensor.execute(context), "success"
            except TaskDeferred as deferred:
                ending.deferred = deferred
                if crash is None:
                    ending.event = asyncio.run(asyncio.wait_for(event_of(remade(deferred.trigger)), 30))
                    method, arguments = deferred.method_name, {**(deferred.kwargs or {}), "event": ending.event}
                else:
                    method, arguments = "__fail__", {"error": crash, "traceback": ["Traceback: a crash"]}
                json.dumps(arguments)
                ending.value = sensor.resume_execution(method, arguments, context)
                ending.state = "success"
            except Exception as error:
                if type(error).__name__ != "AirflowRescheduleException":
                    raise
                threading.Event().wait(max(0.0, (error.reschedule_date - datetime.now(UTC)).total_seconds()))
                # A rescheduled task begins in another process.
                vars(sensor).pop("_own_poller", None)
    except AirflowSkipException as error:
        ending.state, ending.error = "skipped", error
    except (AirflowFailException, AirflowSensorTimeout) as error:
        ending.state, ending.error = "failed", error
    except Exception as error:
        ending.state, ending.error = "up_for_retry", error
    finally:
        timer.cancel()
        if timer.ident is not None:
            timer.join()
    return ending

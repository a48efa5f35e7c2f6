"""Sends of one's own: at most once for each key, with two workers, faults and SIGKILL, on three databases."""

from __future__ import annotations

import os
import random
import signal
import traceback
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_wtschat.api import sends
from airflow_provider_wtschat.campaigns import once
from airflow_provider_wtschat.campaigns.once import send_once
from airflow_provider_wtschat.campaigns.table import CampaignTable
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatError,
    WtsChatRateLimitError,
    WtsChatRefusedError,
    WtsChatUncertainError,
)
from airflow_provider_wtschat.simulator import FAULTS, Simulator
from tests.transfers.conftest import SEND, Warehouse, channel

ONE = "POST /chat/v1/send/template"

pytestmark = pytest.mark.airflow


def request(simulator: Simulator, number: int = 1) -> Any:
    template = next(row for row in simulator.world.templates if row["name"] == "modelo_exemplo")
    return sends.send_template(
        template.id, to=f"+55119{number:08}", from_channel=channel(simulator), template_parameters=["Maria"]
    )


def send(simulator: Simulator, key: str = "invoice 7", number: int = 1, **how: Any) -> Any:
    return send_once(key, request(simulator, number), sql_conn_id="warehouse", **how)


def status(warehouse: Warehouse) -> list[str]:
    return [row.status for row in warehouse.rows()]


def test_each_key_is_sent_once_and_tells_the_same(any_warehouse: Warehouse, simulator: Simulator):
    first = send(simulator)
    again = send(simulator, number=2)
    assert (first["already_sent"], again["already_sent"]) == (False, True)
    assert {**first, "already_sent": True} == again
    assert first["message_id"] == simulator.sends[0].message_id
    assert first["session_id"] == simulator.sends[0].session_id
    assert send(simulator, key="invoice 8")["message_id"] != first["message_id"]
    assert not send(simulator, campaign="other")["already_sent"]
    assert len(simulator.sends) == 3
    assert all((row.phone, row.content) == (None, None) for row in any_warehouse.rows())


def test_what_was_not_sent_may_be_tried_again(
    warehouse: Warehouse, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
):
    simulator.inject("400", on=ONE)
    with pytest.raises(WtsChatRefusedError):
        send(simulator)
    assert status(warehouse) == ["refused"]
    simulator.application.faults.clear()

    def limited(*_args: Any, **_kwargs: Any) -> None:
        message = "too many requests"
        raise WtsChatRateLimitError(message, retryable=True)

    with monkeypatch.context() as patched:
        patched.setattr(once.WtsChatHook, "run", limited)
        with pytest.raises(WtsChatRateLimitError):
            send(simulator)
    assert status(warehouse) == ["planned"]
    assert not send(simulator)["already_sent"]
    assert len(simulator.sends) == 1


def test_what_is_uncertain_is_refused_unless_told(warehouse: Warehouse, simulator: Simulator):
    simulator.inject("lost_after", on=ONE)
    with pytest.raises(WtsChatUncertainError):
        send(simulator)
    simulator.application.faults.clear()
    with pytest.raises(WtsChatUncertainError, match=r"whether 'invoice 7' was sent .*resend_uncertain=True"):
        send(simulator)
    assert len(simulator.sends) == 1
    assert not send(simulator, resend_uncertain=True)["already_sent"]
    assert send(simulator, resend_uncertain=True)["already_sent"]
    assert len(simulator.sends) == 2


def test_a_dispatch_and_sends_of_ones_own_keep_apart(warehouse: Warehouse, simulator: Simulator, dispatch: Any):
    warehouse.fill(1)
    dispatch()
    with pytest.raises(WtsChatArgumentError, match="'reminders' is a dispatch"):
        send(simulator, campaign="reminders")
    send(simulator, campaign="mine")
    with pytest.raises(WtsChatError, match="is planned already, with another audience"):
        dispatch(campaign="mine")
    assert [entry.operation for entry in simulator.requests].count(SEND) == 1
    for key in ("", " ", "x" * 201, None):
        with pytest.raises(WtsChatArgumentError, match="key"):
            send(simulator, key=key)  # type: ignore[arg-type]


KEYS = 8
KILLS = (("claim_single", True), ("claim_single", False), ("record", True), ("record", False), ("extend", False))


def work(simulator: Simulator, seed: int, kill: tuple[str, bool] | None) -> int:
    """Let a worker send all keys in a process of its own, which may be killed."""
    child = os.fork()
    if child == 0:
        try:
            rng = random.Random(seed)
            if kill is not None:
                method, before = kill
                real, left = getattr(CampaignTable, method), iter(range(rng.randint(0, KEYS - 1), -1, -1))

                def dies(self: CampaignTable, *args: Any, **kwargs: Any) -> Any:
                    last = next(left, 0) == 0
                    if last and before:
                        os.kill(os.getpid(), signal.SIGKILL)
                    result = real(self, *args, **kwargs)
                    if last:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return result

                setattr(CampaignTable, method, dies)
            for number in rng.sample(range(1, KEYS + 1), KEYS):
                with suppress(WtsChatError):
                    send(simulator, key=f"key {number}", number=number)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def prove(simulator: Simulator, warehouse: Warehouse, seed: int) -> None:
    rng = random.Random(seed)
    for round_ in range(4):
        kills = [rng.choice(KILLS), rng.choice([*KILLS, None])]
        children = [work(simulator, seed * 100 + 10 * round_ + i, kill) for i, kill in enumerate(kills)]
        for child in children:
            code = os.waitpid(child, 0)[1]
            assert os.WIFSIGNALED(code) or os.WEXITSTATUS(code) == 0
    simulator.application.faults.clear()
    os.waitpid(work(simulator, seed, None), 0)
    got = Counter(str(entry.recipient) for entry in simulator.sends)
    assert max(got.values()) == 1
    rows = warehouse.rows()
    assert len(rows) == KEYS
    assert {row.status for row in rows} <= {"sent", "uncertain", "claimed"}
    sent = {row.message_id for row in rows if row.status == "sent"}
    assert sent <= {entry.message_id for entry in simulator.sends}
    unknown = len(simulator.sends) - len(sent)
    assert unknown <= sum(row.status != "sent" for row in rows)


@pytest.mark.parametrize("options", [{"faults": {name: 0.1 / len(FAULTS) for name in FAULTS}}], ids=["faults"])
def test_two_workers_that_are_killed_send_nothing_twice(
    any_warehouse: Warehouse, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
):
    # What a killed worker leaves behind is uncertain at once, so the next one judges it.
    monkeypatch.setattr(once, "STALE_AFTER", timedelta(seconds=0.3))
    prove(simulator, any_warehouse, seed=1)

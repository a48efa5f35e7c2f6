"""Before a campaign goes out: what it says, a message to oneself, and a control group."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_wtschat.campaigns.dispatch import fill_in
from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.simulator import Simulator
from tests.transfers.conftest import SEND, Warehouse

Try = Callable[..., dict[str, Any]]

MYSELF = "+55|11999990000"


def recipients(simulator: Simulator) -> list[str]:
    return [str(send.recipient) for send in simulator.sends]


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_preview_shows_what_is_said_and_no_number(
    warehouse: Warehouse, simulator: Simulator, dispatch: Try, caplog: pytest.LogCaptureFixture, dry_run: bool
):
    caplog.set_level(logging.INFO)
    warehouse.fill(8, amount=lambda i: f"R$ {i},00; (11) 98888-777{i}")
    dispatch(preview=True, dry_run=dry_run)
    assert "Message 5 says: Olá Cliente 5, sua fatura de R$ 5,00; (99) 99999-9999 vence hoje." in caplog.text
    assert "Message 6 says" not in caplog.text
    assert "90000-000" not in caplog.text
    caplog.clear()
    dispatch(campaign="next")
    assert "says" not in caplog.text


def test_what_has_no_value_stays():
    assert fill_in("{{1}} {{ 2 }} {{x}}", {"1": "a", "2": "b"}) == "a b {{x}}"


def test_the_first_message_goes_to_oneself_before_all(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(3)
    own = {"test_recipient": "(11) 99999-0000"}
    assert dispatch(**own, dry_run=True)["recipients"] == 3
    assert not simulator.sends
    assert dispatch(**own)["sent"] == 3
    assert dispatch(**own)["sent"] == 3
    assert recipients(simulator) == [MYSELF, *(f"+55|119{i:08}" for i in range(1, 4))]
    assert simulator.sends[0].parameters == simulator.sends[1].parameters
    assert simulator.sends[0].sender_id not in {row.sender_id for row in warehouse.rows()}


def test_nobody_gets_a_message_where_the_first_one_fails(warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    warehouse.fill(3)
    simulator.world.failing_recipients.add(MYSELF)
    said = "test_recipient: the first message failed, so nothing was planned: Número não está no WhatsApp"
    with pytest.raises(WtsChatFailedError, match=said):
        dispatch(test_recipient="+55 11 99999-0000")
    simulator.inject("400", on=SEND)
    with pytest.raises(WtsChatFailedError, match="HTTP 400"):
        dispatch(test_recipient="+55 11 99999-0000")
    assert not warehouse.rows()
    assert set(recipients(simulator)) <= {MYSELF}


def test_a_control_group_gets_no_message(any_warehouse: Warehouse, simulator: Simulator, dispatch: Try):
    any_warehouse.fill(1000)
    result = dispatch(holdout=0.1, max_failed=0)
    assert (result["sent"] + result["held_out"], result["refused"]) == (1000, 0)
    assert 70 < result["held_out"] < 130
    held = [row for row in any_warehouse.rows() if row.status == "held_out"]
    assert all((row.phone, row.content, row.message_id) == (None, None, None) for row in held)
    numbers = {f"+55|119{int(row.row_key):08}" for row in held}
    assert len(recipients(simulator)) == result["sent"]
    assert not numbers & set(recipients(simulator))
    assert dispatch(holdout=0.1)["held_out"] == result["held_out"]
    second = dispatch(campaign="another", holdout=0.1)
    other = {row.row_key for row in any_warehouse.rows() if (row.campaign, row.status) == ("another", "held_out")}
    assert 70 < second["held_out"] < 130
    assert other != {row.row_key for row in held}  # each campaign draws its own


@pytest.mark.parametrize("share", [1, 1.5, -0.1, "all"])
def test_a_share_is_wanted(warehouse: Warehouse, simulator: Simulator, dispatch: Try, share: Any):
    warehouse.fill(1)
    with pytest.raises(WtsChatFailedError, match="holdout"):
        dispatch(holdout=share)

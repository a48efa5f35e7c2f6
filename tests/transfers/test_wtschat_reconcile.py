"""Comparing a table with the account: what is missing comes, what is gone is marked, and nothing on suspicion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_wtschat.exceptions import WtsChatFailedError
from airflow_provider_wtschat.transfers.wtschat_reconcile import WtsChatReconcileOperator
from tests.loading import Table, execute, load, truth

STRANGER = "0b1c2d3e-0000-4000-8000-000000000001"


def reconcile(resource: str = "sessions", **arguments: Any) -> dict[str, Any]:
    given = {"sql_conn_id": "warehouse", "workers": 4, "table": resource, "fail_below": 0, **arguments}
    return WtsChatReconcileOperator(task_id="compare", resource=resource, **given).execute({})


def deleted(name: str = "sessions") -> set[str]:
    return {row.id for row in Table(name).rows("id, deleted_at") if row.deleted_at is not None}


def lists(simulator) -> int:
    return sum(entry.path == "/chat/v2/session" for entry in simulator.requests)


@pytest.mark.reads(sessions=400, spread_days=200)
def test_lost_and_deleted_rows_are_found(reading, destination):
    load()
    ids = [row.id for row in Table().rows("created_at, id")]
    lost, gone = ids[:3], ids[-2:]
    execute(f"DELETE FROM sessions WHERE id IN ({', '.join(repr(row) for row in lost)})")
    for row in gone:
        reading.world.delete_session(row)
    found = reconcile(by="week")
    assert (found["missing"], found["deleted"]) == (3, 2)
    assert found["reloaded"] >= 3
    assert 0 < found["differing"] < found["windows"]
    assert deleted() == set(gone)
    assert {row: text for row, text in Table().versions().items() if row not in gone} == truth(reading)

    again = reconcile(by="week")
    assert (again["missing"], again["deleted"], again["differing"], again["share"]) == (0, 0, 0, 1.0)
    # Neither is the row removed nor its mark taken away by what follows.
    load(since="2020-01-01")
    assert deleted() == set(gone)


def test_sighting_clears_the_mark(reading, destination):
    load()
    back = next(iter(truth(reading)))
    kept = reading.world.sessions.get(back)
    reading.world.delete_session(back)
    assert reconcile()["deleted"] == 1
    reading.world.sessions.put(kept)
    load(since="2020-01-01")
    assert deleted() == set()


@pytest.mark.parametrize("resource", ["contacts", "cards"])
def test_other_resources(resource, reading, plain_destination):
    load(resource)
    lost = Table(resource).rows("id")[0].id
    execute(f"DELETE FROM {resource} WHERE id = '{lost}'")
    found = reconcile(resource)
    assert (found["missing"], found["deleted"]) == (1, 0)
    assert found["account"] == found["stored"] + 1
    assert reconcile(resource)["differing"] == 0


def test_equal_counts_hide_a_swap_unless_all_ids_are_read(reading, plain_destination):
    load()
    lost = Table().rows("id", "WHERE status = 'COMPLETED'")[0].id
    execute(f"UPDATE sessions SET id = '{STRANGER}' WHERE id = '{lost}'")
    assert reconcile()["missing"] == 0
    found = reconcile(full="True")
    assert (found["missing"], found["deleted"]) == (1, 1)
    assert deleted() == {STRANGER}


@pytest.mark.reads(sessions=200, spread_days=60)
def test_open_rows_that_did_not_move_are_compared(reading, plain_destination):
    load()
    stale = "2020-01-01T00:00:00.000000Z"
    rows = Table().rows("id, status", "WHERE status = 'COMPLETED'")[:3]
    for row in rows:
        execute(f"UPDATE sessions SET status = 'PENDING', updated_at = '{stale}', hash = 'x' WHERE id = '{row.id}'")
    found = reconcile()
    assert (found["differing"], found["reloaded"]) == (0, 3)
    assert {row.status for row in Table().rows("id, status") if row.id in {one.id for one in rows}} == {"COMPLETED"}


def test_nothing_is_deleted_on_suspicion(reading, plain_destination):
    load()
    gone = list(truth(reading))[:5]
    for row in gone:
        reading.world.delete_session(row)
    with pytest.raises(WtsChatFailedError, match="max_deletes: 5 rows"):
        reconcile(max_deletes=4)
    assert deleted() == set()

    # A row that slipped past the lists is still there.
    reading.inject("400", on="GET /chat/v2/session/{id}", times=None)
    with pytest.raises(WtsChatFailedError):
        reconcile()
    assert deleted() == set()


def test_row_that_only_a_proxy_does_not_find_is_not_taken_for_deleted(reading, plain_destination, monkeypatch):
    from airflow_provider_wtschat.exceptions import WtsChatNotFoundError
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

    load()
    gone = next(iter(truth(reading)))
    reading.world.delete_session(gone)
    whole = WtsChatHook.answer

    def answer(self, request, **how):
        if request.route == "/chat/v2/session/{id}":
            message = "HTTP 404"
            raise WtsChatNotFoundError(message, status=404)
        return whole(self, request, **how)

    monkeypatch.setattr(WtsChatHook, "answer", answer)
    with pytest.raises(WtsChatFailedError, match="404"):
        reconcile()
    assert deleted() == set()


def test_row_that_lists_hide_is_not_taken_for_deleted(reading, plain_destination):
    load()
    hidden = next(iter(truth(reading)))
    row = reading.world.sessions.delete(hidden)
    reading.world.sessions.put(row, listed_at=row.updated + 10**15)
    before = lists(reading)
    found = reconcile(full=True, unchanged_for=None)
    # One for the clock, a count and a reading of each window, and a second reading of that which it is missing from.
    assert lists(reading) - before == 1 + 2 * found["windows"] + 1
    assert found["deleted"] == 0
    assert deleted() == set()


def test_account_that_shows_too_little_is_refused(reading, plain_destination):
    load()
    for row in list(truth(reading))[:30]:
        reading.world.delete_session(row)
    with pytest.raises(WtsChatFailedError, match="min_share: the account shows 90 rows"):
        reconcile()
    assert reconcile(min_share=0.5)["deleted"] == 30


def test_table_that_misses_much_fails_after_it_was_mended(reading, plain_destination):
    load()
    execute("DELETE FROM sessions WHERE id < '4'")
    with pytest.raises(WtsChatFailedError, match="fail_below"):
        reconcile(fail_below="0.99")
    assert Table().versions() == truth(reading)


def test_what_the_account_got_since_the_load_is_not_missing(reading, destination):
    load("contacts")
    load("messages")
    lost = Table("contacts").rows("id")[0].id
    execute(f"DELETE FROM contacts WHERE id = '{lost}'")
    for _ in range(3):
        reading.world.create_contact()
    reading.world.add_inbound_message(Table("messages").rows("session_id")[0].session_id)
    found = reconcile("contacts", fail_below=0.96)
    assert (found["missing"], found["account"]) == (1, found["stored"] + 1)
    # Whoever asks for more gets it.
    later = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    assert reconcile("contacts", until=later)["missing"] == 3
    assert reconcile("messages", fail_below=1)["missing"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"resource": "chats"}, "sessions, contacts, cards"),
        ({"resource": "agents", "since": "2026-01-01"}, "no window"),
        ({"min_share": 2}, "min_share"),
        ({"max_deletes": -1}, "max_deletes"),
        ({"by": "decade"}, "by"),
        ({"since": "2026-02-01", "until": "2026-01-01"}, "backwards"),
    ],
)
def test_arguments_that_are_refused(reading, plain_destination, arguments, words):
    with pytest.raises(WtsChatFailedError, match=words):
        reconcile(**arguments)

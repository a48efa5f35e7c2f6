"""Each event once, in order, and safe when it was said to be stored."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.webhook_events import WebhookEvent
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.webhooks.inbox import Inbox, InboxError, get_inbox
from airflow_provider_wtschat.webhooks.inbox._directory import DirectoryInbox
from airflow_provider_wtschat.webhooks.state import inbox_state

ROOT = Path(__file__).parents[2]


def event(number: int) -> WebhookEvent:
    content = {
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "name": "Maria da Silva",
        "phonenumber": "+55|11900000001",
    }
    return WebhookEvent.parse(json.dumps({"eventType": "CONTACT_NEW", "content": content}).encode())


def numbers(inbox: Inbox, conn_id: str, after: str = "", limit: int = 1000) -> list[int]:
    return [int(stored.event.ids["contact_id"][-12:]) for stored in inbox.read(conn_id, after=after, limit=limit)]


def test_each_event_once_for_each_connection(inbox: Inbox, conn_id: str):
    assert inbox.put([(conn_id, event(1)), (conn_id, event(2)), (conn_id, event(1))]) == [True, True, False]
    assert inbox.put([(conn_id, event(2)), (conn_id, event(3)), (f"{conn_id}_b", event(3))]) == [False, True, True]
    assert numbers(inbox, conn_id) == [1, 2, 3]
    assert numbers(inbox, f"{conn_id}_b") == [3]
    (stored, *_) = inbox.read(conn_id)
    assert stored.event == event(1)
    assert abs(stored.received - datetime.now(UTC)) < timedelta(minutes=1)


def test_what_was_read_can_be_read_again(inbox: Inbox, conn_id: str):
    assert inbox.recall(conn_id) is None
    inbox.put([(conn_id, event(number)) for number in range(6)])
    places = ["", *(stored.place for stored in inbox.read(conn_id))]
    for after, until in ((0, 3), (2, 5)):  # the later one counts
        inbox.remember(conn_id, places[after], places[until])
        assert inbox.recall(conn_id) == (places[after], places[until])
        again = inbox.read(conn_id, after=places[after], until=places[until])
        assert [stored.place for stored in again] == places[after + 1 : until + 1]
    assert inbox.read(conn_id, until="") == []
    assert inbox.recall(f"{conn_id}_b") is None
    # In Redis it goes by itself.
    inbox.prune(datetime.now(UTC) + timedelta(seconds=1))
    if isinstance(inbox, DirectoryInbox):
        assert inbox.recall(conn_id) is None


def test_readers_go_on_where_they_were(inbox: Inbox, conn_id: str):
    assert inbox.cursor(conn_id) is None
    inbox.put([(conn_id, event(number)) for number in range(10)])
    some = inbox.read(conn_id, limit=4)
    inbox.move(conn_id, some[-1].place)
    assert inbox.cursor(conn_id) == some[-1].place
    inbox.move(conn_id, some[0].place)  # never back
    assert inbox.cursor(conn_id) == some[-1].place
    assert inbox.cursors()[conn_id] == some[-1].place
    assert numbers(inbox, conn_id, after=some[-1].place) == [4, 5, 6, 7, 8, 9]
    assert numbers(inbox, conn_id, after=inbox.end(conn_id)) == []
    inbox.put([(conn_id, event(10))])
    assert numbers(inbox, conn_id, after=some[-1].place) == [4, 5, 6, 7, 8, 9, 10]


def test_what_was_forgotten_gives_its_place_to_nobody(inbox: Inbox, conn_id: str):
    inbox.put([(conn_id, event(number)) for number in range(3)])
    end = inbox.end(conn_id)
    time.sleep(0.01)
    assert inbox.prune(datetime.now(UTC) + timedelta(seconds=1)) >= 3
    assert numbers(inbox, conn_id) == []
    inbox.put([(conn_id, event(7))])
    assert numbers(inbox, conn_id, after=end) == [7]


def test_a_reader_misses_nothing_that_writers_store_meanwhile(inbox: Inbox, spec: str, conn_id: str):
    """Places are given in the order of the commits: what is stored late never lies before what was read."""
    done = threading.Event()

    def write(first: int) -> None:
        for number in range(first, first + 100, 5):
            inbox.put([(conn_id, event(each)) for each in range(number, number + 5)])

    def read() -> list[int]:
        seen: list[int] = []
        after = ""
        while True:
            ended = done.is_set()
            rows = inbox.read(conn_id, after=after, limit=7)
            seen += [int(row.event.ids["contact_id"][-12:]) for row in rows]
            after = rows[-1].place if rows else after
            if ended and not rows:
                return seen

    with ThreadPoolExecutor(5) as threads:
        reader = threads.submit(read)
        list(threads.map(write, [0, 100, 200, 300]))
        done.set()
        assert sorted(reader.result()) == list(range(400))


WRITER = """
import sys
from airflow_provider_wtschat.webhooks.inbox import get_inbox
from tests.webhooks.test_inbox import event
inbox = get_inbox(sys.argv[1])
for number in range(0, 100_000, 5):
    inbox.put([(sys.argv[2], event(each)) for each in range(number, number + 5)])
    print(number, flush=True)
"""


def test_what_was_stored_outlives_a_killed_process(inbox: Inbox, spec: str, conn_id: str):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, spec, conn_id],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(50)]
    writer.send_signal(signal.SIGKILL)
    said += [int(line) for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    kept = numbers(inbox, conn_id, limit=1_000_000)
    assert kept[: len(said) * 5] == list(range(len(said) * 5))
    assert len(kept) - len(said) * 5 in (0, 5)
    assert len(kept) % 5 == 0 or not spec.startswith("/")
    assert inbox.put([(conn_id, event(0)), (conn_id, event(100_000))]) == [False, True]


def test_nothing_personal_is_on_the_disk(tmp_path: Path, conn_id: str):
    inbox = get_inbox(str(tmp_path / "inbox"))
    inbox.put([(conn_id, event(1))])
    files = list((tmp_path / "inbox").iterdir())
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    kept = b"".join(file.read_bytes() for file in files)
    assert b"contact_id" in kept
    assert b"Maria" not in kept
    assert b"11900000001" not in kept


def test_an_inbox_that_was_away_comes_back(tmp_path: Path, conn_id: str):
    place = tmp_path / "inbox"
    inbox = get_inbox(str(place))
    inbox.put([(conn_id, event(1))])
    place.rename(tmp_path / "away")
    place.touch()
    for _ in range(2):
        with pytest.raises(InboxError, match="inbox"):
            inbox.put([(conn_id, event(2))])
    place.unlink()
    (tmp_path / "away").rename(place)
    assert inbox.put([(conn_id, event(1)), (conn_id, event(2))]) == [False, True]


def test_a_redis_that_is_not_there_is_told_without_its_password(conn_id: str):
    with pytest.raises(InboxError, match="Connection refused") as refused:
        get_inbox("redis://user:secret@127.0.0.1:9/0").put([(conn_id, event(1))])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("spec", ["inbox", "process", "redis://:pw/pw@host", "http://redis.example"])
def test_a_place_without_meaning_is_refused(spec: str):
    with pytest.raises(WtsChatArgumentError) as refused:
        get_inbox(spec)
    assert refused.value.argument == "[wtschat] webhook_inbox"
    assert "pw" not in str(refused.value)


def test_a_forked_child_has_its_own_connection(inbox: Inbox, spec: str, conn_id: str):
    inbox.put([(conn_id, event(1))])
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if inbox.put([(conn_id, event(1)), (conn_id, event(2))]) == [False, True] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert inbox.put([(conn_id, event(3))]) == [True]
    assert numbers(inbox, conn_id) == [1, 2, 3]


def test_how_an_inbox_does(inbox: Inbox, spec: str, conn_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_INBOX", spec)
    assert inbox_state() == {"connections": [], "why": "off"}
    monkeypatch.setenv("AIRFLOW__WTSCHAT__WEBHOOK_SECRET", "0123456789abcdef")
    other = f"{conn_id}_other"
    assert [one for one in inbox_state()["connections"] if one["connection"].startswith(conn_id)] == []
    inbox.put([(conn_id, event(1)), (other, event(2))])
    inbox.move(f"{conn_id}:slow", inbox.end(conn_id))
    inbox.put([(conn_id, event(3))])
    inbox.move(f"{conn_id}:quick", inbox.end(conn_id))
    time.sleep(0.2)
    told = {one["connection"]: one for one in inbox_state()["connections"] if one["connection"].startswith(conn_id)}
    assert told.keys() == {conn_id, other}
    assert datetime.now(UTC) - instants.read(told[conn_id]["newest"]) < timedelta(seconds=30)
    quick, slow = told[conn_id]["readers"]
    assert (quick["reader"], quick["lag"], slow["reader"]) == ("quick", 0.0, "slow")
    assert 0 < slow["lag"] < 30

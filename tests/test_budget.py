"""No more requests than the account allows, whoever makes them; and every request that it allows."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_wtschat._compat import Stats
from airflow_provider_wtschat.budget import (
    Budget,
    BudgetTimeoutError,
    Limits,
    Window,
    account,
    directory,
    get_budget,
    get_usages,
    process,
    redis,
    registry,
)
from airflow_provider_wtschat.budget.directory import DirectoryStore
from airflow_provider_wtschat.budget.limits import HELD, YIELDING, Refusal, SharedStore, StoreError
from airflow_provider_wtschat.budget.process import ProcessStore
from airflow_provider_wtschat.budget.redis import RedisStore
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from tests.arrivals import HOLD_SECONDS, SMALL, ArrivalServer, Work, redis_server, run_together
from tests.waiting import until

TINY = Limits(burst=Window(4, 0.2), read=Window(6, 0.6), send=Window(4, 0.4), lease=2.0)


class Clock:
    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def lines(self, level: int) -> list[str]:
        return [record.getMessage() for record in self.records if record.levelno == level]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    handler, logger = Log(), logging.Logger("budget", logging.DEBUG)
    logger.addHandler(handler)
    monkeypatch.setattr(account, "log", logger)
    return handler


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registry", {})


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a Redis of our own."""
    with redis_server() as url:
        if url is None:
            pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
        yield url


@pytest.fixture(params=["process", "directory", "redis"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of store."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return "process" if request.param == "process" else str(tmp_path / "budget")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An account of the test's own."""
    return request.node.name


def take(budget: Budget, stack: ExitStack, count: int, **kind: Any) -> None:
    for _ in range(count):
        stack.enter_context(budget.slot(timeout=0, **kind))


def refusal(budget: Budget, **kind: Any) -> BudgetTimeoutError:
    with pytest.raises(BudgetTimeoutError) as caught, budget.slot(timeout=0, **kind):
        pass
    return caught.value


# --- The windows ------------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "answer", "wait", "hold"]),
        st.booleans(),  # a send?
        st.booleans(),  # bulk?
        st.floats(0, 0.5, width=16),
        st.integers(0, 9),
    ),
    max_size=60,
)
NO_LEASE = replace(TINY, lease=1e6)
BULK_SHARE = 0.5


@given(steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_slots_never_overlap_more_than_a_window_allows(steps: list[tuple[str, bool, bool, float, int]]):
    """Whenever a request arrives between leaving and answer, no window sees more than its limit.

    The stores of a process and of a directory decide alike, and neither refuses what is free.
    """
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        stores = [ProcessStore(NO_LEASE, clock=clock), DirectoryStore(Path(folder), "a", NO_LEASE, clock=clock)]
        taken: dict[int, tuple[bool, float | None]] = {}
        held = False
        for number, (step, send, bulk, seconds, choice) in enumerate(steps):
            if step == "wait":
                clock.now += seconds
            elif step == "hold" and not choice:
                held = True
                for store in stores:
                    store.hold(seconds)
            elif step == "answer":
                unanswered = [slot for slot, (_, answered) in taken.items() if answered is None]
                if unanswered:
                    slot = unanswered[choice % len(unanswered)]
                    taken[slot] = (taken[slot][0], clock.now)
                    for store in stores:
                        store.answer(slot, send=taken[slot][0])
            elif step == "take":
                bulk_share = BULK_SHARE if bulk else None
                first, second = (store.take(number, send=send, bulk_share=bulk_share) for store in stores)
                assert (first is None) == (second is None)
                if first is None:
                    taken[number] = (send, None)
                else:
                    assert second is not None
                    assert first == (pytest.approx(second.wait), second.reason)
                used = {
                    name: sum(
                        answered is None or clock.now - answered < window.seconds
                        for is_send, answered in taken.values()
                        if name in dict(NO_LEASE.of(is_send))
                    )
                    for name, window in NO_LEASE.of(send)
                }
                allowed = {name: window.share(bulk_share or 1) for name, window in NO_LEASE.of(send)}
                if first is None:
                    assert all(used[name] <= allowed[name] for name in used)
                elif not held and not bulk:
                    assert any(used[name] >= allowed[name] for name in used)
                    assert 0 < first.wait <= 0.6


@pytest.mark.parametrize("kind", ["process", "directory"])
def test_wait_is_exact(kind: str, tmp_path: Path):
    clock = Clock()
    store = ProcessStore(TINY, clock=clock) if kind == "process" else DirectoryStore(tmp_path, "a", TINY, clock=clock)
    for slot in range(4):
        assert store.take(slot, send=False, bulk_share=None) is None
        clock.now += 0.01
    # All are under way: one may be answered at once, and not be free before the window is over.
    assert store.take(9, send=False, bulk_share=None) == (
        pytest.approx(0.2),
        "all of the account's 4 requests in 0.2 s",
    )
    store.answer(2, send=False)
    clock.now += 0.05
    assert store.take(9, send=False, bulk_share=None) == (
        pytest.approx(0.15),
        "all of the account's 4 requests in 0.2 s",
    )
    clock.now += 0.149
    assert store.take(9, send=False, bulk_share=None) is not None
    clock.now += 0.002
    assert store.take(9, send=False, bulk_share=None) is None


def test_full_windows_say_what_is_full(spec: str, name: str):
    budget = get_budget(name, spec, limits=TINY)
    with ExitStack() as stack:
        take(budget, stack, 4)
        error = refusal(budget)
    assert "all of the account's 4 requests in 0.2 s" in str(error)
    assert error.wait == pytest.approx(0.2, abs=0.1)
    with ExitStack() as stack, budget.slot():
        take(budget, stack, 1)
    error = refusal(budget)
    assert "6 requests in 0.6 s" in str(error)


def test_sends_have_their_own_window(spec: str, name: str):
    budget = get_budget(name, spec, limits=replace(TINY, burst=Window(100, 0.2), read=Window(6, 30)))
    with ExitStack() as stack:
        take(budget, stack, 6)
        assert refusal(budget).wait > 1
        take(budget, stack, 4, send=True)
        assert refusal(budget, send=True).wait < 1


def test_bulk_leaves_the_rest_of_each_window(spec: str, name: str):
    budget = get_budget(name, spec, bulk_share=0.5, limits=replace(TINY, read=Window(6, 30)))
    with ExitStack() as stack:
        take(budget, stack, 2, bulk=True)
        assert "50% of the account's 4 requests in 0.2 s" in str(refusal(budget, bulk=True))
        take(budget, stack, 2)
    with (
        pytest.raises(BudgetTimeoutError, match="50% of the account's 6 requests in 30 s"),
        budget.slot(bulk=True, timeout=1),
    ):
        pass
    with budget.slot(), budget.slot():  # interactive calls go on
        pass


def test_waiting_calls_go_first(spec: str, name: str, monkeypatch: pytest.MonkeyPatch):
    """Even where bulk may take all of a window, it leaves a slot that comes free to the call that waits for it."""
    limits = Limits(burst=Window(2, 1.0), read=Window(100, 30.0))
    order: list[str] = []

    def call(budget: Budget, bulk: bool) -> None:
        with budget.slot(bulk=bulk):
            order.append("bulk" if bulk else "call")

    reader = caller = get_budget(name, spec, bulk_share=1, limits=limits)
    if spec != "process":
        monkeypatch.setattr(registry, "_registry", {})  # as another process sees it
        caller = get_budget(name, spec, limits=limits)
    with ExitStack() as stack:
        take(reader, stack, 2, bulk=True)
    waiting = [threading.Thread(target=call, args=who) for who in ((reader, True), (caller, False), (caller, False))]
    for thread, (budget, bulk) in zip(waiting, ((reader, True), (caller, False), (caller, False)), strict=True):
        thread.start()
        while account._Kind(send=False, bulk=bulk) not in budget._refusals:
            time.sleep(0.001)
    for thread in waiting:
        thread.join()
    assert order == ["call", "call", "bulk"]


def test_bulk_yields_a_free_slot_only_to_who_waits_for_it(spec: str, name: str, monkeypatch: pytest.MonkeyPatch):
    for module in (directory, process, redis):
        monkeypatch.setattr(module, "GRACE", 2.0)
    budget = get_budget(name, spec, limits=replace(TINY, send=Window(4, 1.0)))
    store: Any = budget._own if spec == "process" else budget._shared[0]
    for slot in range(4):
        assert store.take(slot, send=True, bulk_share=None) is None
        store.answer(slot, send=True)
    refused = store.take(9, send=True, bulk_share=None)
    assert refused.reason == "all of the account's 4 requests in 1 s"
    while (read := store.take(10, send=False, bulk_share=1.0)) is not None:
        time.sleep(read.wait)
    assert store.take(11, send=True, bulk_share=1.0).wait > 0
    time.sleep(max(0.0, store.take(9, send=True, bulk_share=None).wait))
    refused = store.take(12, send=True, bulk_share=1.0)
    assert refused.reason == YIELDING
    assert refused.wait <= 2.0
    time.sleep(refused.wait)
    assert store.take(13, send=True, bulk_share=1.0) is None


def test_bulk_share_of_one_reaches_every_slot(spec: str, name: str):
    budget = get_budget(name, spec, bulk_share=1, limits=TINY)
    with ExitStack() as stack:
        take(budget, stack, 4, bulk=True)


def test_slots_of_a_dead_process_come_back(spec: str, name: str):
    if spec == "process":
        pytest.skip("nobody is left to wait")
    limits = replace(TINY, lease=1.5, read=Window(100, 1.0))
    taker = f"""
import os, signal
from airflow_provider_wtschat.budget import Limits, Window, get_budget
budget = get_budget({name!r}, {spec!r}, limits={limits!r})
slots = [budget.slot() for _ in range(4)]
for slot in slots:
    slot.__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", taker], env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    )
    assert done.returncode == -signal.SIGKILL
    budget = get_budget(name, spec, limits=limits)
    refusal(budget)
    with budget.slot(timeout=5):
        pass


def test_a_slot_answered_after_its_lease_counts_from_its_answer():
    clock = Clock()
    store = ProcessStore(TINY, clock=clock)
    for slot in range(4):
        store.take(slot, send=False, bulk_share=None)
    clock.now += 3
    for slot in range(4):
        store.answer(slot, send=False)
    assert store.take(4, send=False, bulk_share=None) == (
        pytest.approx(0.2),
        "all of the account's 4 requests in 0.2 s",
    )


# --- A 429 ------------------------------------------------------------------------------------------------------------


def test_hold_stops_everybody(spec: str, name: str, monkeypatch: pytest.MonkeyPatch):
    budget = get_budget(name, spec, limits=TINY)
    budget.hold(30)
    budget.hold(1)  # a shorter one does not end it
    assert refusal(budget).wait == pytest.approx(30, abs=1)
    assert HELD in str(refusal(budget, send=True))
    assert HELD in str(refusal(budget, bulk=True))
    if spec != "process":
        monkeypatch.setattr(registry, "_registry", {})  # as another process sees it
        assert refusal(get_budget(name, spec, limits=TINY)).wait == pytest.approx(30, abs=1)


def test_a_hold_without_measure_ends(spec: str, name: str):
    budget = get_budget(name, spec, limits=TINY)
    budget.hold(1.7e9)
    assert refusal(budget).wait == pytest.approx(900, abs=1)


def test_without_a_store_each_429_halves_the_share():
    clock = Clock()
    store = ProcessStore(Limits(), share=0.8, clock=clock)
    store.hold(0)
    store.hold(0)  # the same incident
    assert store.share == pytest.approx(0.4)
    clock.now += 5
    store.hold(0)
    shares = []
    for _ in range(8):
        shares.append(round(store.share, 3))
        clock.now += 300
    assert shares == [0.201, 0.281, 0.361, 0.441, 0.521, 0.601, 0.681, 0.761]
    clock.now += 300
    assert store.share == 0.8
    store.hold(0)
    assert [store.take(slot, send=False, bulk_share=None) for slot in range(80)] == [None] * 80
    assert store.take(80, send=False, bulk_share=None) == (5.0, "40% of the account's 200 requests in 5 s")


def test_each_429_halves_what_those_who_count_together_take(
    spec: str, name: str, log: Log, monkeypatch: pytest.MonkeyPatch
):
    """A budget that counts every request meets no 429: somebody else uses the account."""
    limits = replace(TINY, read=Window(6, 300.0))  # which recovers slowly
    budget = get_budget(name, spec, limits=limits)
    for _ in range(3):  # one incident
        budget.hold(0.001)
    time.sleep(0.01)
    if spec != "process":
        monkeypatch.setattr(registry, "_registry", {})  # as another process sees it
    with ExitStack() as stack:
        take(get_budget(name, spec, limits=limits), stack, 2)
        assert "50% of the account's 4 requests in 0.2 s" in str(refusal(get_budget(name, spec, limits=limits)))
    (warning,) = log.lines(logging.WARNING)
    assert "somebody else uses the account" in warning


@pytest.mark.parametrize("kind", ["process", "directory"])
def test_a_slowed_budget_recovers(kind: str, tmp_path: Path):
    clock = Clock(1e6)
    store = ProcessStore(Limits(), clock=clock) if kind == "process" else DirectoryStore(tmp_path, "a", Limits(), clock)
    store.hold(0)
    store.hold(0)
    clock.now += 5
    store.hold(0)
    free = []
    for window in range(8):
        clock.now += 300
        taken = 0
        while store.take(1000 * window + taken, send=False, bulk_share=None) is None:
            taken += 1
        free.append(taken)
    assert free == [70, 90, 110, 130, 150, 170, 190, 200]


# --- A store in trouble -----------------------------------------------------------------------------------------------


def test_clock_that_steps_back_costs_a_window(tmp_path: Path):
    clock = Clock(1e6)
    store = DirectoryStore(tmp_path, "a", Limits(), clock=clock)
    for slot in range(200):
        assert store.take(slot, send=False, bulk_share=None) is None
        if slot % 2:
            store.answer(slot, send=False)
    store.hold(100)
    clock.now -= 3600
    waited = 0.0
    while (refused := store.take(999, send=False, bulk_share=None)) is not None:
        waited += max(refused.wait, 0.001)
        clock.now += max(refused.wait, 0.001)
    assert waited == pytest.approx(5, abs=0.1)


def test_clock_that_steps_back_a_little_costs_no_more_than_the_step(tmp_path: Path):
    clock = Clock(1e6)
    store = DirectoryStore(tmp_path, "a", Limits(), clock=clock)
    for slot in range(200):
        store.take(slot, send=False, bulk_share=None)
        store.answer(slot, send=False)
    clock.now -= 60
    waited = 0.0
    while (refused := store.take(999, send=False, bulk_share=None)) is not None:
        waited += refused.wait
        clock.now += refused.wait
    assert waited == pytest.approx(65, abs=0.1)


def test_redis_whose_clock_steps_back(redis_url: str, name: str):
    from redis import Redis

    store = RedisStore(redis_url, name, TINY)
    for slot in range(4):
        assert store.take(slot, send=False, bulk_share=None) is None
    client = Redis.from_url(redis_url)
    future = (time.time() + 3600) * 1e6
    window = f"wtschat:budget:v3:{{{name}}}:burst"
    slots: Any = client.zrange(window, 0, -1)
    client.zadd(window, dict.fromkeys(slots, future))
    refused = store.take(9, send=False, bulk_share=None)
    assert refused is not None
    time.sleep(refused.wait + 0.01)
    assert store.take(9, send=False, bulk_share=None) is None


def delete(file: Path) -> None:
    file.unlink()


def delete_all(file: Path) -> None:
    shutil.rmtree(file.parent)


def overwrite(file: Path) -> None:
    file.write_bytes(b"not a database " * 1000)


def overwrite_beside(file: Path) -> None:
    other = file.with_suffix(".other")
    other.write_bytes(b"not a database " * 1000)
    other.replace(file)


def empty(file: Path) -> None:
    other = file.with_suffix(".other")
    other.touch()
    other.replace(file)


def drop_tables(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE slots")


HARMS = pytest.mark.parametrize("harm", [delete, delete_all, overwrite, overwrite_beside, empty, drop_tables])


@HARMS
def test_a_lost_file_is_one_warning(harm: Any, tmp_path: Path, log: Log):
    """The process goes on counting for itself, with what it took before."""
    budget = get_budget("a", str(tmp_path / "budget"), limits=replace(TINY, burst=Window(4, 30.0)))
    with ExitStack() as stack:
        take(budget, stack, 2)
        (file,) = (tmp_path / "budget").glob("*.sqlite")
        harm(file)
        take(budget, stack, 2)
        refusal(budget)
        for _ in range(3):
            budget._down_until.update(dict.fromkeys(budget._shared, 0.0))
            refusal(budget)
    # Overwritten under its readers' hands, the file may serve them from its log for a while.
    assert len(log.lines(logging.WARNING)) == 1 - (harm is overwrite)


@HARMS
def test_a_lost_file_is_replaced(harm: Any, tmp_path: Path):
    stores = [DirectoryStore(tmp_path / "budget", "a", Limits()) for _ in range(2)]
    for slot, store in enumerate(stores):
        assert store.take(slot, send=False, bulk_share=None) is None
    harm(stores[0].path)
    newcomer = DirectoryStore(tmp_path / "budget", "a", Limits())
    stores.append(newcomer)
    for look in range(3):
        for slot, store in enumerate(stores, start=10 + 3 * look):
            with suppress(StoreError):
                store.take(slot, send=False, bulk_share=None)
    for slot, store in enumerate(stores, start=100):
        assert store.take(slot, send=False, bulk_share=None) is None
    with closing(sqlite3.connect(newcomer.path)) as connection:
        rows = {row[0] for row in connection.execute("SELECT id FROM slots")}
    assert {100, 101, 102} <= rows
    assert harm is not delete or not {0, 1} & rows
    assert {path.name for path in newcomer.path.parent.iterdir()} == {
        f"{newcomer.path.name}{suffix}" for suffix in ("", "-wal", "-shm")
    }


def test_a_directory_that_cannot_be_made(tmp_path: Path, log: Log):
    (tmp_path / "file").touch()
    budget = get_budget("a", str(tmp_path / "file" / "budget"), limits=TINY)
    for _ in range(2):
        with ExitStack() as stack:
            take(budget, stack, 2)
    refusal(budget)
    assert len(log.lines(logging.WARNING)) == 1
    assert "Not a directory" in log.lines(logging.WARNING)[0]
    assert budget.describe() == "of this process alone, because its store cannot be used"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave another user's file")
@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_another_users_file(tmp_path: Path, mode: int):
    directory = tmp_path / "budget"
    directory.mkdir()
    directory.chmod(0o777)
    for parent in [tmp_path, *tmp_path.parents][:-1]:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    with get_budget("a", str(directory), limits=TINY).slot():
        pass
    (file,) = directory.glob("*.sqlite")
    file.chmod(mode)
    child = os.fork()
    if not child:
        code = 1
        with suppress(BaseException):
            os.setuid(65534)
            handler = Log()
            account.log = logging.Logger("budget")
            account.log.addHandler(handler)
            budget = get_budget("a", str(directory), limits=TINY)
            budget._warned.clear()
            with budget.slot(timeout=0):
                warnings = handler.lines(logging.WARNING)
                code = 0 if len(warnings) == 1 and "another user" in warnings[0] else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_redis_down_and_up_again(log: Log, tmp_path: Path, redis_url: str, name: str):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    budget = get_budget(name, f"redis://user:secret@127.0.0.1:{port}/0", limits=TINY)
    with budget.slot(timeout=0), budget.slot(timeout=0):
        pass
    (warning,) = log.lines(logging.WARNING)
    assert "Connection refused" in warning
    assert "so for now it is shared by the processes of this machine" in warning
    assert "secret" not in warning
    budget._shared = (RedisStore(redis_url, name, TINY), *budget._shared[1:])
    budget._down_until = {budget._shared[0]: 0.0}
    with budget.slot(timeout=1), budget.slot(timeout=1):
        pass
    assert log.lines(logging.INFO)[-1].endswith("again.")


def test_a_redis_that_hangs_costs_seconds_not_the_task(log: Log, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("airflow_provider_wtschat.budget.redis._TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        budget = get_budget(name, f"redis://127.0.0.1:{silent.getsockname()[1]}/0", limits=TINY)
        with budget.slot(timeout=0), budget.slot(timeout=0):
            pass
    assert len(log.lines(logging.WARNING)) == 1


def test_the_file_is_private_and_does_not_name_the_account(tmp_path: Path):
    before = os.umask(0)
    try:
        with get_budget("pn_secret", str(tmp_path / "deep" / "budget")).slot():
            made = [tmp_path / "deep" / "budget", *(tmp_path / "deep" / "budget").iterdir()]
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in made[1:]} == {"0o600"}
    assert oct(made[0].stat().st_mode & 0o777) == "0o700"
    assert not any("pn_secret" in str(path) for path in made)


def test_a_process_that_429s_have_slowed_comes_back_to_redis_by_itself(
    log: Log, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What it took for itself while Redis was away must not keep it from asking Redis."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "a file, no directory"))
    (tmp_path / "a file, no directory").touch()
    monkeypatch.setattr(account, "_STORE_AGAIN_AFTER", 0.3)
    limits = Limits(burst=Window(8, 0.2), read=Window(100, 300.0))
    with redis_server() as url:
        if url is None:
            pytest.skip("redis-server is not installed")
        budget = get_budget(name, url, limits=limits)
        with budget.slot(timeout=0):
            pass
    while (share := budget._own.share) >= 0.2:
        budget.hold(0.001)
        time.sleep(0.01)
    for _ in range(int(100 * share) - 1):  # and the one before
        with budget.slot(timeout=5):
            pass
    assert refusal(budget).wait > 200
    with redis_server(int(url.rpartition(":")[2].partition("/")[0])):
        deadline = time.monotonic() + 20
        while not any(line.endswith("again.") for line in log.lines(logging.INFO)):
            assert time.monotonic() < deadline, "Redis was not asked again"
            with suppress(BudgetTimeoutError), budget.slot(timeout=0):
                pass
            time.sleep(0.01)
        for _ in range(20):
            with budget.slot(timeout=5):
                pass


# --- Waiting ----------------------------------------------------------------------------------------------------------


def test_timeout_raises_at_once_when_it_cannot_do(spec: str, name: str):
    budget = get_budget(name, spec, limits=TINY)
    budget.hold(60)
    with pytest.raises(BudgetTimeoutError) as caught, budget.slot(timeout=30):
        pass
    assert caught.value.wait == pytest.approx(60, abs=1)
    assert budget.waited == 0


def test_those_who_queue_time_out_too(name: str):
    budget = get_budget(name, "process", limits=TINY)
    budget.hold(60)
    stop = threading.Event()

    def wait() -> None:
        with suppress(BudgetTimeoutError), budget.slot(stop=stop):
            pytest.fail("the budget is held")

    threads = [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    while not budget._refusals:
        time.sleep(0.001)
    with pytest.raises(BudgetTimeoutError, match=HELD) as caught, budget.slot(timeout=0.05):
        pass
    assert caught.value.wait == pytest.approx(60, abs=5)
    stop.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def test_waiting_shows_in_the_log(log: Log, monkeypatch: pytest.MonkeyPatch, name: str):
    seconds = Clock()
    measured: list[Any] = []
    monkeypatch.setattr(account.time, "monotonic", seconds)
    monkeypatch.setattr(account.time, "sleep", lambda pause: setattr(seconds, "now", seconds.now + pause))
    monkeypatch.setattr(account.Stats, "timing", lambda *args: measured.append(args))
    store = FakeStore()
    store.gate.set()
    budget = Budget(ProcessStore(Limits(), clock=seconds), [store], 1.0)
    for _ in range(1000):
        with budget.slot():
            pass
    lines = log.lines(logging.INFO)
    assert lines[0] == "The account's request budget is fake."
    assert len(lines) == 1  # waits of up to 5 s are everyday
    budget.hold(100)
    with budget.slot():
        pass
    assert log.lines(logging.INFO)[1:] == [
        f"Waiting {wait} s for the account's request limit (all of the account's 1000 requests in 300 s)"
        for wait in range(280, 0, -30)
    ]
    assert budget.requests == 1001
    assert budget.waited == pytest.approx(300, abs=0.1)
    assert {args[0] for args in measured} == {"wtschat.budget.wait"}
    assert sum(args[1].total_seconds() for args in measured) == pytest.approx(300, abs=0.1)


def test_many_waiters_ask_the_store_no_more_than_one():
    asked: list[int] = []

    class Full(FakeStore):
        def take(self, slot: int, *, send: bool, bulk_share: float | None) -> Refusal | None:
            asked.append(slot)
            return None if stop.is_set() else Refusal(0.05, "full")

    stop = threading.Event()
    budget = Budget(ProcessStore(Limits()), [Full()], 1.0)

    def wait() -> None:
        with budget.slot():
            pass

    threads = [threading.Thread(target=wait) for _ in range(50)]
    for thread in threads:
        thread.start()
    while len(asked) < 5:
        time.sleep(0.001)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(asked) < 50 + 20


# --- The event loop ---------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class FakeStore(SharedStore):
    """Counts what is open, and lets a test stand between a question and its answer."""

    open: Counter[int] = field(default_factory=Counter)
    threads: set[int] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)

    def take(self, slot: int, *, send: bool, bulk_share: float | None) -> Refusal | None:
        self.threads.add(threading.get_ident())
        self.gate.wait(5)
        self.open[slot] += 1
        return None

    def answer(self, slot: int, *, send: bool) -> None:
        self.threads.add(threading.get_ident())
        self.open[slot] -= 1

    def hold(self, seconds: float) -> None:
        self.threads.add(threading.get_ident())

    def after_fork(self) -> None:
        pass

    def describe(self) -> str:
        return "fake"


async def settle(budget: Budget) -> None:
    """Wait for what was left to the budget's thread."""
    await asyncio.wrap_future(budget._threads().submit(int))
    await asyncio.wrap_future(budget._threads().submit(int))


async def test_async_asks_the_store_off_the_loop():
    store = FakeStore()
    store.gate.set()
    budget = Budget(ProcessStore(Limits()), [store], 1.0)

    async def call() -> None:
        async with budget.slot_async():
            pass

    await asyncio.gather(*(call() for _ in range(50)))
    await budget.hold_async(0)
    await settle(budget)
    assert budget.requests == 50
    assert store.open.total() == 0
    assert threading.get_ident() not in store.threads


@pytest.mark.parametrize("moment", ["queued", "asking", "asked", "held"])
async def test_cancellation_never_leaks_a_slot(moment: str):
    store = FakeStore()
    budget = Budget(ProcessStore(replace(Limits(), burst=Window(1, 1e-9))), [store], 1.0)
    inside = asyncio.Event()

    async def call() -> None:
        async with budget.slot_async():
            inside.set()
            await asyncio.sleep(60)

    if moment == "queued":
        await budget._async_queue(account._Kind(send=False, bulk=False)).acquire()
    task = asyncio.create_task(call())
    queue = budget._async_queue(account._Kind(send=False, bulk=False))
    await until(lambda: bool(queue._waiters) if moment == "queued" else bool(store.threads))
    if moment in ("asked", "held"):
        store.gate.set()
        while not store.open:
            time.sleep(0.001)
    if moment == "held":
        await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    store.gate.set()
    await settle(budget)
    assert store.open.total() == 0
    assert store.open or moment == "queued"
    if moment == "queued":
        budget._async_queue(account._Kind(send=False, bulk=False)).release()
    async with budget.slot_async(timeout=5):  # and leaves the queue free
        assert store.open.total() == 1


async def test_async_waits_and_times_out(spec: str, name: str):
    budget = get_budget(name, spec, limits=TINY)
    for _ in range(6):
        async with budget.slot_async():
            pass
    assert budget.waited > 0.1
    await budget.hold_async(60)
    with pytest.raises(BudgetTimeoutError, match=HELD) as caught:
        async with budget.slot_async(timeout=1):
            pass
    assert caught.value.wait == pytest.approx(60, abs=2)


async def test_async_queue_times_out(name: str):
    budget = get_budget(name, "process", limits=TINY)
    await budget.hold_async(60)

    async def wait() -> None:
        async with budget.slot_async():
            pytest.fail("the budget is held")

    first = asyncio.create_task(wait())
    while not budget._refusals:
        await asyncio.sleep(0.001)
    with pytest.raises(BudgetTimeoutError, match=HELD):
        async with budget.slot_async(timeout=0.05):
            pass
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


def test_one_event_loop_after_another(name: str, tmp_path: Path):
    budget = get_budget(name, str(tmp_path), limits=replace(TINY, burst=Window(4, 0.05)))

    async def calls() -> None:
        async def call() -> None:
            async with budget.slot_async():
                pass

        await asyncio.gather(*(call() for _ in range(6)))

    for _ in range(3):
        asyncio.run(calls())
    assert len(budget._async_queues) == 1
    assert budget.requests == 18


# --- Which budget -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("process", "of this process alone"),
        ("redis://user:secret@redis.example/3", "shared through Redis (redis.example:6379)"),
        ("rediss://redis.example:7000", "shared through Redis (redis.example:7000)"),
        ("/var/lib/wtschat", "shared by the processes of this machine (/var/lib/wtschat)"),
        ("~/wtschat", f"shared by the processes of this machine ({Path.home()}/wtschat)"),
        pytest.param("", f"shared by the processes of this machine ({os.environ['AIRFLOW_HOME']}/wtschat)", id="home"),
    ],
)
def test_specs(spec: str, says: str):
    assert get_budget("a", spec).describe() == says


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("redis://redis.example", "shared through Redis (redis.example:6379), 25% of the limits"),
        ("/var/lib/wtschat", "shared by the processes of this machine (/var/lib/wtschat), 25% of the limits"),
    ],
)
def test_a_share_is_told(spec: str, says: str):
    assert get_budget("a", spec, share=0.25).describe() == says


@pytest.mark.parametrize("spec", ["proces", "wtschat/budget", "0", "-0.5", "1.5", "nan", "http://redis.example"])
def test_a_spec_without_meaning_is_refused(spec: str):
    with pytest.raises(WtsChatArgumentError, match="budget") as refused:
        get_budget("a", spec)
    assert refused.value.argument == "[wtschat] budget"


@pytest.mark.parametrize(("spec", "share"), [("0.25", 1.0), ("1", 1.0), ("process", 0.25)])
def test_a_share_for_each_process_is_refused_with_the_way_that_holds(spec: str, share: float):
    with pytest.raises(WtsChatArgumentError, match=r"each process would take .* \[wtschat\] share"):
        get_budget("a", spec, share=share)


@pytest.mark.parametrize("share", [0, -0.5, 1.5, float("nan")])
def test_a_share_without_meaning_is_refused(share: float):
    with pytest.raises(WtsChatArgumentError, match="share: is"):
        get_budget("a", share=share)


@pytest.mark.parametrize("spec", ["redis://:pw/pw@host", "redis://:pw@host:99999", "Redis://:pw@host"])
def test_a_refused_spec_does_not_show_its_password(spec: str):
    with pytest.raises(WtsChatArgumentError, match="budget") as refused:
        get_budget("a", spec)
    assert "pw" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_spec_and_bulk_share_come_from_the_configuration(monkeypatch: pytest.MonkeyPatch):
    assert get_budget("a").describe().endswith(f"({os.environ['AIRFLOW_HOME']}/wtschat)")
    assert get_budget("a").bulk_share == 0.8
    monkeypatch.setattr(registry, "_registry", {})
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BUDGET", "/var/lib/wtschat")
    monkeypatch.setenv("AIRFLOW__WTSCHAT__SHARE", "0.5")
    monkeypatch.setenv("AIRFLOW__WTSCHAT__BULK_SHARE", "0.9")
    assert get_budget("a").describe().endswith("(/var/lib/wtschat), 50% of the limits")
    assert get_budget("a").bulk_share == 0.9
    assert get_budget("a", bulk_share=1.0) is get_budget("a")
    assert get_budget("a").bulk_share == 1
    with pytest.raises(WtsChatArgumentError, match="bulk_share: is 2"):
        get_budget("a", bulk_share=2)


def test_redis_without_its_package(monkeypatch: pytest.MonkeyPatch):
    from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(AirflowOptionalProviderFeatureException, match=r"airflow-provider-wtschat\[redis\]"):
        get_budget("a", "redis://redis.example")


def test_one_budget_per_account_and_process():
    found: list[Budget] = []
    threads = [threading.Thread(target=lambda: found.append(get_budget("a", "process"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert len(set(map(id, found))) == 1
    assert get_budget("b", "process") is not found[0]


def test_accounts_do_not_share(spec: str, name: str):
    with ExitStack() as stack:
        take(get_budget(f"{name} 1", spec, limits=TINY), stack, 4)
        take(get_budget(f"{name} 2", spec, limits=TINY), stack, 4)


def test_a_forked_child_has_its_own_locks_and_connections(spec: str, name: str):
    budget = get_budget(name, spec, limits=TINY)
    with budget.slot(), budget.slot():
        locks = [budget._lock, registry._registry_lock, budget._own._lock, *budget._queues.values()]
        locks += [store._lock for store in budget._shared if isinstance(store, DirectoryStore)]
        for lock in locks:  # as another thread may hold them at the fork
            lock.acquire()
        child = os.fork()
        if not child:
            code = 1
            with suppress(BaseException):
                own = get_budget(name, spec, limits=TINY)
                free = 4 if spec == "process" else 2
                with ExitStack() as stack:
                    take(own, stack, free)
                    refusal(own)
                code = 0
            os._exit(code)
        for lock in locks:
            lock.release()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with budget.slot(timeout=5):
        pass


# --- Many processes ---------------------------------------------------------------------------------------------------


def test_eight_processes_share_an_account(spec: str, name: str):
    """Together they use every slot, and the server refuses none of their requests."""
    if spec == "process":
        pytest.skip("it shares nothing")
    with ArrivalServer(SMALL).running() as server:
        work = Work(server.port, spec, requests=40, threads=6, bulk_share=1.0, account=name)
        reports = run_together([work] * 8)
    assert server.refusals == []
    assert len(server.arrivals["read"]) == 320
    assert server.peak("burst") == SMALL.burst.limit
    assert sum(report.waited for report in reports if report is not None) > 0


def test_reads_and_sends_and_a_killed_process(tmp_path: Path):
    """A process that dies in the middle neither spoils the file nor keeps its slots."""
    limits = replace(SMALL, lease=0.5)
    with ArrivalServer(limits).running() as server:
        work = Work(server.port, str(tmp_path), requests=60, threads=4, limits=limits)
        run_together([work, replace(work, send=True), replace(work, bulk_share=0.5), replace(work, die_after=20)])
    assert server.refusals == []
    assert len(server.arrivals["send"]) == 60
    assert 140 <= len(server.arrivals["read"]) <= 144


def test_processes_that_share_nothing_find_their_share():
    """The server refuses some at first; what each has learned from that keeps the rest within the limit."""
    limits = replace(SMALL, read=Window(100_000, 60.0))
    with ArrivalServer(limits).running() as server:
        run_together([Work(server.port, "process", requests=30, limits=limits) for _ in range(8)])
    start = server.arrivals["burst"][0]
    late = [refused for refused in server.refusals if refused > start + 3]
    assert len(server.refusals) > 50
    assert len(late) < len(server.refusals) / 4


def test_a_share_holds_for_the_machine(tmp_path: Path, name: str):
    """Two machines with half of the limits each, four processes on each: none meets a 429, and both halves are used."""
    with ArrivalServer(SMALL).running() as server:
        work = Work(server.port, "", requests=40, threads=4, bulk_share=1.0, account=name, share=0.5)
        run_together([replace(work, home=str(tmp_path / machine)) for machine in "ab" for _ in range(4)])
    assert server.refusals == []
    assert len(server.arrivals["read"]) == 320
    assert server.peak("burst") > SMALL.burst.limit / 2


def test_machines_keep_to_a_part_each_while_redis_is_away(tmp_path: Path, name: str):
    with ArrivalServer(SMALL).running() as server:
        with redis_server() as url:
            if url is None:
                pytest.skip("redis-server is not installed")
            work = Work(server.port, url, requests=10, threads=2, bulk_share=1.0, account=name)
            machines = [replace(work, home=str(tmp_path / machine)) for machine in "abc" for _ in range(2)]
            run_together(machines)
            run_together(machines)  # by now each has been told how many there are
        time.sleep(SMALL.burst.seconds)
        run_together([replace(machine, requests=30) for machine in machines])
    assert server.refusals == []
    assert len(server.arrivals["read"]) == 2 * 60 + 180


def test_a_directory_makes_room_for_others_who_use_the_account(tmp_path: Path, name: str):
    """Two machines that do not know of each other, each with the whole limits."""
    limits = replace(SMALL, read=Window(100_000, 60.0))
    with ArrivalServer(limits).running() as server:
        work = Work(server.port, "", requests=60, limits=limits, account=name)
        run_together([replace(work, home=str(tmp_path / machine)) for machine in "ab" for _ in range(4)])
    start = server.arrivals["burst"][0]
    late = [refused for refused in server.refusals if refused > start + 3]
    assert server.refusals
    assert len(late) < len(server.refusals) / 4


@pytest.mark.parametrize("kind", ["process", "directory"])
def test_who_slows_down_for_others_comes_to_no_standstill(kind: str, tmp_path: Path):
    """Both slow down at each 429 and come back slowly; a sixth of what the limit allows is the least that is left."""
    clock, limits = Clock(1e6), replace(SMALL, read=Window(100_000, 60.0))
    stores: list[Any] = [
        ProcessStore(limits, clock=clock) if kind == "process" else DirectoryStore(tmp_path / one, "a", limits, clock)
        for one in "ab"
    ]
    window, wanted = limits.burst, 2400
    accepted: list[float] = []
    refused: list[float] = []
    numbers = iter(range(1_000_000))
    while len(accepted) < wanted:
        waits = []
        for store in stores:
            while (waiting := store.take(number := next(numbers), send=False, bulk_share=None)) is None:
                if sum(clock.now - at < window.seconds for at in accepted[-window.limit :]) < window.limit:
                    accepted.append(clock.now)
                else:
                    refused.append(clock.now)
                    store.hold(HOLD_SECONDS)
                store.answer(number, send=False)
            waits.append(waiting.wait)
        clock.now += max(0.001, min(waits))
    assert refused
    assert accepted[-1] - 1e6 < 6 * wanted / window.limit * window.seconds


# --- Who uses it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["directory", "redis"])
def test_whoever_looks_sees_what_is_used_by_whom(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    spec = str(request.getfixturevalue("redis_url") if kind == "redis" else tmp_path / "budget")
    gauges: dict[str, tuple[float, dict[str, str]]] = {}
    monkeypatch.setattr(Stats, "gauge", lambda name, value, tags: gauges.update({name: (value, tags)}))
    for task, number, send in (("load", 3, False), ("campaign", 2, True)):
        monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "nightly")
        monkeypatch.setenv("AIRFLOW_CTX_TASK_ID", task)
        budget = get_budget(name, spec, name=f"wtschat_{task}")
        for _ in range(number):
            with budget.slot(send=send):
                pass
    budget.hold(30)
    (usage,) = [usage for usage in get_usages(spec) or () if usage.names == ("wtschat_campaign", "wtschat_load")]
    assert usage.users == {"nightly/load": 3, "nightly/campaign": 2}
    assert {window: use.used for window, use in usage.windows.items()} == {"burst": 5, "read": 3, "send": 2}
    # The API answered 429, so half of the limits is left for now.
    assert usage.windows["read"].limit in (500, 501)
    assert 25 < usage.held <= 30
    assert gauges["wtschat.budget.limit.read"] == (1000, {"account": "wtschat_load"})
    assert gauges["wtschat.budget.used.burst"][0] == 1


def test_what_each_process_counts_for_itself_nobody_else_can_see():
    assert get_usages("process") is None

"""Threads that speak HTTP, and nothing else: connections, state and rows stay with the thread that started them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.response import Answer
from airflow_provider_wtschat.budget.limits import READ
from airflow_provider_wtschat.extraction.clock import ServerClock

if TYPE_CHECKING:
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

Tag = TypeVar("Tag")

_GRACE = 1.0
_LONGEST_WINDOW = READ.seconds


@dataclass(frozen=True)
class Answered(Generic[Tag]):
    """
    What became of a request.

    :param tag: what the request was submitted with
    :param answer: the answer, or what was raised
    :param sent: when the request was begun, on the monotonic clock
    :param received: when the answer came
    """

    tag: Tag
    answer: Answer[Any] | BaseException
    sent: float
    received: float


class Workers(Generic[Tag]):
    """
    Sends requests from several threads.

    The threads end with the block; those that wait for the account's limit end at once, those that wait for an answer
    end with it and hold nobody up.

    :param hook: the hook; its connection is read here
    :param count: threads at most
    :param bulk: whether the requests belong to a long read
    """

    def __init__(self, hook: WtsChatHook, count: int, *, bulk: bool) -> None:
        hook.resolve()
        self.count = count
        self.requests = 0
        """Requests submitted so far."""
        self.underway = 0
        """Requests whose answers were not taken yet."""
        self.clock = ServerClock()
        """What the answers taken say of the server's time."""
        self.latency = 0.0
        """Seconds that the latest answer took."""
        self._hook = hook
        self._bulk = bulk
        self._stop = threading.Event()
        self._asked: SimpleQueue[tuple[Tag, Request[Any]] | None] = SimpleQueue()
        self._answered: SimpleQueue[Answered[Tag]] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._begun: deque[float] = deque()

    @property
    def idle(self) -> int:
        """How many more requests can be underway at once."""
        return max(0, self.count - self.underway)

    def __enter__(self) -> Workers[Tag]:
        """Return the workers."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the threads."""
        self._stop.set()
        for _ in self._threads:
            self._asked.put(None)
        until = time.monotonic() + _GRACE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def submit(self, tag: Tag, request: Request[Any]) -> None:
        """
        Have a request sent.

        :param tag: what to find the answer by
        """
        self.requests += 1
        self.underway += 1
        if len(self._threads) < min(self.count, self.underway):
            thread = threading.Thread(target=self._work, name=f"wtschat-{len(self._threads) + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._begun.append(time.monotonic())
        self._asked.put((tag, request))

    def take(self, timeout: float) -> Answered[Tag] | None:
        """Return an answer, or ``None`` if there is none in time."""
        try:
            answered = self._answered.get(timeout=timeout)
        except Empty:
            return None
        self.underway -= 1
        if isinstance(answered.answer, Answer):
            self.clock.note(answered.answer.server_time, answered.received)
            self.latency = answered.received - answered.sent
        return answered

    def answers(self, requests: Iterable[tuple[Tag, Request[Any]]]) -> Iterator[Answered[Tag]]:
        """Have requests sent, as many at once as may be, and give their answers as they come."""
        waiting = iter(requests)
        while True:
            for tag, request in islice(waiting, self.idle):
                self.submit(tag, request)
            if not self.underway:
                return
            if (answered := self.take(1.0)) is not None:
                yield answered

    def recent(self, seconds: float) -> int:
        """Count the requests submitted lately."""
        since = time.monotonic() - seconds
        while self._begun and self._begun[0] < time.monotonic() - _LONGEST_WINDOW:
            self._begun.popleft()
        return sum(moment >= since for moment in self._begun)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None and not self._stop.is_set():
            tag, request = asked
            sent = time.monotonic()
            answer: Answer[Any] | BaseException
            try:
                answer = self._hook.answer(request, bulk=self._bulk, stop=self._stop)
            except BaseException as error:
                answer = error
            self._answered.put(Answered(tag, answer, sent, time.monotonic()))

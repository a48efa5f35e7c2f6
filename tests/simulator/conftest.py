from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from airflow_provider_wtschat.simulator import Simulator


class Client:
    """Speaks to a simulator as plainly as possible."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer {sim.token}"

    def send(self, method: str, path: str, query: Any = None, body: Any = None, **more: Any) -> requests.Response:
        return self.http.request(method, self.sim.url + path, params=query, json=body, timeout=10, **more)

    def ok(self, method: str, path: str, query: Any = None, body: Any = None) -> Any:
        answer = self.send(method, path, query, body)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str, **query: Any) -> Any:
        return self.ok("GET", path, query)

    def refused(self, method: str, path: str, query: Any = None, body: Any = None) -> tuple[int, str | None]:
        answer = self.send(method, path, query, body)
        assert answer.status_code >= 400, f"{method} {path}: {answer.status_code}"
        return answer.status_code, answer.json().get("key")

    def pages(self, path: str, **query: Any) -> list[dict[str, Any]]:
        rows, number = [], 1
        while True:
            page = self.get(path, **query, PageNumber=number, PageSize=100)
            rows += page["items"]
            number += 1
            if not page["hasMorePages"]:
                return rows


@pytest.fixture
def start() -> Iterator[Callable[..., Client]]:
    """Start a small simulator that checks its own answers; what it finds wrong with them fails the test."""
    with ExitStack() as stack:
        clients = []

        def begin(**options: Any) -> Client:
            defaults = {"sessions": 60, "seed": 3, "limits": False, "check_answers": True, "message_step_s": 0.05}
            sim = stack.enter_context(Simulator(**{**defaults, **options}))
            client = Client(sim)
            stack.callback(client.http.close)
            clients.append(client)
            return client

        yield begin
        for client in clients:
            wrong = [violation for violation in client.sim.violations if violation.where == "answer"]
            assert not wrong, wrong[:5]


@pytest.fixture
def api(start: Callable[..., Client]) -> Client:
    return start()

"""Control over HTTP, for a simulator that runs in another process."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.faults import Answer, Faults
from airflow_provider_wtschat.simulator.phones import stored_phone
from airflow_provider_wtschat.simulator.records import Contact, Message, Session
from airflow_provider_wtschat.simulator.world import World

# Calls that a client may make, by name; everything else of the world stays in its process.
_WORLD_CALLS = frozenset(
    {
        "add_inbound_message",
        "change_contact",
        "change_session",
        "conclude_session",
        "create_contact",
        "create_session",
        "delete_session",
        "set_message_status",
        "truth",
    }
)


class Control:
    """Answers below ``/_simulator/``; none of it counts against the limits.

    ``GET requests|writes|sends|violations?since=N`` list the books, ``GET summary`` counts them, and
    ``POST call`` with ``{"name": ..., "arguments": {...}}`` does one of: the methods of `World` that change it,
    ``inject``, ``clear_faults``, ``freeze``, ``resume``, ``advance``, ``set_changes_per_s``, ``set_token``,
    ``fail_recipient``, ``clear_books``, ``lose_webhooks``, ``repeat_webhooks``.
    """

    def __init__(self, world: World, faults: Faults) -> None:
        """Prepare.

        :param faults: where faults are injected.
        """
        self._world = world
        self._calls: Mapping[str, Callable[..., Any]] = {
            "inject": faults.inject,
            "clear_faults": faults.clear,
            "freeze": world.clock.freeze,
            "resume": world.clock.resume,
            "advance": world.clock.advance,
            "set_changes_per_s": world.churn.set_rate,
            "set_token": self._set_token,
            "fail_recipient": self._fail_recipient,
            "clear_books": world.books.clear,
            "lose_webhooks": world.deliveries.lose,
            "repeat_webhooks": world.deliveries.repeat,
            **{name: getattr(world, name) for name in _WORLD_CALLS},
        }

    async def answer(self, request: Request) -> Answer:
        """Answer a request."""
        name = request.scope["path"].removeprefix("/_simulator/")
        if request.method == "POST" and name == "call":
            return self._call(json.loads(await request.body()))
        if request.method != "GET":
            return Answer(405, content_type=None)
        with self._world.lock:
            if name == "summary":
                return _json(self.summary())
            if name in ("requests", "writes", "sends", "violations"):
                query = dict(parse_qsl(request.scope["query_string"].decode()))
                return _json(self._world.books.page(name, int(query.get("since", 0))))
        return Answer(404, content_type=None)

    def summary(self) -> dict[str, Any]:
        """Count what is in the books."""
        books = self._world.books
        return {
            "requests": len(books.requests),
            "statuses": Counter(str(entry.status) for entry in books.requests),
            "writes": len(books.writes),
            "sends": len(books.sends),
            "violations": len(books.violations),
            "sessions": len(self._world.sessions),
            "now": self._world.now(),
        }

    def _call(self, body: Mapping[str, Any]) -> Answer:
        call = self._calls.get(body["name"])
        if call is None:
            return _json({"error": f"unknown call {body['name']!r}; known are {', '.join(sorted(self._calls))}"}, 404)
        try:
            with self._world.lock:
                return _json({"result": self._printed(call(**body.get("arguments", {})))})
        except (KeyError, TypeError, ValueError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, 400)

    def _printed(self, result: Any) -> Any:
        if isinstance(result, Session):
            return views.session(self._world, result)
        if isinstance(result, Contact):
            return views.contact(self._world, result)
        if isinstance(result, Message):
            return views.message(self._world, result)
        return result

    def _fail_recipient(self, phone: str) -> None:
        stored = stored_phone(phone)
        if stored is None:
            raise ValueError(f"{phone!r} is no phone")
        self._world.failing_recipients.add(stored)

    def _set_token(self, token: str | None) -> None:
        self._world.token = token


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())

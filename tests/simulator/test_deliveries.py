"""What happens in the simulated account is posted to its subscriptions, and arrives in the inbox."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from airflow_provider_wtschat.api.webhook_events import WebhookEvent
from airflow_provider_wtschat.simulator import Simulator

EVERY = [
    "SESSION_NEW", "SESSION_UPDATE", "SESSION_COMPLETE", "MESSAGE_RECEIVED", "MESSAGE_UPDATED", "MESSAGE_SENT",
    "CONTACT_NEW", "CONTACT_UPDATE", "CONTACT_TAG_UPDATE", "PANEL_CARD_NEW", "PANEL_CARD_UPDATE",
    "PANEL_CARD_STEP_CHANGE", "PANEL_CARD_NOTE_NEW",
]  # fmt: skip


class Listener:
    """Takes posts."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?x=1"

    @property
    def events(self) -> list[str]:
        return [body.get("eventType", "") for body in self.bodies]


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(sessions=20, seed=4, limits=False, strict=True, message_step_s=0.05) as simulator:
        yield simulator


def api(simulator: Simulator, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {simulator.token}"}
    answer = requests.request(method, simulator.url + path, json=body, headers=headers, timeout=30)
    assert answer.ok, answer.text
    return answer.json() if answer.content else None


def subscribe(simulator: Simulator, url: str, events: list[str], **more: Any) -> Any:
    body = {"name": "test", "url": url, "events": events, **more}
    return api(simulator, "POST", "/core/v1/webhook/subscription", body)


def until(fulfilled: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not fulfilled():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_kind_of_change_is_posted(simulator: Simulator, listener: Listener) -> None:
    subscribe(simulator, listener.url, EVERY)
    world = simulator.world
    contact = world.create_contact(phone="+5511900000077", name="Maria da Silva")
    world.change_contact(contact.id, name="Maria Souza")
    world.change_contact(contact.id, tag_ids=(next(iter(world.tags)).id,))
    session = world.create_session(contact_id=contact.id)
    received = world.add_inbound_message(session.id, "Olá")
    sent = world.add_agent_message(session.id, "Bom dia")
    world.conclude_session(session.id)
    card = next(iter(world.cards))
    world.change(world.cards, card, title="Outro")
    world.record(world.card_notes, cardId=card.id, text="Anotação")
    until(lambda: set(EVERY) - {"PANEL_CARD_NEW", "PANEL_CARD_STEP_CHANGE"} <= set(listener.events))
    read = [WebhookEvent.parse(json.dumps(body).encode()) for body in listener.bodies]
    assert {event.ids["contact_id"] for event in read if event.type.startswith("CONTACT")} == {contact.id}
    assert {event.ids["session_id"] for event in read if event.type.startswith("SESSION")} == {session.id}
    messages = {event.type: event.ids for event in read if event.type.startswith("MESSAGE")}
    assert messages["MESSAGE_RECEIVED"] == {"message_id": received.id, "session_id": session.id}
    assert messages["MESSAGE_SENT"]["message_id"] == sent.id
    assert [event.status for event in read if event.type == "SESSION_COMPLETE"] == ["COMPLETED"]
    assert all(event.moment for event in read)
    (spelled,) = {body["content"]["phonenumber"] for body in listener.bodies if body["eventType"].startswith("CONTACT")}
    assert spelled == "+55|11900000077"


def test_only_what_was_subscribed_is_posted(simulator: Simulator, listener: Listener) -> None:
    subscribe(simulator, listener.url, ["SESSION_NEW"])
    off = subscribe(simulator, listener.url, ["MESSAGE_RECEIVED"], enabled=False)
    gone = subscribe(simulator, listener.url, ["CONTACT_NEW"])
    api(simulator, "DELETE", f"/core/v1/webhook/subscription/{gone['id']}")
    session = simulator.world.create_session()
    simulator.world.add_inbound_message(session.id)
    simulator.world.create_contact()
    until(lambda: listener.events == ["SESSION_NEW"])
    change = {"enabled": True, "fields": ["Enabled"]}
    api(simulator, "PUT", f"/core/v1/webhook/subscription/{off['id']}", change)
    simulator.world.add_inbound_message(session.id)
    until(lambda: listener.events == ["SESSION_NEW", "MESSAGE_RECEIVED"])


def test_nothing_leaves_this_machine(simulator: Simulator) -> None:
    subscribe(simulator, "https://example.com/hook", EVERY)
    simulator.world.create_session()
    until(simulator.world.deliveries.idle)
    assert simulator.world.deliveries.made == []


def test_losses_and_redeliveries_on_demand(simulator: Simulator, listener: Listener) -> None:
    subscribe(simulator, listener.url, ["CONTACT_NEW"])
    simulator.world.deliveries.lose(2)
    for number in range(3):
        simulator.world.create_contact(name=str(number))
    until(lambda: len(listener.bodies) == 1)
    simulator.world.deliveries.repeat(1)
    simulator.world.create_contact(name="3")
    until(lambda: len(listener.bodies) == 3)
    assert [body["content"]["name"] for body in listener.bodies] == ["2", "3", "3"]
    assert len({WebhookEvent.parse(json.dumps(body).encode()).digest for body in listener.bodies}) == 2
    assert Counter(each.status for each in simulator.world.deliveries.made) == {200: 3}


def test_a_listener_that_is_not_there_stops_nothing(simulator: Simulator, listener: Listener) -> None:
    subscribe(simulator, "http://127.0.0.1:9/", ["CONTACT_NEW"])
    subscribe(simulator, listener.url, ["CONTACT_NEW"])
    simulator.world.create_contact()
    until(lambda: len(listener.bodies) == 1)
    until(simulator.world.deliveries.idle)
    assert sorted(str(each.status) for each in simulator.world.deliveries.made) == ["200", "None"]


def test_the_outcome_of_a_message_is_posted_to_its_callback(simulator: Simulator, listener: Listener) -> None:
    body = {"to": "+5511900000078", "text": "Olá", "callbackUrl": listener.url}
    sent = api(simulator, "POST", "/chat/v1/send/text", body)
    until(lambda: listener.bodies and listener.bodies[-1]["status"] in ("DELIVERED", "READ", "FAILED"))
    assert {body["id"] for body in listener.bodies} == {sent["id"]}

"""A simulated account: its state as the API prints it, and things made in it to act on."""

from __future__ import annotations

from itertools import count
from typing import Any

import requests

from airflow_provider_wtschat.simulator import Simulator

_numbers = count(1)
_PLAIN = ("/core/v1/agent", "/core/v1/tag", "/core/v2/department")
"""Lists without pages."""


class Account:
    """What a simulator holds.

    :param simulator: the simulator.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.world = simulator.world

    def get(self, path: str) -> Any:
        """Read something as the API prints it; None if it is not there."""
        answer = requests.get(self.simulator.url + path, headers=self._headers, timeout=10)
        return answer.json() if answer.ok else None

    def post(self, path: str, body: Any) -> Any:
        """Create something."""
        answer = requests.post(self.simulator.url + path, json=body, headers=self._headers, timeout=10)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def items(self, path: str) -> list[Any]:
        """Read the first hundred rows of a list."""
        if path in _PLAIN:
            return self.get(path)
        return self.get(path + ("&" if "?" in path else "?") + "PageSize=100")["items"]

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.simulator.token}"}

    # What is there from the beginning

    def named(self, path: str, name: str, field: str = "name") -> dict[str, Any]:
        """Return a row of a list by name."""
        return next(row for row in self.items(path) if row[field] == name)

    def template(self, name: str) -> str:
        """Return the id of a template."""
        return self.named("/chat/v1/template", name)["id"]

    def department(self, name: str) -> str:
        """Return the id of a department."""
        return self.named("/core/v2/department", name)["id"]

    def agent(self, name: str) -> str:
        """Return the ``userId`` of an agent."""
        return self.named("/core/v1/agent", name)["userId"]

    def channel(self, name: str) -> str:
        """Return the id of a channel."""
        rows = self.get("/chat/v1/channel")
        return next(row["id"] for row in rows if name in str(row))

    def tag(self, name: str) -> str:
        """Return the id of a tag."""
        return self.named("/core/v1/tag", name)["id"]

    def sequence(self, name: str) -> str:
        """Return the id of a sequence."""
        return self.named("/chat/v1/sequence", name)["id"]

    def bot(self, name: str) -> str:
        """Return the key of a chatbot."""
        return self.named("/chat/v1/chatbot", name)["key"]

    def panel(self, title: str) -> dict[str, Any]:
        """Return a panel with its steps."""
        return self.named("/crm/v2/panel?IncludeDetails=Steps", title, "title")

    def step(self, panel: str, title: str) -> str:
        """Return the id of a step of a panel."""
        return next(step["id"] for step in self.panel(panel)["steps"] if step["title"] == title)

    # What is made

    def phone(self) -> str:
        """Return a number that nobody has."""
        return f"55119{next(_numbers):08}"

    def contact(self, **values: Any) -> Any:
        """Create a contact with a number."""
        return self.world.create_contact(phone=self.phone(), **{"name": "Maria", **values})

    def session(self, **values: Any) -> str:
        """Open a session whose window is open; return its id."""
        return self.world.create_session(**{"contact_id": self.contact().id, **values}).id

    def card(self, panel: str = "Vendas", step: str = "Lead", **values: Any) -> dict[str, Any]:
        """Create a card."""
        return self.post("/crm/v2/panel/card", {"stepId": self.step(panel, step), "title": "Pedido", **values})

    def note(self, card_id: str) -> dict[str, Any]:
        """Write a note on a card."""
        return self.post(f"/crm/v1/panel/card/{card_id}/note", {"text": "Ligar"})

    def message(self, session_id: str) -> dict[str, Any]:
        """Send a message into a session."""
        return self.post(f"/chat/v1/session/{session_id}/message", {"text": "Oi"})

    def scheduled(self) -> dict[str, Any]:
        """Schedule a message."""
        body = {
            "to": self.phone(),
            "type": "TEMPLATE",
            "templateId": self.template("boas_vindas"),
            "scheduling": "2031-01-01T12:00:00Z",
            "templateParams": {"parameters": self.parameters("boas_vindas")},
        }
        return self.post("/chat/v1/scheduled-message", body)

    def parameters(self, template: str) -> dict[str, str]:
        """Return a value for each parameter of a template."""
        row = next(row for row in self.world.templates if row["name"] == template)
        return {name: f"value {name}" for name in row["_params"]}

    # What was done

    @property
    def requests(self) -> int:
        """How many requests have arrived."""
        return len(self.simulator.requests)

    def sent_to(self, recipient: str) -> list[Any]:
        """Return what went out to a phone number, or into a session."""
        digits = "".join(filter(str.isdigit, recipient))
        return [
            send
            for send in self.simulator.sends
            if send.session_id == recipient or "".join(filter(str.isdigit, send.recipient or "")) == digits
        ]

"""Names in place of ids, where people know the name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from airflow_provider_wtschat.api import (
    agents,
    channels,
    chatbots,
    departments,
    panels,
    phones,
    sequences,
    templates,
)
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

_MOST_CANDIDATES = 20


class Names:
    """
    Look up ids by name: exactly, and each list once.

    :param hook: the hook to ask with
    """

    def __init__(self, hook: WtsChatHook) -> None:
        self._hook = hook
        self._lists: dict[str, list[Any]] = {}

    def department(self, name: str) -> str:
        """
        Return the id of a department.

        :param name: its name
        :raises WtsChatArgumentError: if no department, or more than one, has it
        """
        rows = self._once("departments", lambda: self._hook.run(departments.list_()))
        return _one("department_name", name, rows, ("name",), "id")

    def agent(self, name: str) -> str:
        """
        Return the ``userId`` of an agent, which is what sessions and cards call a user.

        :param name: name or e-mail address
        :raises WtsChatArgumentError: if no agent, or more than one, has it
        """
        rows = self._once("agents", lambda: self._hook.run(agents.list_()))
        return _one("user_name", name, rows, ("name", "email"), "userId")

    def channel(self, name: str) -> str:
        """
        Return the id of a channel.

        :param name: its display name or its number in any spelling
        :raises WtsChatArgumentError: if no channel, or more than one, has it
        """
        return str(self._channel(name)["id"])

    def channel_number(self, name: str) -> str:
        """
        Return the number of a channel, as sends take it.

        :param name: its display name or its number in any spelling
        :raises WtsChatArgumentError: if no channel, or more than one, has it, or it has no number
        """
        number = self._channel(name).get("number")
        if not number:
            msg = f"from_channel: channel {name!r} has no number to send from"
            raise WtsChatArgumentError(msg)
        return phones.digits("from_channel", number)

    def template(self, name: str) -> str:
        """
        Return the id of a template.

        :param name: its name
        :raises WtsChatArgumentError: if no template, or more than one, has it
        """
        key = f"templates {name}"
        rows = self._once(key, lambda: list(self._hook.iterate(templates.list_(name=name))))
        if not any(row.get("name") == name for row in rows):
            rows = self._once("templates", lambda: list(self._hook.iterate(templates.list_())))
        return _one("template_name", name, rows, ("name",), "id")

    def panel(self, name: str) -> str:
        """
        Return the id of a panel.

        :param name: its title
        :raises WtsChatArgumentError: if no panel, or more than one, has it
        """
        rows = self._once("panels", lambda: list(self._hook.iterate(panels.list_())))
        return _one("panel_name", name, rows, ("title",), "id")

    def step(self, panel_id: str, name: str) -> str:
        """
        Return the id of a step of a panel.

        :param panel_id: id of the panel
        :param name: title of the step
        :raises WtsChatArgumentError: if no step, or more than one, has it
        """
        rows = self._once(
            f"steps {panel_id}",
            lambda: self._hook.run(panels.get(panel_id, include_details=["Steps"])).get("steps") or [],
        )
        return _one("step_name", name, rows, ("title",), "id")

    def sequence(self, name: str) -> str:
        """
        Return the id of a sequence.

        :param name: its name
        :raises WtsChatArgumentError: if no sequence, or more than one, has it
        """
        rows = self._once("sequences", lambda: list(self._hook.iterate(sequences.list_())))
        return _one("sequence_name", name, rows, ("name",), "id")

    def chatbot(self, name: str) -> str:
        """
        Return the key of a chatbot, which is what starts it.

        :param name: its name
        :raises WtsChatArgumentError: if no chatbot, or more than one, has it
        """
        rows = self._once("chatbots", lambda: list(self._hook.iterate(chatbots.list_())))
        return _one("bot_name", name, rows, ("name",), "key")

    def _channel(self, name: str) -> dict[str, Any]:
        rows = self._once("channels", lambda: self._hook.run(channels.list_()))
        known = [
            {
                "row": row,
                "name": (row.get("identity") or {}).get("displayName"),
                "human": (row.get("identity") or {}).get("humanId"),
                "number": row.get("number"),
                "digits": _digits(row.get("number")),
            }
            for row in rows
        ]
        wanted = _digits(name)
        if wanted and any(row["digits"] == wanted for row in known):
            name = wanted
        return dict(_one("channel", name, known, ("digits", "name", "human"), "row", shown="name"))

    def _once(self, key: str, read: Callable[[], list[Any]]) -> list[Any]:
        if key not in self._lists:
            self._lists[key] = read()
        return self._lists[key]


def _digits(number: Any) -> str | None:
    try:
        return phones.digits("channel", number)
    except WtsChatArgumentError:
        return None


def _one(
    argument: str, name: Any, rows: Iterable[Any], fields: tuple[str, ...], wanted: str, *, shown: str | None = None
) -> Any:
    text = convert.required_text(argument, name).strip()
    rows = list(rows)
    found = {str(row.get("id", id(row))): row for row in rows if text in [row.get(field) for field in fields]}
    if len(found) == 1:
        return next(iter(found.values()))[wanted]
    if found:
        msg = f"{argument}: {len(found)} have the name {text!r}; give the id of one of them: {', '.join(found)}"
        raise WtsChatArgumentError(msg)
    names = sorted({str(row.get(shown or fields[0])) for row in rows if row.get(shown or fields[0])})
    more = f" and {len(names) - _MOST_CANDIDATES} more" if len(names) > _MOST_CANDIDATES else ""
    known = ", ".join(map(repr, names[:_MOST_CANDIDATES])) + more if names else "none at all"
    msg = f"{argument}: nothing is named exactly {text!r}; there are {known}"
    raise WtsChatArgumentError(msg)

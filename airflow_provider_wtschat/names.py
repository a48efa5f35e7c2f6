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

    def department(self, name: str, *, argument: str = "department_name") -> str:
        """
        Return the id of a department.

        :param name: its name
        :param argument: the argument that the name was given to, for the error
        :raises WtsChatArgumentError: if no department, or more than one, has it
        """
        rows = self._once("departments", lambda: self._hook.run(departments.list_()))
        return str(_one(argument, name, rows, ("name",))["id"])

    def agent(self, name: str, *, argument: str = "user_name") -> str:
        """
        Return the ``userId`` of an agent, which is what sessions and cards call a user.

        :param name: name or e-mail address
        :param argument: the argument that the name was given to, for the error
        :raises WtsChatArgumentError: if no agent, or more than one, has it
        """
        rows = self._once("agents", lambda: self._hook.run(agents.list_()))
        return str(_one(argument, name, rows, ("name", "email"))["userId"])

    def channel(self, name: str, *, argument: str = "channel_name") -> str:
        """
        Return the id of a channel.

        :param name: its display name or its number in any spelling
        :param argument: the argument that the name was given to, for the error
        :raises WtsChatArgumentError: if no channel, or more than one, has it
        """
        return str(self._channel(argument, name)["id"])

    def channel_number(self, name: str, *, argument: str = "from_channel_name") -> str:
        """
        Return the number of a channel in international form, which no country of recipients changes.

        :param name: its display name or its number in any spelling
        :param argument: the argument that the name was given to, for the error
        :raises WtsChatArgumentError: if no channel, or more than one, has it, or it has no number
        """
        number = self._channel(argument, name)["digits"]
        if number is None:
            msg = f"the channel {name!r} has no number to send from"
            raise WtsChatArgumentError(argument, msg)
        return f"+{number}"

    def template(self, name: str, *, argument: str = "template_name") -> str:
        """
        Return the id of a template.

        :param name: its name
        :param argument: the argument that the name was given to, for the error
        :raises WtsChatArgumentError: if no template, or more than one, has it
        """
        wanted = convert.required_text(argument, name).strip()
        rows = self._once(f"templates {wanted}", lambda: list(self._hook.iterate(templates.list_(name=wanted))))
        if not any(row.get("name") == wanted for row in rows):
            # For the candidates.
            rows = self._once("templates", lambda: list(self._hook.iterate(templates.list_())))
        return str(_one(argument, wanted, rows, ("name",))["id"])

    def panel(self, name: str, *, argument: str = "panel_name") -> str:
        """
        Return the id of a panel.

        :param name: its title
        :param argument: the argument that the name was given to, for the error
        :raises WtsChatArgumentError: if no panel, or more than one, has it
        """
        return str(_one(argument, name, self._panels(), ("title",))["id"])

    def panel_of_step(self, step_id: str) -> str:
        """
        Return the id of the panel that a step belongs to.

        :param step_id: id of the step
        :raises WtsChatArgumentError: if no panel has it
        """
        for panel in self._panels():
            if any(step.get("id") == step_id for step in panel.get("steps") or ()):
                return str(panel["id"])
        msg = f"no panel has a step with the id {step_id!r}"
        raise WtsChatArgumentError("step_id", msg)

    def step(self, name: str, *, panel_id: str, argument: str = "step_name") -> str:
        """
        Return the id of a step of a panel.

        :param name: title of the step
        :param panel_id: id of the panel
        :param argument: the argument that the name was given to, for the error
        :raises WtsChatArgumentError: if no step, or more than one, has it
        """
        steps = self._once(
            f"steps {panel_id}",
            lambda: self._hook.run(panels.get(panel_id, include_details=["Steps"])).get("steps") or [],
        )
        return str(_one(argument, name, steps, ("title",))["id"])

    def sequence(self, name: str, *, argument: str = "sequence_name") -> str:
        """
        Return the id of a sequence.

        :param name: its name
        :param argument: the argument that the name was given to, for the error
        :raises WtsChatArgumentError: if no sequence, or more than one, has it
        """
        rows = self._once("sequences", lambda: list(self._hook.iterate(sequences.list_())))
        return str(_one(argument, name, rows, ("name",))["id"])

    def chatbot(self, name: str, *, argument: str = "bot_name") -> str:
        """
        Return the key of a chatbot, which is what starts it.

        :param name: its name
        :param argument: the argument that the name was given to, for the error
        :raises WtsChatArgumentError: if no chatbot, or more than one, has it
        """
        rows = self._once("chatbots", lambda: list(self._hook.iterate(chatbots.list_())))
        return str(_one(argument, name, rows, ("name",))["key"])

    def _channel(self, argument: str, name: str) -> dict[str, Any]:
        rows = self._once("channels", lambda: self._hook.run(channels.list_()))
        known = [{**(row.get("identity") or {}), **row, "digits": _digits(row.get("number"))} for row in rows]
        wanted = _digits(name)
        if wanted is not None and any(row["digits"] == wanted for row in known):
            name = wanted
        return dict(_one(argument, name, known, ("displayName", "humanId", "digits")))

    def _panels(self) -> list[Any]:
        return self._once("panels", lambda: list(self._hook.iterate(panels.list_(include_details=["Steps"]))))

    def _once(self, key: str, read: Callable[[], Iterable[Any]]) -> list[Any]:
        if key not in self._lists:
            self._lists[key] = list(read())
        return self._lists[key]


def _digits(number: Any) -> str | None:
    try:
        return phones.digits("channel", number)
    except WtsChatArgumentError:
        return None


def _one(argument: str, name: Any, rows: list[Any], fields: tuple[str, ...]) -> Any:
    text = convert.required_text(argument, name).strip()
    found = [row for row in rows if text in [row.get(field) for field in fields]]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(row.get("id")) for row in found)
        msg = f"{len(found)} have the name {text!r}; give the id of one of them: {ids}"
        raise WtsChatArgumentError(argument, msg)
    names = sorted({str(row.get(fields[0])) for row in rows if row.get(fields[0])})
    more = f" and {len(names) - _MOST_CANDIDATES} more" if len(names) > _MOST_CANDIDATES else ""
    known = ", ".join(map(repr, names[:_MOST_CANDIDATES])) + more if names else "none at all"
    msg = f"nothing is named exactly {text!r}; there are {known}"
    raise WtsChatArgumentError(argument, msg)

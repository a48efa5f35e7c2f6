"""
Ids by name, for people who know the name and not the id.

Each function is an exchange: ``hook.perform(lookup.department("Sales"))``, or ``yield from`` inside another exchange.
It reads the list that has the name and compares exactly. An answer that is not older than :data:`MAX_AGE` will do, so
many tasks share one list; where it does not have the name exactly once, it is read again before the name is refused.
"""

from __future__ import annotations

from collections.abc import Callable
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
from airflow_provider_wtschat.api import exchange as exchanges
from airflow_provider_wtschat.api.exchange import Exchange
from airflow_provider_wtschat.api.request import AnyRequest, PagedRequest
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = [
    "MAX_AGE",
    "agent",
    "channel",
    "channel_number",
    "chatbot",
    "department",
    "panel",
    "panel_of_step",
    "sequence",
    "step",
    "template",
]

MAX_AGE = 300
"""Seconds for which a list that was read is taken for the list as it is."""
_MOST_CANDIDATES = 20


def department(name: str, *, argument: str = "department_name") -> Exchange[str]:
    """
    Find a department.

    :param name: its name
    :param argument: the argument that the name was given to, for the error
    :return: its id
    :raises WtsChatArgumentError: if no department, or more than one, has the name
    """
    return _value("id", argument, name, departments.list_(), ("name",))


def agent(name: str, *, argument: str = "user_name") -> Exchange[str]:
    """
    Find an agent.

    :param name: name or e-mail address
    :param argument: the argument that the name was given to, for the error
    :return: its ``userId``, which is what sessions and cards call a user
    :raises WtsChatArgumentError: if no agent, or more than one, has the name
    """
    return _value("userId", argument, name, agents.list_(), ("name", "email"))


def channel(name: str, *, argument: str = "channel_name") -> Exchange[str]:
    """
    Find a channel.

    :param name: its display name, or its number in any spelling
    :param argument: the argument that the name was given to, for the error
    :return: its id
    :raises WtsChatArgumentError: if no channel, or more than one, has the name
    """
    return str((yield from _channel(argument, name))["id"])


def channel_number(name: str, *, argument: str = "from_channel_name") -> Exchange[str]:
    """
    Find the number of a channel, as sends take it.

    :param name: its display name, or its number in any spelling
    :param argument: the argument that the name was given to, for the error
    :return: the number in international form
    :raises WtsChatArgumentError: if no channel, or more than one, has the name, or the channel has no number
    """
    number = (yield from _channel(argument, name))["digits"]
    if number is None:
        msg = f"the channel {name!r} has no number to send from"
        raise WtsChatArgumentError(argument, msg)
    return f"+{number}"


def template(name: str, *, argument: str = "template_name", max_age: float = MAX_AGE) -> Exchange[str]:
    """
    Find a template.

    :param name: its name
    :param argument: the argument that the name was given to, for the error
    :param max_age: seconds for which a list that was read will do; 0 asks anew
    :return: its id
    :raises WtsChatArgumentError: if no template, or more than one, has the name
    """
    wanted = convert.required_text(argument, name).strip()
    # Not every template: there may be thousands. Only an error shows what else there is.
    listed, candidates = templates.list_(name=wanted), templates.list_()
    return _value("id", argument, name, listed, ("name",), candidates=candidates, max_age=max_age)


def panel(name: str, *, argument: str = "panel_name") -> Exchange[str]:
    """
    Find a panel.

    :param name: its title
    :param argument: the argument that the name was given to, for the error
    :return: its id
    :raises WtsChatArgumentError: if no panel, or more than one, has the title
    """
    return _value("id", argument, name, panels.list_(include_details=["Steps"]), ("title",))


def panel_of_step(step_id: str, *, argument: str = "step_id") -> Exchange[str]:
    """
    Find the panel that a step belongs to.

    :param step_id: id of the step
    :param argument: the argument that the id was given to, for the error
    :return: id of the panel
    :raises WtsChatArgumentError: if no panel has the step
    """

    def of_step(rows: list[Any]) -> list[Any]:
        return [row for row in rows if any(step.get("id") == step_id for step in row.get("steps") or ())]

    _, found = yield from _found(panels.list_(include_details=["Steps"]), of_step)
    if not found:
        msg = f"no panel has a step with the id {step_id!r}"
        raise WtsChatArgumentError(argument, msg)
    return str(found[0]["id"])


def step(name: str, *, panel_id: str, argument: str = "step_name") -> Exchange[str]:
    """
    Find a step of a panel.

    :param name: title of the step
    :param panel_id: id of the panel
    :param argument: the argument that the name was given to, for the error
    :return: its id
    :raises WtsChatArgumentError: if no step of the panel, or more than one, has the title
    """
    return _value("id", argument, name, panels.get(panel_id, include_details=["Steps"]), ("title",))


def sequence(name: str, *, argument: str = "sequence_name") -> Exchange[str]:
    """
    Find a sequence.

    :param name: its name
    :param argument: the argument that the name was given to, for the error
    :return: its id
    :raises WtsChatArgumentError: if no sequence, or more than one, has the name
    """
    return _value("id", argument, name, sequences.list_(), ("name",))


def chatbot(name: str, *, argument: str = "bot_name") -> Exchange[str]:
    """
    Find a chatbot.

    :param name: its name
    :param argument: the argument that the name was given to, for the error
    :return: its key, which is what starts it
    :raises WtsChatArgumentError: if no chatbot, or more than one, has the name
    """
    return _value("key", argument, name, chatbots.list_(), ("name",))


def _channel(argument: str, name: str) -> Exchange[dict[str, Any]]:
    def described(rows: list[Any]) -> list[Any]:
        return [{**(row.get("identity") or {}), **row, "digits": _digits(row.get("number"))} for row in rows]

    text = convert.required_text(argument, name).strip()
    found = yield from _one(
        argument, text, channels.list_(), ("displayName", "humanId", "digits"), also=_digits(text), described=described
    )
    return dict(found)


def _digits(number: Any) -> str | None:
    try:
        return phones.digits("channel", number)
    except WtsChatArgumentError:
        return None


def _value(
    field: str,
    argument: str,
    name: Any,
    request: AnyRequest,
    fields: tuple[str, ...],
    *,
    candidates: AnyRequest | None = None,
    max_age: float = MAX_AGE,
) -> Exchange[str]:
    text = convert.required_text(argument, name).strip()
    return str((yield from _one(argument, text, request, fields, candidates=candidates, max_age=max_age))[field])


def _one(
    argument: str,
    text: str,
    request: AnyRequest,
    fields: tuple[str, ...],
    *,
    also: str | None = None,
    described: Callable[[list[Any]], list[Any]] = list,
    candidates: AnyRequest | None = None,
    max_age: float = MAX_AGE,
) -> Exchange[Any]:
    """Find the one row of a list that has the text in one of the fields."""
    names = {text, also or text}

    def named(rows: list[Any]) -> list[Any]:
        return [row for row in described(rows) if any(row.get(field) in names for field in fields)]

    rows, found = yield from _found(request, named, max_age)
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(row.get("id")) for row in found)
        msg = f"{len(found)} have the name {text!r}; give the id of one of them: {ids}"
        raise WtsChatArgumentError(argument, msg)
    if candidates is not None:
        rows = yield from _rows(candidates)
    known = sorted({str(row.get(fields[0])) for row in described(rows) if row.get(fields[0])})
    more = f" and {len(known) - _MOST_CANDIDATES} more" if len(known) > _MOST_CANDIDATES else ""
    listed = ", ".join(map(repr, known[:_MOST_CANDIDATES])) + more if known else "none"
    msg = f"nothing is named exactly {text!r}; there are {listed}"
    raise WtsChatArgumentError(argument, msg)


def _found(
    request: AnyRequest, wanted: Callable[[list[Any]], list[Any]], max_age: float = MAX_AGE
) -> Exchange[tuple[list[Any], list[Any]]]:
    """Return the rows, and those that are wanted; unless it is one, of the list as it is now."""
    rows = yield from _rows(request.having(max_age=max_age))
    found = wanted(rows)
    if len(found) != 1 and max_age > 0:
        rows = yield from _rows(request.having(max_age=0))
        found = wanted(rows)
    return rows, found


def _rows(request: AnyRequest) -> Exchange[list[Any]]:
    if isinstance(request, PagedRequest):
        return (yield from exchanges.rows(request))
    answer = yield from exchanges.call(request)
    # A panel, of which the steps are wanted, is no list.
    return list((answer.get("steps") or []) if isinstance(answer, dict) else answer)

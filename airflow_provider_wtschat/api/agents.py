"""Agents: the people of the account who talk to contacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_wtschat.api import _bodies, phones
from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import (
    Agent,
    AgentAccess,
    AgentAvailability,
    AgentProfile,
    MembershipAction,
    SessionResolution,
)
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = ["change_status", "create", "delete", "get", "list_", "logout", "update", "update_departments"]

_LONGEST_NAME = 100
_CLEARABLE = {"short_name": "shortName", "email": "email", "phone_number": "phoneNumber"}


def list_() -> Request[list[Agent]]:
    """List the agents of the account: ``GET /core/v1/agent``."""
    return build.get("/core/v1/agent", list[Agent])


def get(agent_id: str) -> Request[Agent]:
    """
    Get an agent: ``GET /core/v1/agent/{id}``.

    :param agent_id: ``id`` of the agent, which is not the agent's ``userId``
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.get("/core/v1/agent/{id}", Agent, _id(agent_id))


def create(
    *,
    name: str,
    profile: str,
    email: str | None = None,
    phone_number: str | int | None = None,
    availability: str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[Agent]:
    """
    Create an agent: ``POST /core/v1/agent``.

    :param name: name of the agent
    :param profile: ``Admin``, ``Agent`` or ``RestrictedAgent``
    :param email: e-mail address of the agent
    :param phone_number: phone number of the agent in any spelling
    :param availability: ``AVAILABLE`` or ``UNAVAILABLE``
    :param phone_country: calling code of a phone number written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.post(
        "/core/v1/agent",
        Agent,
        body=_values(
            convert.required("name", name),
            convert.required("profile", profile),
            email,
            phone_number,
            availability,
            phone_country,
        ),
        safe_to_repeat=False,
    )


def update(
    agent_id: str,
    *,
    name: str | None = None,
    short_name: str | None = None,
    email: str | None = None,
    phone_number: str | int | None = None,
    profile: str | None = None,
    availability: str | None = None,
    clear: Sequence[str] | str | None = None,
    phone_country: str = phones.DEFAULT_COUNTRY,
) -> Request[Agent]:
    """
    Update fields of an agent: ``PUT /core/v1/agent/{id}``.

    The API changes only the fields named in a mask; the mask is built from what is given.

    :param agent_id: ``id`` of the agent, which is not the agent's ``userId``
    :param name: name of the agent
    :param short_name: short name or nickname
    :param email: e-mail address of the agent
    :param phone_number: phone number of the agent in any spelling
    :param profile: ``Admin``, ``Agent`` or ``RestrictedAgent``
    :param availability: ``AVAILABLE`` or ``UNAVAILABLE``
    :param clear: fields to empty: ``short_name``, ``email``, ``phone_number``
    :param phone_country: calling code of a phone number written without one. Default: 55 (Brazil)
    :raises WtsChatArgumentError: if an argument is refused, nothing is to change, or a field is both set and cleared
    """
    values = _values(name, profile, email, phone_number, availability, phone_country)
    return build.put(
        "/core/v1/agent/{id}",
        Agent,
        _id(agent_id),
        body=convert.changes(
            values | convert.given(shortName=convert.text("short_name", short_name)), clear, _CLEARABLE
        ),
    )


def delete(
    agent_id: str, *, session_resolution: str | None = None, transfer_user_id: str | None = None
) -> Request[None]:
    """
    Delete an agent: ``DELETE /core/v1/agent/{id}``.

    :param agent_id: ``id`` of the agent, which is not the agent's ``userId``
    :param session_resolution: what becomes of the agent's open sessions: ``COMPLETE``, ``TRANSFER`` or
        ``RETURN_TO_PENDING``
    :param transfer_user_id: ``userId`` of the agent who receives them with ``TRANSFER``
    :raises WtsChatArgumentError: if an argument is refused, or a transfer names no receiver
    """
    resolution = convert.choice("session_resolution", session_resolution, SessionResolution)
    receiver = convert.uuid("transfer_user_id", transfer_user_id)
    if (resolution == SessionResolution.TRANSFER) != (receiver is not None):
        msg = "TRANSFER and a user to transfer to go together; give both or none"
        raise WtsChatArgumentError("session_resolution, transfer_user_id", msg)
    return build.delete(
        "/core/v1/agent/{id}",
        type(None),
        _id(agent_id),
        body=convert.given(sessionResolution=resolution, transferUserId=receiver),
    )


def update_departments(agent_id: str, *, action: str, departments: Sequence[Mapping[str, Any]] | str) -> Request[None]:
    """
    Change the departments of an agent: ``POST /core/v1/agent/{id}/departments``.

    :param agent_id: ``id`` of the agent, which is not the agent's ``userId``
    :param action: ``ReplaceAll`` replaces every department (with an empty list by none), ``Upsert`` adds or changes
        those given, ``Remove`` removes them
    :param departments: departments, each a mapping of ``department_id`` and, optionally, ``is_agent`` and
        ``is_supervisor``
    :raises WtsChatArgumentError: if an argument is refused
    """
    items = _bodies.memberships(
        "departments", convert.required("departments", departments), "department_id", convert.identifier
    )
    return build.post(
        "/core/v1/agent/{id}/departments",
        type(None),
        _id(agent_id),
        body={"action": convert.choice("action", convert.required("action", action), MembershipAction), "items": items},
        # It says what is to be the case: a second time changes nothing.
        safe_to_repeat=True,
    )


def change_status(agent_id: str, status: str) -> Request[Agent]:
    """
    Let an agent in or keep the agent out: ``POST /core/v1/agent/{id}/status``.

    :param agent_id: ``id`` of the agent, which is not the agent's ``userId``
    :param status: ``Active`` or ``Blocked``
    :raises WtsChatArgumentError: if an argument is refused
    """
    access = convert.choice("status", convert.required("status", status), AgentAccess, never=(AgentAccess.UNDEFINED,))
    return build.post(
        "/core/v1/agent/{id}/status",
        Agent,
        _id(agent_id),
        body={"status": access},
        # It says what is to be the case: a second time changes nothing.
        safe_to_repeat=True,
    )


def logout(agent_id: str) -> Request[None]:
    """
    Log an agent out: ``POST /core/v1/agent/{id}/logout``.

    :param agent_id: ``id`` of the agent, which is not the agent's ``userId``
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.post(
        "/core/v1/agent/{id}/logout",
        type(None),
        _id(agent_id),
        # Who is logged out stays so.
        safe_to_repeat=True,
    )


def _id(agent_id: str) -> dict[str, str]:
    return {"id": convert.required_uuid("agent_id", agent_id)}


def _values(
    name: Any, profile: Any, email: Any, phone_number: Any, availability: Any, phone_country: str
) -> dict[str, Any]:
    return convert.given(
        name=convert.text("name", name, max_length=_LONGEST_NAME),
        email=convert.email("email", email),
        phoneNumber=None if phone_number is None else phones.stored("phone_number", phone_number, phone_country),
        profile=convert.choice("profile", profile, AgentProfile),
        availability=convert.choice("availability", availability, AgentAvailability),
    )

"""Departments: the teams of the account, their agents and channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from airflow_provider_wtschat.api import _bodies
from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api._shared import taking
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import (
    ChannelScope,
    Department,
    DepartmentAgents,
    DepartmentChannels,
    DepartmentDetail,
    DepartmentRestriction,
    DepartmentV1,
    MembershipAction,
)
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = ["create", "delete", "get", "list_", "list_channels", "update", "update_agents"]

_LONGEST_NAME = 100
_LONGEST_TIME = 2147483647
_CLEARABLE = {
    "description": "description",
    "restriction_type": "restrictionType",
    "distribution_config": "distributionConfig",
    "channels_config": "channelsConfig",
}


def list_() -> Request[list[Department]]:
    """List the departments of the account: ``GET /core/v2/department``."""
    return build.get("/core/v2/department", list[Department])


def get(department_id: str, *, include_details: str | None = None) -> Request[DepartmentV1]:
    """
    Get a department: ``GET /core/v1/department/{id}``.

    :param department_id: id of the department
    :param include_details: what to add: one of ``All``, ``Agents`` and ``Channels``
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.get(
        "/core/v1/department/{id}",
        DepartmentV1,
        _id(department_id),
        includeDetails=convert.choice("include_details", include_details, DepartmentDetail),
    )


class _Fields(TypedDict, total=False):
    """
    Fields of a department.

    :param is_default: whether new sessions come to it
    :param distribution_is_enabled: whether sessions are distributed to its agents
    :param expiration_is_enabled: whether a session that was distributed goes back after some time; this and the two
        below are one field: in an update, what is not given of them goes to the API's default
    :param maximum_duration_in_minutes: how long a session stays with an agent, minutes
    :param inactivity_time_in_minutes: how long an agent may be inactive, minutes
    :param restriction_type: who sees its sessions: ``NONE``, ``DEPARTMENT_RESTRICTION`` or ``USER_RESTRICTION``
    :param channels_scope: its channels: ``ALL``, ``NONE`` or ``SELECTED``. Default: ``SELECTED`` if channels are given
    :param channels: ids, names or numbers of its channels; in an update, in place of those that it has
    """

    is_default: bool | None
    distribution_is_enabled: bool | None
    expiration_is_enabled: bool | None
    maximum_duration_in_minutes: int | None
    inactivity_time_in_minutes: int | None
    restriction_type: str | None
    channels_scope: str | None
    channels: Sequence[str] | str | None


@taking(_Fields)
def create(
    *, name: str, agents: Sequence[Mapping[str, Any]] | str | None = None, **shared: Unpack[_Fields]
) -> Request[DepartmentV1]:
    """
    Create a department: ``POST /core/v1/department``.

    :param name: name of the department
    :param agents: its agents, each a mapping of ``user_id`` and, optionally, ``is_agent`` and ``is_supervisor``
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.post(
        "/core/v1/department",
        DepartmentV1,
        body=_values(convert.required("name", name), **shared) | convert.given(agents=_agents(agents)),
        safe_to_repeat=False,
    )


@taking(_Fields)
def update(
    department_id: str,
    *,
    name: str | None = None,
    clear: Sequence[str] | str | None = None,
    **shared: Unpack[_Fields],
) -> Request[DepartmentV1]:
    """
    Update fields of a department: ``PUT /core/v1/department/{id}``.

    The API changes only the fields named in a mask; the mask is built from what is given.

    :param department_id: id of the department
    :param name: name of the department
    :param clear: fields to empty: ``description`` (which the API lets be emptied and not be set), ``restriction_type``,
        ``distribution_config``, ``channels_config``
    :raises WtsChatArgumentError: if an argument is refused, nothing is to change, or a field is both set and cleared
    """
    return build.put(
        "/core/v1/department/{id}",
        DepartmentV1,
        _id(department_id),
        body=convert.changes(
            _values(name, **shared),
            clear,
            _CLEARABLE,
            left_out=("description", "distributionConfig", "channelsConfig"),
        ),
    )


def delete(department_id: str) -> Request[None]:
    """
    Delete a department: ``DELETE /core/v1/department/{id}``.

    :param department_id: id of the department
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.delete("/core/v1/department/{id}", type(None), _id(department_id))


def list_channels(department_id: str) -> Request[DepartmentChannels]:
    """
    List the channels of a department: ``GET /core/v1/department/{id}/channel``.

    :param department_id: id of the department
    :return: the request; its answer is the scope and, where it is ``SELECTED``, the ids of the channels
    :raises WtsChatArgumentError: if it is not an id
    """
    return build.get("/core/v1/department/{id}/channel", DepartmentChannels, _id(department_id))


def update_agents(
    department_id: str, *, action: str, agents: Sequence[Mapping[str, Any]] | str
) -> Request[DepartmentAgents]:
    """
    Change the agents of a department: ``PUT /core/v1/department/{id}/agents``.

    :param department_id: id of the department
    :param action: ``ReplaceAll`` replaces every agent (with an empty list by none), ``Upsert`` adds or changes those
        given, ``Remove`` removes them
    :param agents: agents, each a mapping of ``user_id`` and, optionally, ``is_agent`` and ``is_supervisor``
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.put(
        "/core/v1/department/{id}/agents",
        DepartmentAgents,
        _id(department_id),
        body={
            "action": convert.choice("action", convert.required("action", action), MembershipAction),
            "items": _agents(convert.required("agents", agents)),
        },
    )


def _id(department_id: str) -> dict[str, str]:
    return {"id": convert.required_uuid("department_id", department_id)}


def _agents(value: Any) -> list[dict[str, Any]] | None:
    return _bodies.memberships("agents", value, "user_id", convert.required_uuid)


def _values(
    name: Any,
    *,
    is_default: Any = None,
    distribution_is_enabled: Any = None,
    expiration_is_enabled: Any = None,
    maximum_duration_in_minutes: Any = None,
    inactivity_time_in_minutes: Any = None,
    restriction_type: Any = None,
    channels_scope: Any = None,
    channels: Any = None,
) -> dict[str, Any]:
    distribution = convert.given(
        expirationIsEnabled=convert.boolean("expiration_is_enabled", expiration_is_enabled),
        maximumDurationInMinutes=convert.integer(
            "maximum_duration_in_minutes", maximum_duration_in_minutes, minimum=0, maximum=_LONGEST_TIME
        ),
        inactivityTimeInMinutes=convert.integer(
            "inactivity_time_in_minutes", inactivity_time_in_minutes, minimum=0, maximum=_LONGEST_TIME
        ),
    )
    return convert.given(
        name=convert.text("name", name, max_length=_LONGEST_NAME),
        isDefault=convert.boolean("is_default", is_default),
        distributionIsEnabled=convert.boolean("distribution_is_enabled", distribution_is_enabled),
        distributionConfig=distribution or None,
        restrictionType=convert.choice("restriction_type", restriction_type, DepartmentRestriction),
        channelsConfig=_channels(channels_scope, channels),
    )


def _channels(scope: Any, channels: Any) -> dict[str, Any] | None:
    selected = convert.texts("channels", channels)
    reach = convert.choice("channels_scope", scope, ChannelScope)
    if selected is None:
        return None if reach is None else {"scope": reach}
    if reach not in (None, ChannelScope.SELECTED):
        msg = f"the API ignores them with channels_scope={reach!r}; they go with 'SELECTED'"
        raise WtsChatArgumentError("channels", msg)
    return {"scope": ChannelScope.SELECTED.value, "channels": selected}

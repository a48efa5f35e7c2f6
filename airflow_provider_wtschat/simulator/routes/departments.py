"""Departments, which the API's texts call teams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import form_error
from airflow_provider_wtschat.simulator.records import Record
from airflow_provider_wtschat.simulator.routes.call import Call, by_id, check_unique, handles, masked, user
from airflow_provider_wtschat.simulator.sending import find_channel
from airflow_provider_wtschat.simulator.world import World

_ALL = frozenset({"All"})
_PARTIAL = {
    "Name": "name",
    # The mask knows Description, the body does not: naming it can only clear.
    "Description": "description",
    "IsDefault": "isDefault",
    "DistributionIsEnabled": "distributionIsEnabled",
    "ChannelsConfig": "channelsConfig",
    "RestrictionType": "restrictionType",
    "DistributionConfig": "distributionConfig",
}
_NAME_TAKEN = "Já existe uma equipe com este nome"
_NO_DISTRIBUTION = {"expirationIsEnabled": False, "maximumDurationInMinutes": 0, "inactivityTimeInMinutes": 0}


@handles("GET /core/v2/department")
def list_departments(call: Call) -> Any:
    """List departments, all of them, without an envelope."""
    return [views.department(call.world, row, _ALL, version=2) for row in call.world.departments]


@handles("GET /core/v1/department/{id}")
def get_department(call: Call) -> Any:
    """Get a department."""
    detail = call.query.get("includeDetails")
    return views.department(call.world, _department(call), {detail} if detail else frozenset())


@handles("POST /core/v1/department")
def create_department(call: Call) -> Any:
    """Create a department."""
    world, body = call.world, call.body
    name = body.get("name")
    if not name:
        raise form_error("Informe o nome da equipe")
    check_unique(world.departments, "name", name, None, _NAME_TAKEN)
    members = {}
    for item in body.get("agents") or ():
        agent = user(world, item["userId"])
        members[agent["userId"]] = (item.get("isAgent", False), item.get("isSupervisor", False))
    row = world.record(
        world.departments,
        companyId=world.company_id,
        directLinks=None,
        name=name,
        isDefault=body.get("isDefault", False),
        distribuitionEnabled=body.get("distributionIsEnabled", False),
        restrictionType=body.get("restrictionType") or "NONE",
        distributionConfig={**_NO_DISTRIBUTION, **(body.get("distributionConfig") or {})},
        description=None,
        isPrivate=False,
        _agents=members,
        **_channels(world, body.get("channelsConfig")),
    )
    _keep_one_default(world, row)
    return _printed(call, row)


@handles("PUT /core/v1/department/{id}")
def update_department(call: Call) -> Any:
    """Update the fields named in the mask."""
    world, row, given = call.world, _department(call), masked(call, _PARTIAL)
    changes: dict[str, Any] = {}
    if "name" in given:
        if not given["name"]:
            raise form_error("Informe o nome da equipe")
        check_unique(world.departments, "name", given["name"], row, _NAME_TAKEN)
        changes["name"] = given["name"]
    if "description" in given:
        changes["description"] = None
    if "isDefault" in given:
        changes["isDefault"] = bool(given["isDefault"])
    if "distributionIsEnabled" in given:
        changes["distribuitionEnabled"] = bool(given["distributionIsEnabled"])
    if "restrictionType" in given:
        changes["restrictionType"] = given["restrictionType"] or "NONE"
    if "distributionConfig" in given:
        changes["distributionConfig"] = {**_NO_DISTRIBUTION, **(given["distributionConfig"] or {})}
    if "channelsConfig" in given:
        changes |= _channels(world, given["channelsConfig"])
    if changes:
        row = world.change(world.departments, row, **changes)
        _keep_one_default(world, row)
    return _printed(call, row)


@handles("DELETE /core/v1/department/{id}")
def delete_department(call: Call) -> Any:
    """Delete a department; its sessions go on pointing at it."""
    row = _department(call)
    if row["isDefault"]:
        raise form_error("A equipe padrão não pode ser excluída")
    call.world.departments.delete(row.id)
    call.touched(row.id)


@handles("PUT /core/v1/department/{id}/agents")
def update_agents(call: Call) -> Any:
    """Add, change or remove agents of a department."""
    world, row, action = call.world, _department(call), call.body["action"]
    members = {} if action == "ReplaceAll" else dict(row["_agents"])
    for item in call.body["items"]:
        agent = user(world, item.get("userId") or "")
        if action == "Remove":
            members.pop(agent["userId"], None)
        else:
            members[agent["userId"]] = (item.get("isAgent", False), item.get("isSupervisor", False))
    row = world.change(world.departments, row, _agents=members)
    call.touched(row.id)
    items = [
        {"userId": user_id, "isAgent": is_agent, "isSupervisor": is_supervisor}
        for user_id, (is_agent, is_supervisor) in members.items()
    ]
    return {"action": action, "items": items}


@handles("GET /core/v1/department/{id}/channel")
def list_channels(call: Call) -> Any:
    """List the channels that a department may use."""
    row = _department(call)
    return {"scope": row["_scope"], "channels": views.department_channel_ids(call.world, row)}


def _department(call: Call) -> Record:
    return by_id(call.world.departments, call.path["id"], "Equipe não encontrada")


def _printed(call: Call, row: Record) -> Any:
    call.touched(row.id)
    return views.department(call.world, row, _ALL)


def _channels(world: World, config: Mapping[str, Any] | None) -> dict[str, Any]:
    scope = (config or {}).get("scope") or "ALL"
    wanted = (config or {}).get("channels") or ()
    return {"_scope": scope, "_channels": tuple(find_channel(world, channel).id for channel in wanted)}


def _keep_one_default(world: World, row: Record) -> None:
    for department in list(world.departments):
        if row["isDefault"] and department["isDefault"] and department.id != row.id:
            world.change(world.departments, department, isDefault=False)

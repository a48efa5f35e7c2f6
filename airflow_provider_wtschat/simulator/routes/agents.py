"""Agents, who are users with a ``userId`` beside their ``id``."""

from __future__ import annotations

from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import cannot_save, form_error
from airflow_provider_wtschat.simulator.phones import formatted_phone, stored_phone
from airflow_provider_wtschat.simulator.records import OPEN_STATUSES, Record
from airflow_provider_wtschat.simulator.routes.call import Call, by_id, check_unique, handles, masked, user
from airflow_provider_wtschat.simulator.world import World

_PARTIAL = {
    "Name": "name",
    "ShortName": "shortName",
    "Email": "email",
    "PhoneNumber": "phoneNumber",
    "Profile": "profile",
    "Availability": "availability",
}


@handles("GET /core/v1/agent")
def list_agents(call: Call) -> Any:
    """List agents, all of them, without an envelope."""
    return [views.agent(call.world, row) for row in call.world.agents]


@handles("GET /core/v1/agent/{id}")
def get_agent(call: Call) -> Any:
    """Get an agent."""
    return views.agent(call.world, _agent(call))


@handles("POST /core/v1/agent")
def create_agent(call: Call) -> Any:
    """Create an agent."""
    world, body = call.world, call.body
    if not (body.get("email") or body.get("phoneNumber")):
        raise form_error("Informe o e-mail ou o telefone do usuário")
    _check_email(world, body.get("email"), None)
    phone = _phone(body.get("phoneNumber"))
    row = world.record(
        world.agents,
        companyId=world.company_id,
        userId=world.new_id(),
        name=body["name"],
        shortName=None,
        email=body.get("email"),
        phoneNumber=phone,
        phoneNumberFormatted=formatted_phone(phone),
        profile=body["profile"].upper(),
        isOwner=False,
        availability=body.get("availability") or "UNAVAILABLE",
        _status="Active",
    )
    return _printed(call, row)


@handles("PUT /core/v1/agent/{id}")
def update_agent(call: Call) -> Any:
    """Update the fields named in the mask."""
    row, changes = _agent(call), masked(call, _PARTIAL)
    if "email" in changes:
        _check_email(call.world, changes["email"], row)
    if "phoneNumber" in changes:
        changes["phoneNumber"] = _phone(changes["phoneNumber"])
        changes["phoneNumberFormatted"] = formatted_phone(changes["phoneNumber"])
    if changes.get("profile"):
        changes["profile"] = changes["profile"].upper()
    if None in (changes.get("name", ""), changes.get("profile", ""), changes.get("availability", "")):
        raise form_error("Nome, perfil e disponibilidade são obrigatórios")
    return _printed(call, call.world.change(call.world.agents, row, **changes) if changes else row)


@handles("DELETE /core/v1/agent/{id}")
def delete_agent(call: Call) -> Any:
    """Delete an agent and settle its sessions."""
    world, row, body = call.world, _agent(call), call.body or {}
    if row["isOwner"]:
        raise cannot_save("O proprietário da conta não pode ser excluído")
    resolution, heir = body.get("sessionResolution"), None
    if resolution == "TRANSFER":
        if not body.get("transferUserId"):
            raise form_error("Informe o usuário de destino")
        heir = user(world, body["transferUserId"])
    for session in [one for one in world.sessions if one.user_id == row["userId"] and one.status in OPEN_STATUSES]:
        if resolution == "COMPLETE":
            world.conclude_session(session.id)
        elif heir is not None:
            world.change_session(session.id, user_id=heir["userId"])
        else:
            world.change_session(session.id, user_id=None, status="PENDING")
    for department in list(world.departments):
        if row["userId"] in department["_agents"]:
            rest = {user_id: roles for user_id, roles in department["_agents"].items() if user_id != row["userId"]}
            world.change(world.departments, department, _agents=rest)
    world.agents.delete(row.id)
    call.touched(row.id)


@handles("POST /core/v1/agent/{id}/departments")
def update_departments(call: Call) -> Any:
    """Add, change or remove an agent's departments."""
    world, row, action = call.world, _agent(call), call.body["action"]
    wanted = {
        by_id(world.departments, item["departmentId"], "Equipe não encontrada").id: (
            item.get("isAgent", False),
            item.get("isSupervisor", False),
        )
        for item in call.body["items"]
    }
    for department in list(world.departments):
        members = dict(department["_agents"])
        if action == "ReplaceAll" or (action == "Remove" and department.id in wanted):
            members.pop(row["userId"], None)
        if action != "Remove" and department.id in wanted:
            members[row["userId"]] = wanted[department.id]
        if members != department["_agents"]:
            world.change(world.departments, department, _agents=members)
    call.touched(row.id)


@handles("POST /core/v1/agent/{id}/logout")
def log_out(call: Call) -> Any:
    """Log an agent out."""
    row = _agent(call)
    call.world.change(call.world.agents, row, availability="UNAVAILABLE")
    call.touched(row.id)


@handles("POST /core/v1/agent/{id}/status")
def change_status(call: Call) -> Any:
    """Block an agent or let it in again."""
    status = call.body["status"]
    if status == "Undefined":
        raise cannot_save("Status inválido")
    return _printed(call, call.world.change(call.world.agents, _agent(call), _status=status))


def _agent(call: Call) -> Record:
    return by_id(call.world.agents, call.path["id"], "Usuário não encontrado")


def _printed(call: Call, row: Record) -> Any:
    call.touched(row.id)
    return views.agent(call.world, row)


def _phone(text: str | None) -> str | None:
    stored = stored_phone(text) if text else None
    if text and stored is None:
        raise form_error("Número de telefone inválido")
    return stored


def _check_email(world: World, email: str | None, own: Record | None) -> None:
    if email:
        check_unique(world.agents, "email", email, own, "Já existe um usuário com este e-mail")

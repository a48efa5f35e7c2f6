"""Sessions, and writing into them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import cannot_save, form_error, session_not_found
from airflow_provider_wtschat.simulator.openapi import Query
from airflow_provider_wtschat.simulator.records import Message, Session, merged
from airflow_provider_wtschat.simulator.routes.call import (
    Call,
    by_id,
    found,
    handles,
    list_page,
    masked,
    open_session,
    user,
)
from airflow_provider_wtschat.simulator.routes.messages import answered, content
from airflow_provider_wtschat.simulator.sending import send_into
from airflow_provider_wtschat.simulator.tables import Bound
from airflow_provider_wtschat.simulator.world import World

_PARTIAL = {
    "Status": "status",
    "EndAt": "endAt",
    "UserId": "userId",
    "DepartmentId": "departmentId",
    "Number": "number",
    "Metadata": "metadata",
    "Classification": "classification",
}


@handles("GET /chat/v2/session")
def list_sessions(call: Call) -> Any:
    """List sessions; hidden ones only where they are asked for."""
    world, details = call.world, frozenset(call.query.many("IncludeDetails"))
    return list_page(
        call,
        world.sessions,
        lambda row: views.session(world, row, details),
        matches=_session_filter(world, call.query),
        bounds=("CreatedAt", "UpdatedAt", "LastInteractionAt"),
    )


@handles("GET /chat/v2/session/{id}")
def get_session(call: Call) -> Any:
    """Get a session."""
    # The one place where the contract spells the name with a small letter.
    return views.session(call.world, _session(call), call.query.many("includeDetails"))


@handles("PUT /chat/v1/session/{id}/complete")
def complete(call: Call) -> Any:
    """Conclude a session, once."""
    session = _open(call)
    return _saved(
        call, call.world.conclude_session(session.id, reactivate=bool((call.body or {}).get("reactivateOnNewMessage")))
    )


@handles("PUT /chat/v1/session/{id}/status")
def change_status(call: Call) -> Any:
    """Change the status; COMPLETED concludes."""
    session, status = _session(call), call.body["newStatus"]
    if status == "UNDEFINED":
        raise cannot_save("Status inválido")
    if status == "COMPLETED":
        return _saved(call, call.world.conclude_session(_open(call).id))
    return _saved(call, call.world.change_session(session.id, status=status))


@handles("PUT /chat/v1/session/{id}/transfer")
def transfer(call: Call) -> Any:
    """Transfer to a department, or to a user of a department."""
    session, body = _open(call), call.body
    if not body.get("newDepartmentId"):
        raise form_error("Informe a equipe de destino")
    department = by_id(call.world.departments, body["newDepartmentId"], "Equipe não encontrada")
    if body["type"] == "DEPARTMENT":
        changes: dict[str, Any] = {"status": "PENDING", "user_id": None}
    else:
        if not body.get("newUserId"):
            raise form_error("Informe o usuário de destino")
        changes = {"status": "IN_PROGRESS", "user_id": user(call.world, body["newUserId"])["userId"]}
    return _saved(call, call.world.change_session(session.id, department_id=department.id, **changes))


@handles("PUT /chat/v1/session/{id}/assignee")
def assign(call: Call) -> Any:
    """Assign to a user."""
    session = _open(call)
    user_id = user(call.world, call.body["userId"])["userId"]
    return _saved(call, call.world.change_session(session.id, user_id=user_id, status="IN_PROGRESS"))


@handles("PUT /chat/v2/session/{id}/partial")
def update(call: Call) -> Any:
    """Update the fields named in the mask."""
    world, session = call.world, _session(call)
    given = masked(call, _PARTIAL)
    changes: dict[str, Any] = {}
    if "status" in given:
        if given["status"] in (None, "UNDEFINED"):
            raise cannot_save("Status inválido")
        changes["status"] = given["status"]
    if "endAt" in given:
        changes["end"] = None if given["endAt"] is None else call.instant(given["endAt"])
    if "userId" in given:
        changes["user_id"] = None if given["userId"] is None else user(world, given["userId"])["userId"]
    if "departmentId" in given:
        wanted = given["departmentId"]
        changes["department_id"] = wanted and by_id(world.departments, wanted, "Equipe não encontrada").id
    if "number" in given:
        changes["number"] = given["number"]
    if "metadata" in given:
        changes["metadata"] = merged(session.metadata, given["metadata"]) if given["metadata"] else None
    if "classification" in given:
        changes["classification"] = _classification(world, given["classification"])
    return _saved(call, world.change_session(session.id, **changes) if changes else session)


@handles("POST /chat/v1/session/{id}/message", "POST /chat/v1/session/{id}/message/sync")
def send_message(call: Call) -> Any:
    """Send into a session."""
    return answered(call, send_into(call.world, call.operation.key, _open(call), content(call.body)))


@handles("POST /chat/v1/session/{id}/note")
def create_note(call: Call) -> Any:
    """Write an internal note."""
    world, session, body = call.world, _session(call), call.body
    text, files = body.get("text"), body.get("filesIds") or ()
    if not (text or files or body.get("filesUrls")):
        raise form_error("Informe o texto ou os arquivos da nota")
    for file_id in files:
        by_id(world.files, file_id, "Arquivo não encontrado")
    now = world.now()
    note = Message(
        **world.fresh(now),
        session_id=session.id,
        type="NOTE",
        text=text,
        user_id=next(iter(world.agents))["userId"],
        file_ids=tuple(file_id.lower() for file_id in files),
        course=((now, "SAVED"),),
    )
    world.history.add(note)
    call.touched(note.id)
    return views.message(world, note)


def _session(call: Call) -> Session:
    return found(call.world.sessions.get(call.path["id"].lower()), session_not_found())


def _open(call: Call) -> Session:
    return open_session(call.world, call.path["id"])


def _saved(call: Call, session: Session) -> Any:
    call.touched(session.id)
    return views.session(call.world, session, version=1)


def _classification(world: World, given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    category = given.get("category") or "UNDEFINED"
    return {
        "id": world.new_id(),
        "category": category,
        "categoryDescription": given.get("description"),
        "amount": given.get("amount") or 0.0,
        "categoryName": category.title(),
    }


def _session_filter(world: World, query: Query) -> Callable[[Session], bool] | None:
    """Put together what a list of sessions asks for; None if it asks for everything that is not hidden."""
    tests: list[Callable[[Session], bool]] = []
    statuses = frozenset(query.many("Status"))
    if statuses:
        tests.append(lambda row: row.status in statuses)
    elif world.may_hide:
        tests.append(lambda row: row.status != "HIDDEN")
    for name, attribute in (("DepartmentId", "department_id"), ("UserId", "user_id"), ("ContactId", "contact_id")):
        wanted = query.get(name)
        if wanted is not None:
            tests.append(_equals(attribute, wanted))
    channels = frozenset(query.many("ChannelsId"))
    if channels:
        tests.append(lambda row: row.channel_id in channels)
    kind = query.get("Type")
    if kind is not None:
        tests.append(lambda row: row.type == kind)
    tag_ids = set(query.many("TagsId"))
    names = set(query.many("TagsName"))
    tag_ids |= {tag.id for tag in world.tags if tag["name"] in names}
    if tag_ids or names:
        tests.append(lambda row: not tag_ids.isdisjoint(_tags(world, row)))
    metadata = query.get("Metadata")
    if metadata:
        tests.append(lambda row: all((row.metadata or {}).get(key) == value for key, value in metadata.items()))
    # When a session is "active" is not documented; its start is the likely reading.
    for name, attribute in (("EndAt", "end"), ("ActiveAt", "start")):
        bound = Bound(query.get(f"{name}.After"), query.get(f"{name}.Before"))
        if bound != Bound():
            tests.append(_within(attribute, bound, world.manners.inclusive))
    if not tests:
        return None
    return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)


def _equals(attribute: str, wanted: str) -> Callable[[Session], bool]:
    return lambda row: getattr(row, attribute) == wanted


def _within(attribute: str, bound: Bound, inclusive: bool) -> Callable[[Session], bool]:
    lowest, highest = bound.limits(inclusive)

    def test(row: Session) -> bool:
        at = getattr(row, attribute)
        return at is not None and lowest <= at <= highest

    return test


def _tags(world: World, row: Session) -> tuple[str, ...]:
    contact = world.contacts.get(row.contact_id)
    return contact.tag_ids if contact else ()

"""What the API refuses, and what becomes of what it accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.simulator.conftest import Client

Start = Callable[..., Client]
UNKNOWN = "0f0e0d0c-0b0a-4009-8807-060504030201"


def template(api: Client, name: str = "modelo_exemplo") -> str:
    template_id: str = next(row.id for row in api.sim.world.templates if row["name"] == name)
    return template_id


def channel(api: Client) -> str:
    number: str = next(iter(api.sim.world.channels))["number"]
    return number


# Sessions


def test_a_session_is_concluded_once(api: Client) -> None:
    session = api.sim.world.create_session()
    path = f"/chat/v1/session/{session.id}/complete"
    assert api.ok("PUT", path, body={})["timeService"] == "00:00:00"
    assert api.refused("PUT", path, body={}) == (500, "ENTITY_ERROR_SAVE")
    assert len(api.sim.books) == 1


@pytest.mark.parametrize(
    ("operation", "body", "answer"),
    [
        ("status", {"newStatus": "UNDEFINED"}, (500, "ENTITY_ERROR_SAVE")),
        ("assignee", {"userId": UNKNOWN}, (500, "ENTITY_NOT_FOUND")),
        ("transfer", {"type": "DEPARTMENT"}, (500, "FORM_ERROR")),
        ("transfer", {"type": "DEPARTMENT", "newDepartmentId": UNKNOWN}, (500, "ENTITY_NOT_FOUND")),
    ],
)
def test_what_a_session_refuses(api: Client, operation: str, body: Any, answer: tuple[int, str]) -> None:
    session = api.sim.world.create_session()
    assert api.refused("PUT", f"/chat/v1/session/{session.id}/{operation}", body=body) == answer
    assert api.refused("PUT", f"/chat/v1/session/{UNKNOWN}/{operation}", body=body)[0] == 404
    assert api.sim.books == []


def test_a_session_belongs_to_a_user_and_not_to_an_agent(api: Client) -> None:
    session, agent = api.sim.world.create_session(), next(iter(api.sim.world.agents))
    path = f"/chat/v1/session/{session.id}/assignee"
    assert api.refused("PUT", path, body={"userId": agent.id}) == (500, "ENTITY_NOT_FOUND")
    assert api.ok("PUT", path, body={"userId": agent["userId"]})["userId"] == agent["userId"]


def test_a_transfer_to_a_user_needs_the_department_too(api: Client) -> None:
    world = api.sim.world
    session, agent, team = world.create_session(), next(iter(world.agents)), next(iter(world.departments))
    path = f"/chat/v1/session/{session.id}/transfer"
    assert api.refused("PUT", path, body={"type": "USER", "newUserId": agent["userId"]}) == (500, "FORM_ERROR")
    both = {"type": "USER", "newUserId": agent["userId"], "newDepartmentId": team.id}
    assert api.ok("PUT", path, body=both)["userId"] == agent["userId"]


def test_an_update_changes_what_its_mask_names(api: Client) -> None:
    team = next(iter(api.sim.world.departments))
    session = api.sim.world.create_session(department_id=team.id)
    path = f"/chat/v2/session/{session.id}/partial"
    ignored = api.ok("PUT", path, body={"number": "7", "metadata": {"a": "b"}, "fields": ["Number"]})
    assert (ignored["number"], ignored["metadata"]) == ("7", None)
    assert api.ok("PUT", path, body={"number": "8"})["number"] == "7"
    cleared = api.ok("PUT", path, body={"fields": ["DepartmentId"], "departmentId": None})
    assert cleared["departmentId"] is None
    assert api.ok("PUT", path, body={"fields": ["ReactivateDisabled", "Autocomplete"]})["number"] == "7"


def test_a_session_without_details_has_ids_only(api: Client) -> None:
    row = api.get("/chat/v2/session", PageSize=1)["items"][0]
    assert row["contactId"]
    assert [row[name] for name in ("contactDetails", "agentDetails", "channelDetails", "channelType")] == [None] * 4
    detailed = api.get(f"/chat/v2/session/{row['id']}", includeDetails=["ContactDetails", "ChannelTypeDetails"])
    assert detailed["contactDetails"]["phonenumber"].startswith("+55|")
    assert detailed["channelType"]


def test_a_reply_opens_the_window_and_shows_a_hidden_session(api: Client) -> None:
    session = api.sim.world.create_session(status="HIDDEN", window="EXPIRED")
    assert api.get(f"/chat/v2/session/{session.id}")["windowStatus"] == "EXPIRED"
    message = api.sim.world.add_inbound_message(session.id, "Here I am")
    row = api.get(f"/chat/v2/session/{session.id}")
    assert (row["windowStatus"], row["status"], row["lastMessageText"]) == ("ACTIVE", "PENDING", "Here I am")
    assert api.get(f"/chat/v1/message/{message.id}")["direction"] == "FROM_HUB"


@pytest.mark.parametrize("reactivate", [True, False])
def test_a_reply_after_the_end(api: Client, reactivate: bool) -> None:
    session = api.sim.world.create_session()
    api.ok("PUT", f"/chat/v1/session/{session.id}/complete", body={"reactivateOnNewMessage": reactivate})
    message = api.sim.world.add_inbound_message(session.id)
    assert (message.session_id == session.id) is reactivate
    assert api.get(f"/chat/v2/session/{message.session_id}")["status"] == "PENDING"


# Messages


def statuses(api: Client, message_id: str, steps: int = 12) -> list[str]:
    """Follow a message by half steps of the clock."""
    seen: list[str] = []
    for _ in range(steps):
        status = api.get(f"/chat/v1/message/{message_id}/status")["status"]
        if status not in seen:
            seen.append(status)
        api.sim.world.clock.advance(0.5)
    return seen


def frozen(start: Start, **options: Any) -> Client:
    api = start(message_step_s=1.0, **options)
    api.sim.world.clock.freeze()
    return api


def test_a_message_moves_on_with_time(start: Start) -> None:
    api = frozen(start)
    session = api.sim.world.create_session()
    sent = api.ok("POST", "/chat/v1/send/text", body={"sessionId": session.id, "text": "Hello"})
    assert sent["status"] == "QUEUED"
    assert statuses(api, sent["id"])[:4] == ["QUEUED", "PROCESSING", "SENT", "DELIVERED"]
    later = api.get(f"/chat/v1/send/message/{sent['id']}")
    assert later["sentAt"]
    assert later["updatedAt"] != sent["updatedAt"]


def test_free_text_needs_an_open_window(start: Start) -> None:
    api = frozen(start)
    for window in ("EXPIRED", "NOT_STARTED"):
        session = api.sim.world.create_session(window=window)
        sent = api.ok("POST", "/chat/v1/send/text", body={"sessionId": session.id, "text": "Hello"})
        assert statuses(api, sent["id"], 4)[-1] == "FAILED"
        assert "24 horas" in api.get(f"/chat/v1/message/{sent['id']}")["failedReason"]
        assert "24 horas" in api.get(f"/chat/v1/message/{sent['id']}/status")["failureReason"]
    unofficial = next(row for row in api.sim.world.channels if not row["_official"])
    session = api.sim.world.create_session(channel_id=unofficial.id, window="NOT_STARTED")
    assert api.get(f"/chat/v2/session/{session.id}")["windowStatus"] == "ACTIVE"


def test_free_text_outside_the_window_may_be_refused(start: Start) -> None:
    api = start(closed_window="refuse")
    session = api.sim.world.create_session(window="EXPIRED")
    body = {"sessionId": session.id, "text": "Hello"}
    assert api.refused("POST", "/chat/v1/send/text", body=body) == (500, "FORM_ERROR")
    assert api.sim.sends == []


@pytest.mark.parametrize("value", ["two\nlines", "a\ttab", "four    spaces", "x" * 1025])
def test_a_bad_parameter_fails_after_it_was_accepted(start: Start, value: str) -> None:
    api = frozen(start)
    body = {"to": "11911112222", "from": channel(api), "templateId": template(api), "parameters": {"1": value}}
    sent = api.ok("POST", "/chat/v1/send/template", body=body)
    assert statuses(api, sent["id"], 4)[-1] == "FAILED"


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"templateId": UNKNOWN}, (500, "ENTITY_NOT_FOUND")),
        ({"templateId": "em_revisao"}, (500, "FORM_ERROR")),
        ({"templateId": "modelo_antigo"}, (500, "ENTITY_NOT_FOUND")),
        ({"parameters": {}}, (500, "FORM_ERROR")),
        ({"from": "5511999990000"}, (500, "ENTITY_NOT_FOUND")),
        ({"to": "nobody"}, (500, "FORM_ERROR")),
        ({"to": "@nobody"}, (500, "FORM_ERROR")),
        ({"fileIdOrUrl": UNKNOWN}, (500, "ENTITY_NOT_FOUND")),
    ],
)
def test_a_template_that_cannot_go_leaves_no_trace(
    api: Client, change: dict[str, Any], answer: tuple[int, str]
) -> None:
    if change.get("templateId") in ("em_revisao", "modelo_antigo"):
        change = {"templateId": template(api, change["templateId"])}
    body = {"to": "11911112222", "from": channel(api), "templateId": template(api), "parameters": {"1": "x"}, **change}
    people = len(api.sim.world.contacts)
    refused = api.send("POST", "/chat/v1/send/template", body=body)
    assert (refused.status_code, refused.json()["key"]) == answer
    if "from" in change:
        assert refused.json()["text"] == "Canal de comunicação não encontrado (5511999990000)"
    assert (len(api.sim.world.contacts), api.sim.sends) == (people, [])


def test_an_unknown_number_becomes_a_contact_and_the_books_have_it(api: Client) -> None:
    body = {"to": "(55) 91111-2222", "from": channel(api), "templateId": template(api), "parameters": {"1": "Ana"}}
    for spelling in ("(55) 91111-2222", "+55|55911112222", "5555911112222"):
        api.ok("POST", "/chat/v1/send/template", body={**body, "to": spelling, "senderId": spelling})
    contact = api.sim.world.contact_by_phone("55911112222")
    assert contact is not None
    assert [(send.recipient, send.sender_id, send.text) for send in api.sim.sends] == [
        ("+55|55911112222", spelling, "Olá Ana") for spelling in ("(55) 91111-2222", "+55|55911112222", "5555911112222")
    ]
    assert len({send.session_id for send in api.sim.sends}) == 1
    assert [write.operation for write in api.sim.books] == ["POST /chat/v1/send/template"] * 3


def test_options_of_a_new_session(api: Client) -> None:
    world = api.sim.world
    agent, team = next(iter(world.agents)), next(iter(world.departments))
    options = {"hiddenSession": True, "user": {"email": agent["email"]}, "department": {"name": team["name"]}}
    body = {"to": "11911112222", "from": channel(api), "templateId": template(api), "parameters": {"1": "Ana"}}
    first = api.ok("POST", "/chat/v1/send/template", body={**body, "options": options})
    row = api.get(f"/chat/v2/session/{first['sessionId']}")
    assert (row["status"], row["userId"], row["departmentId"]) == ("HIDDEN", agent["userId"], team.id)
    forced = api.ok("POST", "/chat/v1/send/template", body={**body, "options": {"forceStartSession": True}})
    assert forced["sessionId"] != first["sessionId"]
    assert api.get(f"/chat/v2/session/{first['sessionId']}")["status"] == "COMPLETED"


def test_a_synchronous_send_waits_no_longer_than_it_may(start: Start) -> None:
    api = start(message_step_s=60.0, sync_wait_s=0.2)
    session = api.sim.world.create_session()
    answer = api.ok("POST", f"/chat/v1/session/{session.id}/message/sync", body={"text": "Hello"})
    assert answer["status"] == "QUEUED"
    api.sim.world.clock.freeze()
    answer = api.ok("POST", f"/chat/v1/session/{session.id}/message/sync", body={"text": "Hello"})
    assert answer["status"] == "QUEUED"


def test_a_batch_has_at_most_100_messages(api: Client) -> None:
    def batch(size: int) -> dict[str, Any]:
        messages = [
            {"to": f"119{number:08}", "parameters": {"1": "x"}, "senderId": str(number)} for number in range(size)
        ]
        return {"from": channel(api), "templateId": template(api), "messages": messages}

    assert api.refused("POST", "/chat/v1/send/template/batch", body=batch(101)) == (500, "FORM_ERROR")
    assert api.sim.sends == []
    results = api.ok("POST", "/chat/v1/send/template/batch", body=batch(100))["results"]
    assert [row["senderId"] for row in results] == [str(number) for number in range(100)]
    assert len(api.sim.sends) == 100
    assert len(api.sim.books) == 1


@pytest.mark.parametrize(("option", "count"), [("shuffled", 8), ("partial", 6)])
def test_results_of_a_batch_may_come_otherwise(start: Start, option: str, count: int) -> None:
    api = start(batch_results=option)
    messages = [{"to": f"119{number:08}", "parameters": {"1": "x"}, "senderId": str(number)} for number in range(8)]
    body = {"from": channel(api), "templateId": template(api), "messages": messages}
    results = api.ok("POST", "/chat/v1/send/template/batch", body=body)["results"]
    assert len(results) == count
    assert [row["senderId"] for row in results] != [str(number) for number in range(count)]
    assert len(api.sim.sends) == 8


def test_an_impossible_recipient_in_a_batch_fails_alone(api: Client) -> None:
    messages = [{"to": to, "parameters": {"1": "x"}} for to in ("11911112222", "nobody", "11911113333")]
    body = {"from": channel(api), "templateId": template(api), "messages": messages}
    results = api.ok("POST", "/chat/v1/send/template/batch", body=body)["results"]
    assert [row["status"] for row in results] == ["QUEUED", "FAILED", "QUEUED"]
    assert len(api.sim.sends) == 2


@pytest.mark.parametrize(("lookup", "message", "otp"), [("otp", 404, 200), ("all", 200, 200), ("none", 404, 404)])
def test_look_up_by_sender_id(start: Start, lookup: str, message: int, otp: int) -> None:
    api = start(sender_lookup=lookup)
    session = api.sim.world.create_session()
    api.ok("POST", "/chat/v1/send/text", body={"sessionId": session.id, "text": "Hello", "senderId": "mine"})
    api.ok("POST", "/chat/v1/send/otp", body={"from": channel(api), "to": "11911112222", "senderId": "code"})
    assert api.send("GET", "/chat/v1/send/message/mine").status_code == message
    assert api.send("GET", "/chat/v1/send/otp/code").status_code == otp
    in_session = api.get(f"/chat/v1/session/{session.id}/message")["items"]
    assert [row["senderId"] for row in in_session] == [None if lookup == "none" else "mine"]


def test_fates_of_messages_can_be_set(start: Start) -> None:
    api = frozen(start)
    session = api.sim.world.create_session()
    sent = api.ok("POST", "/chat/v1/send/text", body={"sessionId": session.id, "text": "Hello"})
    api.sim.world.set_message_status(sent["id"], "FAILED", "No credit")
    api.sim.world.clock.advance(60)
    assert api.get(f"/chat/v1/message/{sent['id']}/status")["status"] == "FAILED"
    assert api.get(f"/chat/v1/send/message/{sent['id']}")["failedReason"] == "No credit"
    api.sim.world.failing_recipients.add("+55|11911112222")
    body = {"to": "11911112222", "from": channel(api), "templateId": template(api), "parameters": {"1": "Ana"}}
    sent = api.ok("POST", "/chat/v1/send/template", body=body)
    assert statuses(api, sent["id"], 4)[-1] == "FAILED"


def test_a_share_of_messages_fails(start: Start) -> None:
    api = frozen(start, fail_share=0.5)
    session = api.sim.world.create_session()
    for _ in range(40):
        api.ok("POST", "/chat/v1/send/text", body={"sessionId": session.id, "text": "Hello"})
    api.sim.world.clock.advance(60)
    fates = [row["status"] for row in api.get(f"/chat/v1/session/{session.id}/message", PageSize=100)["items"]]
    assert 8 < fates.count("FAILED") < 32


def test_chatbots(api: Client) -> None:
    world = api.sim.world
    bots = {bot["publishStatus"]: bot["key"] for bot in world.chatbots}
    assert api.refused(
        "POST", "/chat/v1/send/chatbot", body={"to": "11911112222", "botKey": bots["NOT_PUBLISHED"]}
    ) == (
        500,
        "ENTITY_NOT_FOUND",
    )
    body = {"to": "11911112222", "botKey": bots["READY"], "contactMetadata": {"a": "b"}}
    sent = api.ok("POST", "/chat/v1/send/chatbot", body=body)
    again = {**body, "options": {"skipIfBotInExecution": True}}
    assert api.refused("POST", "/chat/v1/send/chatbot", body=again) == (500, "ENTITY_ERROR_SAVE")
    contact = world.contact_by_phone("11911112222")
    assert contact is not None
    assert contact.metadata == {"a": "b"}
    assert api.send("GET", f"/chat/v1/send/message/{sent['id']}").status_code == 404


# Scheduled messages


def test_a_scheduled_message_is_sent_when_its_time_comes(start: Start) -> None:
    api = start(now="2026-03-01T12:00:00Z", message_step_s=1.0)
    api.sim.world.clock.freeze()
    body = {
        "to": "11911112222",
        "type": "TEMPLATE",
        "templateId": template(api),
        "scheduling": "2026-03-01T13:00:00Z",
        "templateParams": {"parameters": {"1": "Ana"}},
    }
    past = {**body, "scheduling": "2026-03-01T11:00:00Z"}
    assert api.refused("POST", "/chat/v1/scheduled-message", body=past) == (500, "FORM_ERROR")
    row = api.ok("POST", "/chat/v1/scheduled-message", body=body)
    path = f"/chat/v1/scheduled-message/{row['id']}"
    api.ok("PUT", path, body={"fields": ["Scheduling"], "scheduling": "2026-03-01T12:30:00Z"})
    api.sim.world.clock.advance(1799)
    assert api.get(path)["status"] == "SCHEDULED"
    api.sim.world.clock.advance(1)
    assert api.get(path)["status"] == "PROCESSED"
    assert api.refused("POST", f"{path}/cancel") == (500, "ENTITY_ERROR_SAVE")
    assert api.refused("PUT", path, body={"fields": ["HiddenSession"]}) == (500, "ENTITY_ERROR_SAVE")
    api.sim.world.clock.advance(2)
    after = api.get(path)
    assert after["status"] == "DELIVERED"
    assert [(send.text, send.session_id) for send in api.sim.sends] == [("Olá Ana", after["sessionId"])]


def test_an_account_without_the_add_on(start: Start) -> None:
    api = start(scheduled_messages=False)
    refused = api.send("GET", "/chat/v1/scheduled-message")
    assert refused.status_code == 500
    assert refused.json()["key"] == "ENTITY_NOT_FOUND"
    assert refused.json()["text"] == "App Mensagens agendadas não está habilitado"


# Contacts and the rest


def test_an_unknown_phone_is_a_500(api: Client) -> None:
    refused = api.send("GET", "/core/v1/contact/phonenumber/5511900000009")
    assert (refused.status_code, refused.json()["key"]) == (500, "FORM_ERROR")
    assert refused.json()["text"] == "Contato não encontrado"


def test_saving_a_contact_that_exists(api: Client) -> None:
    known = api.ok("POST", "/core/v1/contact", body={"name": "Ana", "phoneNumber": "11911112222", "tagNames": ["VIP"]})
    again = {"name": "Bia", "phoneNumber": "+55 11 91111-2222", "tagNames": ["Lead"]}
    assert api.refused("POST", "/core/v1/contact", body=again) == (500, "FORM_ERROR")
    assert api.ok("POST", "/core/v1/contact", body={**again, "options": {"getIfExists": True}})["name"] == "Ana"
    partly = {"upsert": True, "upsertFields": ["Tags"], "upsertTagOperation": "INSERTIFNOTEXISTS"}
    upserted = api.ok("POST", "/core/v1/contact", body={**again, "options": partly})
    assert (upserted["id"], upserted["name"], upserted["tagNames"]) == (known["id"], "Ana", ["VIP", "Lead"])
    upserted = api.ok("POST", "/core/v1/contact", body={**again, "options": {"upsert": True}})
    assert (upserted["name"], upserted["tagNames"]) == ("Bia", ["Lead"])


def test_a_phone_belongs_to_one_contact(api: Client) -> None:
    first, second = (row.id for row in list(api.sim.world.contacts)[:2])
    phone = next(iter(api.sim.world.contacts)).phone
    body = {"fields": ["PhoneNumber"], "phoneNumber": phone}
    assert api.refused("PUT", f"/core/v2/contact/{second}", body=body) == (500, "FORM_ERROR")
    assert api.ok("PUT", f"/core/v2/contact/{first}", body=body)["id"] == first


def test_contact_custom_fields_may_come_as_lists_of_one(api: Client) -> None:
    seen = set()
    for number in range(4):
        body = {"name": "Ana", "phoneNumber": f"1191111222{number}", "customFields": {"cpf": "1"}}
        seen.add(str(api.ok("POST", "/core/v1/contact", body=body)["customFields"]))
    assert seen == {"{'cpf': '1'}", "{'cpf': ['1']}"}


def test_at_most_100_contacts_at_once(api: Client) -> None:
    items = [{"name": "A", "phoneNumber": f"119{number:08}"} for number in range(101)]
    assert api.refused("POST", "/core/v2/contact/batch", body={"items": items}) == (500, "FORM_ERROR")


def test_a_tag_in_use_is_not_deleted_by_the_way(api: Client) -> None:
    tag = api.ok("POST", "/core/v1/tag", body={"name": "Used"})
    api.ok("POST", "/core/v1/contact", body={"name": "Ana", "phoneNumber": "11911112222", "tagNames": ["Used"]})
    assert tag["color"] == "GRAY_600"
    assert api.refused("DELETE", f"/core/v1/tag/{tag['id']}", body={}) == (500, "FORM_ERROR")
    assert api.refused("POST", "/core/v1/tag", body={"name": "Used"}) == (500, "FORM_ERROR")


def test_sessions_go_on_pointing_at_a_deleted_department(api: Client) -> None:
    team = list(api.sim.world.departments)[1]
    session = api.sim.world.create_session(department_id=team.id)
    api.ok("DELETE", f"/core/v1/department/{team.id}")
    row = api.get(f"/chat/v2/session/{session.id}", includeDetails="DepartmentsDetails")
    assert (row["departmentId"], row["departmentDetails"]) == (team.id, None)


def test_lost_reasons_are_for_sales(api: Client) -> None:
    for panel in api.sim.world.panels:
        reasons = api.get(f"/crm/v1/panel/{panel.id}/lost-reason")["items"]
        assert bool(reasons) is (panel["type"] == "SALES")


def test_cards(api: Client) -> None:
    step = next(iter(api.sim.world.panels))["_steps"][0]
    agent = next(iter(api.sim.world.agents))
    new = {"stepId": step.id, "title": "Deal", "responsibleUserId": agent["userId"], "metadata": {"a": 1, "b": 2}}
    assert api.refused("POST", "/crm/v2/panel/card", body={**new, "stepId": UNKNOWN}) == (500, "ENTITY_NOT_FOUND")
    wrong = {**new, "responsibleUserId": agent.id}
    assert api.refused("POST", "/crm/v2/panel/card", body=wrong) == (500, "ENTITY_NOT_FOUND")
    card = api.ok("POST", "/crm/v2/panel/card", body=new)
    assert card["responsibleUser"] == {"id": agent["userId"], "name": agent["name"]}
    path = f"/crm/v3/panel/card/{card['id']}"
    change = {"fields": ["Metadata", "ResponsibleUserId"], "metadata": {"a": None, "c": 3}}
    updated = api.ok("PUT", path, body=change)
    assert (updated["metadata"], updated["responsibleUserId"]) == ({"b": 2, "c": 3}, None)
    reason = {"fields": ["Status"], "status": "LOST", "lostReasonId": UNKNOWN}
    assert api.refused("PUT", path, body=reason) == (500, "ENTITY_NOT_FOUND")
    panel = list(api.sim.world.panels)[1]
    move = {"fields": ["StepId", "Title"], "stepId": panel["_steps"][0].id}
    assert api.refused("PUT", path, body=move) == (500, "FORM_ERROR")
    moved = api.ok("PUT", path, body={**move, "title": "Deal"})
    assert moved["number"] == panel["_last_number"] + 1, "what was refused took no number"
    note = f"/crm/v1/panel/card/{card['id']}/note"
    assert api.refused("POST", note, body={}) == (500, "FORM_ERROR")


def test_members_of_a_sequence(api: Client) -> None:
    sequence = next(iter(api.sim.world.sequences)).id
    path = f"/chat/v1/sequence/{sequence}/contact"
    assert api.refused("POST", path, body={}) == (500, "FORM_ERROR")
    assert api.refused("POST", path, body={"phoneNumber": "11911112222"}) == (500, "FORM_ERROR")
    added = api.ok("POST", f"{path}/batch", body={"phoneNumbers": ["11911112222", "(11) 91111-2222"]})
    assert added["totalItems"] == 1, "an unknown phone becomes a contact, once"
    assert api.get(f"/chat/v2/sequence/{sequence}/contact", PhoneNumber="11911112222")["totalItems"] == 1
    api.ok("DELETE", path, body={"phoneNumber": "11911112222"})
    assert api.refused("DELETE", path, body={"phoneNumber": "11911112222"}) == (500, "ENTITY_NOT_FOUND")


def test_an_upload_must_not_carry_the_token(api: Client) -> None:
    place = api.get("/core/v2/file", Type="UNDEFINED", Name="photo.png")
    save = {"tempFileId": place["tempFileId"]}
    assert api.refused("POST", "/core/v2/file", body=save) == (500, "FORM_ERROR")
    assert api.http.put(place["urlUpload"], data=b"x", timeout=10).status_code == 400
    assert [violation.where for violation in api.sim.violations] == ["header"]
    api.sim.violations.clear()
    assert requests.put(place["urlUpload"], data=b"x", timeout=10).status_code == 200
    assert api.ok("POST", "/core/v2/file", body=save)["type"] == "IMAGE"
    assert api.refused("POST", "/core/v2/file", body=save) == (500, "ENTITY_NOT_FOUND")

"""Every operation once: it answers as its contract says, and what was written can be read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_wtschat.simulator.openapi import load_contract
from tests.simulator.conftest import Client

SAMPLES = Path(__file__).parents[1] / "api" / "samples"
CONTRACT = load_contract()


class Tour:
    """Calls operations by their name in the contract, as their only client."""

    def __init__(self, api: Client) -> None:
        self.api = api

    def __call__(self, operation: str, *path: str, query: Any = None, body: Any = None) -> Any:
        method, template = operation.split(" ")
        parts = iter(path)
        actual = "/".join(next(parts) if part.startswith("{") else part for part in template.split("/"))
        return self.api.ok(method, actual, query, body)


def test_every_operation(api: Client) -> None:
    do, sim = Tour(api), api.sim
    session = sim.world.create_session()
    _sessions(do, session.id)
    _messages(do, session.id)
    _sends(do, sim.world.create_session().id)
    _scheduled(do)
    _contacts(do)
    _account(do)
    _files(do, session.id)
    _sequences_and_portfolios(do)
    _panels(do)
    assert {entry.operation for entry in sim.requests} == set(CONTRACT.operations)
    sim.check()


def _sessions(do: Tour, session_id: str) -> None:
    agent = do("GET /core/v1/agent")[1]
    department = do("GET /core/v2/department")[1]
    details = ["AgentDetails", "DepartmentsDetails", "ContactDetails", "ChannelTypeDetails", "ChannelDetails"]
    page = do("GET /chat/v2/session", query={"IncludeDetails": [*details, "ClassificationDetails"], "PageSize": 100})
    assert page["totalItems"] == len(page["items"]) == 61
    do("PUT /chat/v1/session/{id}/assignee", session_id, body={"userId": agent["userId"]})
    transfer = {"type": "USER", "newDepartmentId": department["id"], "newUserId": agent["userId"]}
    do("PUT /chat/v1/session/{id}/transfer", session_id, body=transfer)
    do("PUT /chat/v1/session/{id}/status", session_id, body={"newStatus": "IN_PROGRESS"})
    update = {
        "fields": ["Metadata", "Classification"],
        "metadata": {"order": "7"},
        "classification": {"category": "WON", "amount": 0.5, "description": "Sold"},
    }
    do("PUT /chat/v2/session/{id}/partial", session_id, body=update)
    row = do("GET /chat/v2/session/{id}", session_id, query={"includeDetails": [*details, "ClassificationDetails"]})
    assert (row["status"], row["userId"], row["departmentId"]) == ("IN_PROGRESS", agent["userId"], department["id"])
    assert row["agentDetails"]["id"] == agent["id"]
    assert row["departmentDetails"]["name"] == department["name"]
    assert (row["metadata"], row["classification"]["amount"]) == ({"order": "7"}, 0.5)
    note = do("POST /chat/v1/session/{id}/note", session_id, body={"text": "A note"})
    assert do("GET /chat/v1/session/{id}/note", session_id)["items"] == [note]
    assert do("GET /chat/v1/session/note/{id}", note["id"]) == note
    do("DELETE /chat/v1/session/note/{id}", note["id"])
    assert do("GET /chat/v1/session/{id}/note", session_id)["items"] == []


def _messages(do: Tour, session_id: str) -> None:
    sent = do("POST /chat/v1/session/{id}/message", session_id, body={"text": "Hello"})
    assert sent["status"] == "QUEUED"
    waited = do("POST /chat/v1/session/{id}/message/sync", session_id, body={"text": "Hello again"})
    assert waited["status"] == "SENT"
    assert do("GET /chat/v1/message/{id}/status", sent["id"])["status"] in ("SENT", "DELIVERED", "READ")
    assert do("GET /chat/v1/message/{id}", sent["id"])["text"] == "Hello"
    in_session = do("GET /chat/v1/session/{id}/message", session_id)
    assert {row["id"] for row in in_session["items"]} == {sent["id"], waited["id"]}
    do("DELETE /chat/v1/message/{id}", sent["id"])
    assert [row["id"] for row in do("GET /chat/v1/message", query={"SessionId": session_id})["items"]] == [waited["id"]]
    to = {"to": "11911112222", "body": {"templateId": _template(do), "parameters": {"1": "Ana"}}}
    do("POST /chat/v1/message/send", body=to)
    assert do("POST /chat/v1/message/send-sync", body=to)["text"] == "Olá Ana"
    do("PUT /chat/v1/session/{id}/complete", session_id, body={"reactivateOnNewMessage": True})
    assert do("GET /chat/v2/session/{id}", session_id)["status"] == "COMPLETED"


def _template(do: Tour, name: str = "modelo_exemplo") -> str:
    (template,) = do("GET /chat/v1/template", query={"Name": name, "IncludeDetails": "Params"})["items"]
    assert template["params"]
    template_id: str = template["id"]
    return template_id


def _sends(do: Tour, session_id: str) -> None:
    channel = do("GET /chat/v1/channel", query={"ChannelType": "Whatsapp"})[0]["number"]
    bot = do("GET /chat/v1/chatbot", query={"PublishStatuses": "Ready", "Types": "Automation"})["items"][0]["key"]
    template = _template(do)
    text = do("POST /chat/v1/send/text", body={"sessionId": session_id, "text": "Hello", "senderId": "text-1"})
    assert do("GET /chat/v1/send/message/{id}", text["id"])["senderId"] == "text-1"
    for kind in ("audio", "document", "image", "video"):
        body = {"sessionId": session_id, "fileIdOrUrl": "https://example.com/file"}
        assert do(f"POST /chat/v1/send/{kind}", body=body)["status"] == "QUEUED"
    one = {"to": "11911113333", "parameters": {"1": "Ana"}}
    do("POST /chat/v1/send/template", body={**one, "from": channel, "templateId": template})
    batch = {"from": channel, "templateId": template, "messages": [one, {**one, "to": "11911114444"}]}
    assert len(do("POST /chat/v1/send/template/batch", body=batch)["results"]) == 2
    run = do("POST /chat/v1/send/chatbot", body={"to": "11911113333", "botKey": bot, "sessionMetadata": {"a": "b"}})
    assert do("GET /chat/v1/send/chatbot/{id}", run["id"])["id"] == run["id"]
    do("POST /chat/v1/send/chatbot/batch", body={"botKey": bot, "messages": [{"to": "11911113333"}]})
    assert do("POST /chat/v1/chatbot/send", body={"to": "11911113333", "botKey": bot})["metadata"] == {"a": "b"}
    code = {"from": channel, "to": "11911113333", "senderId": "login-1", "code": "12345"}
    do("POST /chat/v1/send/otp", body=code)
    assert do("GET /chat/v1/send/otp/{id}", "login-1")["code"] == "12345"
    assert do.api.send("POST", "/chat/v1/send/typing", body={"sessionId": session_id}).status_code == 204


def _scheduled(do: Tour) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "to": "11911115555",
        "type": "TEMPLATE",
        "templateId": _template(do),
        "scheduling": at,
        "templateParams": {"parameters": {"1": "Ana"}},
    }
    first, second = (do("POST /chat/v1/scheduled-message", body=body) for _ in range(2))
    do("PUT /chat/v1/scheduled-message/{id}", first["id"], body={"fields": ["HiddenSession"], "hiddenSession": True})
    details = ["Contact", "Channel", "User", "Department", "Template", "Chatbot"]
    row = do("GET /chat/v1/scheduled-message/{id}", first["id"], query={"includeDetails": details})
    assert (row["status"], row["hiddenSession"]) == ("SCHEDULED", True)
    assert row["template"]["templateParams"]["parameters"] == {"1": "Ana"}
    do("POST /chat/v1/scheduled-message/{id}/cancel", first["id"])
    do("POST /chat/v1/scheduled-message/batch-cancel", body=[second["id"]])
    cancelled = do("GET /chat/v1/scheduled-message", query={"Status": "CANCELED", "To": "11911115555"})
    assert {row["id"] for row in cancelled["items"]} == {first["id"], second["id"]}


def _contacts(do: Tour) -> None:
    tag = do("POST /core/v1/tag", body={"name": "New", "color": "SKY_200"})
    assert do("PUT /core/v1/tag/{id}", tag["id"], body={"name": "Newer"})["color"] == "SKY_200"
    assert len(do("GET /core/v1/tag/color")) == 54
    new = {"name": "Ana", "phoneNumber": "(11) 91111-6666", "customFields": {"cpf": "1", "pontos": "many", "x": 1}}
    contact = do("POST /core/v1/contact", body={**new, "tagNames": ["Newer"]})
    assert contact["phoneNumber"] == "+55|11911116666"
    assert list(contact["customFields"]) == ["cpf"], "unknown keys and wrong types are ignored"
    contact_id = contact["id"]
    update = {"fields": ["Email", "Metadata"], "email": "ana@example.com", "name": "ignored", "metadata": {"a": 1}}
    do("PUT /core/v2/contact/{id}", contact_id, body=update)
    do("PUT /core/v1/contact/phonenumber/{phone}", "11911116666", body={"fields": ["Annotation"], "annotation": "x"})
    do("POST /core/v1/contact/{id}/tags", contact_id, body={"operation": "ReplaceAll", "tagNames": ["VIP"]})
    tags = {"operation": "InsertIfNotExists", "tagIds": [tag["id"]]}
    do("POST /core/v1/contact/phonenumber/{phone}/tags", "+55|11911116666", body=tags)
    row = do("GET /core/v1/contact/{id}", contact_id, query={"IncludeDetails": ["Tags", "CustomFields", "Portfolios"]})
    assert (row["name"], row["email"], row["annotation"], row["metadata"]) == ("Ana", "ana@example.com", "x", {"a": 1})
    assert row["tagNames"] == ["VIP", "Newer"]
    assert do("GET /core/v1/contact/phonenumber/{phone}", "5511911116666")["id"] == contact_id
    found = do("POST /core/v1/contact/filter", body={"textFilter": "ana@exam", "pageSize": 5, "orderBy": "UpdatedAt"})
    assert [row["id"] for row in found["items"]] == [contact_id]
    batch = {"items": [{"name": "Ana B", "phoneNumber": "11911116666"}, {"name": "Bia", "phoneNumber": "11911117777"}]}
    saved = do("POST /core/v2/contact/batch", body=batch)
    assert [saved[0]["id"], saved[0]["name"], saved[1]["name"]] == [contact_id, "Ana B", "Bia"]
    assert do("GET /core/v1/contact")["totalItems"] < len(do.api.sim.world.contacts), "ACTIVE by default"
    do("DELETE /core/v1/tag/{id}", tag["id"], body={"removeFromContacts": True})
    assert "Newer" not in [row["name"] for row in do("GET /core/v1/tag")]


def _account(do: Tour) -> None:
    agent = do("POST /core/v1/agent", body={"name": "Zoe", "profile": "Agent", "email": "zoe@example.com"})
    team = do("POST /core/v1/department", body={"name": "Night", "channelsConfig": {"scope": "NONE"}})
    place = {"departmentId": team["id"], "isAgent": True, "isSupervisor": False}
    do("POST /core/v1/agent/{id}/departments", agent["id"], body={"action": "Upsert", "items": [place]})
    do("PUT /core/v1/agent/{id}", agent["id"], body={"fields": ["Name"], "name": "Zoé", "email": "ignored@example.com"})
    row = do("GET /core/v1/agent/{id}", agent["id"])
    assert (row["name"], row["email"]) == ("Zoé", "zoe@example.com")
    assert [one["departmentId"] for one in row["departments"]] == [team["id"]]
    do("POST /core/v1/agent/{id}/status", agent["id"], body={"status": "Blocked"})
    do("POST /core/v1/agent/{id}/logout", agent["id"])
    do("PUT /core/v1/department/{id}", team["id"], body={"fields": ["Name"], "name": "Late"})
    member = {"userId": agent["userId"], "isAgent": True, "isSupervisor": True}
    do("PUT /core/v1/department/{id}/agents", team["id"], body={"action": "ReplaceAll", "items": [member]})
    row = do("GET /core/v1/department/{id}", team["id"], query={"includeDetails": "All"})
    assert (row["name"], row["agents"][0]["isSupervisor"]) == ("Late", True)
    assert do("GET /core/v1/department/{id}/channel", team["id"]) == {"scope": "NONE", "channels": []}
    do("DELETE /core/v1/department/{id}", team["id"])
    do("DELETE /core/v1/agent/{id}", agent["id"], body={"sessionResolution": "RETURN_TO_PENDING"})
    assert agent["id"] not in [row["id"] for row in do("GET /core/v1/agent")]
    assert len(do("GET /core/v1/company/officehours")["days"]) == 7
    assert len(do("GET /core/v1/webhook/event")) == 16
    hook = {"name": "Hook", "url": "https://example.com/hook", "events": ["SESSION_NEW"]}
    made = do("POST /core/v1/webhook/subscription", body=hook)
    change = {"fields": ["Enabled", "Events"], "enabled": False, "events": ["SESSION_UPDATE"]}
    do("PUT /core/v1/webhook/subscription/{subscriptionId}", made["id"], body=change)
    row = do("GET /core/v1/webhook/subscription/{subscriptionId}", made["id"])
    assert (row["enabled"], [one["event"] for one in row["events"]]) == (False, ["SESSION_UPDATE"])
    do("DELETE /core/v1/webhook/subscription/{subscriptionId}", made["id"])
    assert made["id"] not in [row["id"] for row in do("GET /core/v1/webhook/subscription")]
    fields = do("GET /core/v1/contact/custom-field", query={"NestedList": "true"})
    assert [len(field["children"]) for field in fields if field["type"] == "GROUP"] == [7]
    assert {field["entityType"] for field in do("GET /core/v1/custom-field", query={"EntityType": "PANEL"})} == {
        "PANEL"
    }


def _files(do: Tour, session_id: str) -> None:
    place = do("GET /core/v2/file", query={"Type": "UNDEFINED", "Name": "report.pdf"})
    assert requests.put(place["urlUpload"], data=b"content", timeout=10).status_code == 200
    file = do("POST /core/v2/file", body={"tempFileId": place["tempFileId"]})
    assert (file["type"], file["extension"], file["size"]) == ("PDF", ".pdf", 7)
    note = do("POST /chat/v1/session/{id}/note", session_id, body={"filesIds": [file["id"]]})
    assert requests.get(note["details"]["files"][0]["publicUrl"], timeout=10).content == b"content"


def _sequences_and_portfolios(do: Tour) -> None:
    contact = do("GET /core/v1/contact", query={"PageSize": 1})["items"][0]["id"]
    places: list[tuple[str, str, str]] = [
        ("/chat/v1/sequence", "/chat/v2/sequence/{id}/contact", "sequenceIds"),
        ("/core/v1/portfolio", "/core/v1/portfolio/{id}/contact", "portfolioIds"),
    ]
    for parents, members, _ in places:
        parent = do(f"GET {parents}")["items"][0]["id"]

        def inside(members: str = members, parent: str = parent) -> set[str]:
            rows = do(f"GET {members}", parent, query={"PageSize": 100})["items"]
            return {row["contactId"] for row in rows}

        do(f"POST {parents}/{{id}}/contact", parent, body={"contactId": contact})
        assert contact in inside()
        do(f"DELETE {parents}/{{id}}/contact", parent, body={"contactId": contact})
        assert contact not in inside()
        do(f"POST {parents}/{{id}}/contact/batch", parent, body={"contactIds": [contact]})
        assert contact in inside()
        do(f"DELETE {parents}/{{id}}/contact/batch", parent, body={"contactIds": [contact]})
        assert contact not in inside()


def _panels(do: Tour) -> None:
    details = ["Tags", "Steps", "StepsCardCount", "PanelCardOverdueCount"]
    panel = do("GET /crm/v2/panel", query={"Type": "SALES", "IncludeDetails": details})["items"][0]
    assert do("GET /crm/v1/panel/{id}", panel["id"], query={"IncludeDetails": ["StepsFields", "Cards"]})["steps"]
    assert do("GET /crm/v1/panel/{id}/custom-fields", panel["id"])
    reason = do("GET /crm/v1/panel/{id}/lost-reason", panel["id"])["items"][0]
    steps = [step["id"] for step in panel["steps"]]
    new = {"stepId": steps[0], "title": "Deal", "tagNames": ["P/ Alta"], "customFields": {"valor": 1.5}}
    card = do("POST /crm/v2/panel/card", body={**new, "monetaryAmount": 10})
    update = {
        "fields": ["StepId", "Status", "MonetaryAmount", "CustomFields"],
        "stepId": steps[1],
        "status": "LOST",
        "lostReasonId": reason["id"],
        "monetaryAmount": 0,
        "customFields": {"cliente-71": "Empresa A"},
        "title": "ignored",
    }
    do("PUT /crm/v3/panel/card/{id}", card["id"], body=update)
    everything = ["PanelTitle", "StepTitle", "StepPhase", "ResponsibleUser", "Contacts", "CustomFields", "LostReason"]
    row = do("GET /crm/v2/panel/card/{id}", card["id"], query={"IncludeDetails": everything})
    assert (row["title"], row["stepId"], row["status"], row["monetaryAmount"]) == ("Deal", steps[1], "LOST", 0)
    assert row["customFields"] == {"valor": 1.5, "cliente-71": "Empresa A"}, "custom fields merge"
    assert row["lostReason"]["name"] == reason["description"]
    listed = do("GET /crm/v2/panel/card", query={"PanelId": panel["id"], "Statuses": ["LOST"], "PageSize": 100})
    assert card["id"] in [one["id"] for one in listed["items"]]
    note = do("POST /crm/v1/panel/card/{cardId}/note", card["id"], body={"text": "Why"})
    copy = {"copyToStepId": steps[2], "options": {"archiveOriginalCard": True}}
    twin = do("POST /crm/v2/panel/card/{id}/duplicate", card["id"], body=copy)
    assert (twin["stepId"], twin["status"], twin["customFields"]) == (steps[2], "OPEN", row["customFields"])
    assert [one["text"] for one in do("GET /crm/v1/panel/card/{cardId}/note", twin["id"])["items"]] == ["Why"]
    do("DELETE /crm/v1/panel/card/{cardId}/note/{noteId}", card["id"], note["id"])
    assert do("GET /crm/v2/panel/card/{id}", card["id"])["status"] == "ARCHIVED"


def _first(path: str, *, item: bool = True) -> Callable[[Client], Any]:
    def get(api: Client) -> Any:
        answer = api.get(path)
        rows = answer["items"] if isinstance(answer, dict) and "items" in answer else answer
        return rows[0] if item else answer

    return get


def _card(api: Client) -> Any:
    panel = api.get("/crm/v2/panel")["items"][0]["id"]
    return api.get("/crm/v2/panel/card", PanelId=panel)["items"][0]


def _message(api: Client) -> Any:
    session = api.get("/chat/v2/session")["items"][0]["id"]
    return api.get(f"/chat/v1/session/{session}/message")["items"][0]


def _send(api: Client) -> Any:
    session = api.sim.world.create_session()
    return api.ok("POST", "/chat/v1/send/text", body={"sessionId": session.id, "text": "Olá"})


@pytest.mark.parametrize(
    ("sample", "answer"),
    [
        ("agents.json", _first("/core/v1/agent", item=False)),
        ("departments_v2.json", _first("/core/v2/department", item=False)),
        ("channels.json", _first("/chat/v1/channel", item=False)),
        ("contact_rest_excerpt.json", _first("/core/v1/contact")),
        ("session_v2_page.json", _first("/chat/v2/session", item=False)),
        ("page_envelope_documented.json", _first("/chat/v2/session", item=False)),
        ("message_raw_minimum.json", _message),
        ("send_response.json", _send),
        ("card_v2_with_custom_fields.json", _card),
        ("sequence_item.json", _first("/chat/v1/sequence")),
        ("tag_list.json", _first("/core/v1/tag", item=False)),
        ("template_item.json", _first("/chat/v1/template")),
        ("webhook_subscription.json", _first("/core/v1/webhook/subscription")),
        ("webhook_events.json", _first("/core/v1/webhook/event", item=False)),
    ],
)
def test_answers_have_what_the_samples_have(api: Client, sample: str, answer: Callable[[Client], Any]) -> None:
    expected = json.loads((SAMPLES / sample).read_text())
    _assert_has_keys(expected, answer(api), sample)


def _assert_has_keys(sample: Any, answer: Any, where: str) -> None:
    if isinstance(sample, list) and sample and isinstance(answer, list) and answer:
        _assert_has_keys(sample[0], answer[0], f"{where}[0]")
    if isinstance(sample, dict) and isinstance(answer, dict):
        missing = set(sample) - set(answer)
        assert not missing, f"{where}: {missing}"
        for key, value in sample.items():
            _assert_has_keys(value, answer[key], f"{where}.{key}")

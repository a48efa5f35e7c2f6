"""What is written through the requests reads back as meant, from a stand-in that knows nothing of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from airflow_provider_wtschat.api import contacts, custom_fields, panels, portfolios
from airflow_provider_wtschat.exceptions import WtsChatRefusedError
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.simulator import Simulator

PHONE = "(11) 98888-0001"


@pytest.fixture(scope="module")
def hook() -> Iterator[WtsChatHook]:
    with pytest.MonkeyPatch.context() as environment, Simulator(sessions=20) as simulator:
        environment.setenv("AIRFLOW_CONN_WTSCHAT_DEFAULT", simulator.connection_json)
        environment.setenv("AIRFLOW__WTSCHAT__BUDGET", "process")
        yield WtsChatHook()
        simulator.check()


def test_custom_fields_of_a_contact(hook):
    definitions = hook.run(custom_fields.list_for_contacts())
    values = {
        "cpf": "123",
        "nascimento": date(1990, 2, 28),
        "limite": Decimal("10.5"),
        "pontos": "7",
        "ativo": "false",
        "plano": next(d for d in definitions if d["key"] == "plano")["options"][0]["name"],
        "interesses": [
            option["name"] for option in next(d for d in definitions if d["key"] == "interesses")["options"]
        ],
    }
    assert values.keys() == {d["key"] for d in definitions if d["type"] != "GROUP"}
    made = hook.run(contacts.create(name="Maria", custom_fields=custom_fields.encode(definitions, values)))
    read = hook.run(contacts.get(made["id"], include_details="CustomFields"))
    assert custom_fields.decode(definitions, read["customFields"]) == {**values, "pontos": 7, "ativo": False}


def test_custom_fields_of_a_card_merge(hook):
    panel = next(row for row in hook.iterate(panels.list_(include_details="Steps")) if row["type"] == "SALES")
    definitions = hook.run(panels.list_custom_fields(panel["id"]))
    first = custom_fields.encode(definitions, {"prazo": datetime(2026, 9, 1, 8, 30, tzinfo=UTC), "valor": 3})
    card = hook.run(panels.create_card(step_id=panel["steps"][0]["id"], title="x", custom_fields=first))
    second = custom_fields.encode(definitions, {"cliente-71": "Empresa A", "valor": None})
    hook.run(panels.update_card(card["id"], custom_fields=second))
    read = hook.run(panels.get_card(card["id"], include_details=["CustomFields"]))
    assert {key: value for key, value in custom_fields.decode(definitions, read["customFields"]).items() if value} == {
        "prazo": datetime(2026, 9, 1, 8, 30, tzinfo=UTC),
        "cliente-71": "Empresa A",
    }


def test_a_card_goes_through_its_life(hook):
    panel = next(row for row in hook.iterate(panels.list_(panel_type="SALES", include_details="Steps")))
    reason = next(hook.iterate(panels.list_lost_reasons(panel["id"])))
    card = hook.run(panels.create_card(step_id=panel["steps"][0]["id"], title="x", monetary_amount=5, position=9))
    changes = [
        ({"monetary_amount": 0, "position": 0}, {"monetaryAmount": 0, "position": 0, "status": "OPEN"}),
        ({"step_id": panel["steps"][1]["id"]}, {"stepId": panel["steps"][1]["id"], "monetaryAmount": 0}),
        ({"status": "LOST", "lost_reason_id": reason["id"]}, {"status": "LOST"}),
        ({"archived": True}, {"status": "ARCHIVED"}),
        ({"archived": False}, {"status": "OPEN"}),
        ({"clear": "monetary_amount"}, {"monetaryAmount": None}),
    ]
    for change, seen in changes:
        card = hook.run(panels.update_card(card["id"], **change))
        assert {name: card[name] for name in seen} == seen
    hook.run(panels.update_card(card["id"], archived=True))
    assert card["id"] not in {row["id"] for row in hook.iterate(panels.list_cards(panel["id"]))}
    archived = hook.iterate(panels.list_cards(panel["id"], statuses=["OPEN", "WON", "LOST", "ARCHIVED"]))
    assert card["id"] in {row["id"] for row in archived}


def test_a_contact_is_found_and_not_made_twice(hook):
    made = hook.run(contacts.create(name="Maria", phone_number=PHONE, tag_names=["VIP"]))
    with pytest.raises(WtsChatRefusedError):
        hook.run(contacts.create(name="Other", phone_number=PHONE))
    same = hook.run(contacts.create(name="Other", phone_number="5511988880001", get_if_exists=True))
    assert (same["id"], same["name"]) == (made["id"], "Maria")
    assert hook.run(contacts.create(name="Ana", phone_number=PHONE, upsert=True))["name"] == "Ana"
    (saved,) = hook.run(contacts.batch_save([{"name": "Rita", "phone_number": PHONE}]))
    assert (saved["id"], saved["name"]) == (made["id"], "Rita")
    assert [row["id"] for row in hook.iterate(contacts.filter(phone_number=PHONE))] == [made["id"]]

    changed = hook.run(contacts.update(made["id"], email="m@x.test", metadata={"erp": 7}, utm={"source": "ads"}))
    assert (changed["email"], changed["metadata"], changed["utm"]["source"]) == ("m@x.test", {"erp": 7}, "ads")
    cleared = hook.run(contacts.update_by_phone(PHONE, clear=["tag_names", "email", "utm"]))
    assert (cleared["tagIds"], cleared["email"], cleared["utm"], cleared["name"]) == ([], None, None, "Rita")
    assert hook.run(contacts.update_tags(made["id"], tag_names=["VIP"]))["tagNames"] == ["VIP"]
    assert hook.run(contacts.update_tags_by_phone(PHONE, tag_ids=[], operation="ReplaceAll"))["tagIds"] == []


def test_a_portfolio_is_a_set(hook):
    portfolio = next(hook.iterate(portfolios.list_()))
    contact = next(hook.iterate(contacts.list_()))["id"]

    def members() -> list[str]:
        rows = hook.iterate(portfolios.list_contacts(portfolio["id"], contact_ids=[contact]))
        return [row["contactId"] for row in rows]

    for _ in range(2):
        hook.run(portfolios.add_contact(portfolio["id"], contact_id=contact))
        hook.run(portfolios.add_contacts(portfolio["id"], contact_ids=[contact]))
        assert members() == [contact]
    hook.run(portfolios.remove_contacts(portfolio["id"], contact_ids=[contact]))
    assert members() == []


@pytest.mark.parametrize("direction", ["ASCENDING", "DESCENDING"])
def test_contacts_of_a_portfolio_come_in_the_order_asked_for(hook, direction):
    portfolio = next(hook.iterate(portfolios.list_()))
    request = portfolios.list_contacts(portfolio["id"], order_by="CreatedAt", order_direction=direction)
    moments = [row["createdAt"][:23] for row in hook.iterate(request, page_size=5)]
    assert len(moments) > 5
    assert moments == sorted(moments, reverse=direction == "DESCENDING")

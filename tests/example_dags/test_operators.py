"""The example Dags of the operators, each as it stands, against the simulated account."""

from __future__ import annotations

from typing import Any

import pytest

from tests.operators.account import Account

pytestmark = pytest.mark.airflow


@pytest.fixture
def account(simulate) -> Account:
    return Account(simulate(sessions=20))


def tags_of(account: Account, phone: str) -> list[str]:
    row = account.world.contact_by_phone(phone)
    return sorted(account.world.tags.get(tag_id)["name"] for tag_id in row.tag_ids)


def test_contacts_and_tags_follow_the_table(account, warehouse, run_example):
    account.post("/core/v1/contact", {"phoneNumber": "+55|11900001003", "tagNames": ["Cliente", "Lead"]})
    for _ in range(2):
        run = run_example("contacts_from_table")
        assert run.errors == []
        assert run.state == "success"
    assert [tags_of(account, f"551190000100{n}") for n in (1, 2, 3)] == [["Cliente", "VIP"], ["Cliente"], ["Lead"]]
    contact = account.world.contact_by_phone("5511900001001")
    assert (contact.name, contact.email) == ("Ana Prado", "ana.prado@example.com")
    assert run.xcom("save")[0]["id"] == contact.id
    assert len(warehouse.rows("SELECT * FROM crm_customers")) == 3


def test_customers_who_left_may_be_no_contacts(account, warehouse, run_example):
    run = run_example("contacts_from_table")
    assert (run.errors, run.state) == ([], "success")
    assert account.world.contact_by_phone("5511900001003") is None


def test_a_card_goes_through_its_panel(account, run_example):
    run = run_example("card_through_panel", conf={"order": "Pedido 7", "amount": 0})
    assert run.errors == []
    assert run.state == "success"
    card = run.xcom("get")
    assert (card["title"], card["status"], card["monetaryAmount"]) == ("Pedido 7", "WON", 0)
    assert (card["stepId"], card["dueDate"]) == (account.step("Vendas", "Proposta"), None)
    (note,) = account.items(f"/crm/v1/panel/card/{card['id']}/note")
    assert note["text"] == "Offer of 0 is out."


def test_a_template_goes_to_a_list_and_its_fates_are_counted(account, run_example):
    account.world.failing_recipients.add("+55|11900002002")
    people = [{"phone": f"(11) 90000-200{n}", "name": "Ana", "amount": "R$ 1,00"} for n in range(1, 5)]

    def hurry(dag: Any) -> None:
        dag.task_dict["fates"].partial_kwargs["poke_interval"] = 5

    run = run_example("template_to_list", conf={"recipients": people}, change=hurry)
    assert run.errors == []
    assert run.state == "success"
    assert [send.recipient for send in account.simulator.sends] == [f"+55|1190000200{n}" for n in range(1, 5)]
    counted = run.xcom("count")
    assert counted.pop("FAILED") == 1
    assert sum(counted.values()) == 3
    assert set(counted) <= {"DELIVERED", "READ"}


def test_a_sequence_is_filled_with_who_is_missing(account, run_example):
    inside = account.contact(tag_ids=(account.tag("VIP"),))
    account.post(f"/chat/v1/sequence/{account.sequence('Pós-venda')}/contact", {"contactId": inside.id})
    missing = [account.contact(tag_ids=(account.tag("VIP"),)).id for _ in range(3)]
    tagged = {contact.id for contact in account.world.contacts if account.tag("VIP") in contact.tag_ids}
    before = {row["contactId"] for row in account.items(f"/chat/v2/sequence/{account.sequence('Pós-venda')}/contact")}
    run = run_example("fill_sequence")
    assert run.errors == []
    assert run.states == {"tagged": "success", "inside": "success", "missing": "success", "add": "success"}
    after = {row["contactId"] for row in account.items(f"/chat/v2/sequence/{account.sequence('Pós-venda')}/contact")}
    assert after == before | tagged
    assert set(missing) <= after
    (write,) = [write for write in account.simulator.books if write.operation.endswith("/contact/batch")]
    assert set(write.body["contactIds"]) == tagged - before
    assert inside.id not in write.body["contactIds"]
    again = run_example("fill_sequence")
    assert again.states == {"tagged": "success", "inside": "success", "missing": "success", "add": "skipped"}

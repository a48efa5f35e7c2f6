"""A case for every operator: arguments to run it with, and what must be so afterwards."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import airflow_provider_wtschat.operators
from airflow_provider_wtschat.operators import (
    ask,
    chatbot,
    contact,
    file,
    message,
    panel,
    scheduled_message,
    sequence,
    session,
    session_event,
    webhook,
    wtschat,
)
from airflow_provider_wtschat.operators.base import WtsChatBaseOperator
from tests.operators.account import Account

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One way to use an operator.

    :param operator: its class.
    :param arguments: makes arguments; each call makes others, for a task of its own.
    :param check: compares arguments and XCom with the account.
    """

    operator: type
    arguments: Callable[[Account], Arguments]
    check: Callable[[Account, Arguments, Any], None]
    name: str = ""

    @property
    def id(self) -> str:
        """Name for tests and tasks."""
        return self.operator.__name__ + (f"_{self.name}" if self.name else "")


def operators() -> set[type]:
    """Return every operator that a Dag can use."""
    package = airflow_provider_wtschat.operators
    modules = [import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)]
    return {
        value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, WtsChatBaseOperator)
        and value.__module__ == module.__name__
        and (name == "WtsChatOperator" or not name.startswith("WtsChat"))
    }


CASES: list[Case] = []


def case(operator: type, arguments: Callable[[Account], Arguments], name: str = "") -> Callable[..., Any]:
    """Register a function as the check of a case."""

    def register(check: Callable[[Account, Arguments, Any], None]) -> Callable[[Account, Arguments, Any], None]:
        CASES.append(Case(operator, arguments, check, name))
        return check

    return register


def ids(rows: Any) -> list[str]:
    """Return the ids of rows, sorted."""
    return sorted(row["id"] for row in rows)


# Sessions


def of_session(**arguments: Any) -> Callable[[Account], Arguments]:
    """Make arguments for a session of its own."""
    return lambda account: {"session_id": account.session(), **arguments}


@case(session.ListSessionsOperator, lambda account: {"contact_id": account.contact().id, "fields": ["id", "status"]})
def list_no_sessions(account: Account, given: Arguments, result: Any) -> None:
    assert result == []


def three_sessions(account: Account) -> Arguments:
    contact_id = account.contact().id
    for status in ("PENDING", "COMPLETED", "HIDDEN"):
        account.session(contact_id=contact_id, status=status)
    return {"contact_id": contact_id, "status": ["PENDING", "HIDDEN"], "page_size": 1}


@case(session.ListSessionsOperator, three_sessions, "of_a_contact")
def list_sessions(account: Account, given: Arguments, result: Any) -> None:
    assert [row["status"] for row in result] == ["PENDING", "HIDDEN"]
    assert {row["contactId"] for row in result} == {given["contact_id"]}


def three_changed_sessions(account: Account) -> Arguments:
    given = three_sessions(account)
    return {"contact_id": given["contact_id"], "statuses": "['PENDING', 'HIDDEN']", "event": "new"}


@case(session_event.ReadSessionEventsOperator, three_changed_sessions)
def read_session_events(account: Account, given: Arguments, result: Any) -> None:
    of_contact = [row for row in account.world.sessions if row.contact_id == given["contact_id"]]
    assert ids(result) == sorted(row.id for row in of_contact if row.status != "COMPLETED")


@case(
    session.ListSessionsOperator,
    lambda account: {**three_sessions(account), "channel_names": ["Matriz"]},
    "of_a_channel",
)
def list_sessions_of_a_channel(account: Account, given: Arguments, result: Any) -> None:
    assert ids(result) == ids(
        account.items(
            f"/chat/v2/session?ContactId={given['contact_id']}&Status=PENDING&Status=HIDDEN"
            f"&ChannelsId={account.channel('Matriz')}"
        )
    )


@case(session.GetSessionOperator, of_session(include_details=["ContactDetails"]))
def get_session(account: Account, given: Arguments, result: Any) -> None:
    assert result["id"] == given["session_id"]
    assert result["contactDetails"]["name"] == "Maria"


@case(session.ConcludeSessionOperator, of_session(reactivate_on_new_message=True, stop_bot_in_execution="true"))
def conclude_session(account: Account, given: Arguments, result: Any) -> None:
    assert result["status"] == "COMPLETED"
    assert account.world.sessions.get(given["session_id"]).status == "COMPLETED"
    assert account.world.sessions.get(given["session_id"]).reactivate


@case(session.ConcludeSessionOperator, lambda account: {"session_id": account.session(status="COMPLETED")}, "again")
def conclude_concluded_session(account: Account, given: Arguments, result: Any) -> None:
    assert result["id"] == given["session_id"]
    assert result["status"] == "COMPLETED"


@case(session.UpdateSessionStatusOperator, of_session(status="IN_PROGRESS"))
def change_status(account: Account, given: Arguments, result: Any) -> None:
    assert result["status"] == account.world.sessions.get(given["session_id"]).status == "IN_PROGRESS"


def update_arguments(account: Account) -> Arguments:
    session_id = account.session(department_id=account.department("Vendas"), user_id=account.agent("Ana Souza"))
    return {
        "session_id": session_id,
        "metadata": {"order": "17"},
        "user_name": "bruno@example.com",
        "clear": ["department_id"],
    }


@case(session.UpdateSessionOperator, update_arguments)
def update_session(account: Account, given: Arguments, result: Any) -> None:
    row = account.world.sessions.get(given["session_id"])
    assert (row.department_id, row.user_id) == (None, account.agent("Bruno Lima"))
    assert row.metadata == result["metadata"] == {"order": "17"}


@case(session.TransferSessionOperator, of_session(department_name="Suporte"))
def transfer_session(account: Account, given: Arguments, result: Any) -> None:
    row = account.world.sessions.get(given["session_id"])
    assert result["departmentId"] == row.department_id == account.department("Suporte")


@case(session.AssignSessionOperator, of_session(user_name="Carla Dias"))
def assign_session(account: Account, given: Arguments, result: Any) -> None:
    row = account.world.sessions.get(given["session_id"])
    assert result["userId"] == row.user_id == account.agent("Carla Dias")


@case(session.SendSessionTextOperator, of_session(text="Olá", synchronous=True))
def send_session_text(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["session_id"])
    assert (sent.message_id, sent.text) == (result["id"], "Olá")


@case(session.SendSessionFileOperator, of_session(file_url="https://example.com/a.pdf", text="A nota"))
def send_session_file(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["session_id"])
    assert (sent.message_id, sent.file, sent.text) == (result["id"], "https://example.com/a.pdf", "A nota")


@case(session.SendSessionFileOperator, of_session(file_path=__file__), "uploaded")
def send_session_uploaded_file(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["session_id"])
    assert account.world.files.get(sent.file) is not None


@case(
    session.SendSessionTemplateOperator,
    lambda account: {
        "session_id": account.session(),
        "template_name": "lembrete_pagamento",
        "template_parameters": {**account.parameters("lembrete_pagamento"), "nome": "Maria\n Silva"},
    },
)
def send_session_template(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["session_id"])
    assert (sent.message_id, sent.template_id) == (result["id"], account.template("lembrete_pagamento"))
    assert sent.parameters["nome"] == "Maria Silva"


@case(session.CreateSessionNoteOperator, of_session(text="Ligar amanhã"))
def create_session_note(account: Account, given: Arguments, result: Any) -> None:
    assert account.items(f"/chat/v1/session/{given['session_id']}/note")[0]["id"] == result["id"]
    assert result["text"] == "Ligar amanhã"


# Messages


def two_messages(account: Account) -> Arguments:
    session_id = account.session()
    account.message(session_id)
    account.message(session_id)
    return {"session_id": session_id, "page_size": 1, "fields": "id"}


@case(message.ListMessagesOperator, two_messages)
def list_messages(account: Account, given: Arguments, result: Any) -> None:
    assert len(result) == 2
    assert ids(result) == ids(account.items(f"/chat/v1/message?SessionId={given['session_id']}"))


def of_message(account: Account) -> Arguments:
    return {"message_id": account.message(account.session())["id"]}


@case(message.GetMessageOperator, of_message)
def get_message(account: Account, given: Arguments, result: Any) -> None:
    assert (result["id"], result["text"]) == (given["message_id"], "Oi")


@case(message.GetMessageStatusOperator, of_message)
def get_message_status(account: Account, given: Arguments, result: Any) -> None:
    assert result["id"] == given["message_id"]
    assert result["status"] in ("QUEUED", "PROCESSING", "SENT", "DELIVERED", "READ")


def writable(account: Account, **arguments: Any) -> Arguments:
    contact_ = account.contact()
    account.session(contact_id=contact_.id)
    return {"to": contact_.phone, **arguments}


@case(
    message.SendTextOperator,
    lambda account: writable(account, text="Oi", sender_id="own-1", from_channel_name="Matriz"),
)
def send_text(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["to"])
    assert (sent.operation, sent.text, sent.sender_id) == ("POST /chat/v1/send/text", "Oi", "own-1")
    assert sent.message_id == result["id"]


@case(
    message.SendTextOperator,
    lambda account: writable(account, text="Oi", wait_for_status="DELIVERED", poll_interval=0.01),
    "and_wait",
)
def send_text_and_wait(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["to"])
    assert result["id"] == sent.message_id
    assert result["status"] in ("DELIVERED", "READ")


@case(message.SendTextOperator, lambda account: writable(account, text="Oi", bot_name="Triagem"), "with_a_chatbot")
@case(message.SendTextOperator, lambda account: writable(account, text="Oi", synchronous=True), "synchronously")
def send_text_by_message(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["to"])
    way = "send-sync" if given.get("synchronous") else "send"
    assert (sent.operation, sent.text) == (f"POST /chat/v1/message/{way}", "Oi")
    digits = "".join(filter(str.isdigit, given["to"]))
    bodies = [book.body for book in account.simulator.books if isinstance(book.body, dict)]
    (body,) = [body for body in bodies if body.get("to") == digits]
    assert body.get("botKey") == (account.bot("Triagem") if "bot_name" in given else None)
    assert sent.message_id == result["id"]


@case(
    message.SendTemplateOperator,
    lambda account: {
        "to": account.phone(),
        "from_channel_name": "Matriz",
        "template_name": "boas_vindas",
        "template_parameters": account.parameters("boas_vindas"),
        "bot_name": "Triagem",
        "synchronous": True,
    },
    "with_a_chatbot",
)
def send_template_by_message(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["to"])
    assert sent.operation == "POST /chat/v1/message/send-sync"
    assert (sent.message_id, sent.template_id) == (result["id"], account.template("boas_vindas"))


@case(
    message.SendFileOperator,
    lambda account: writable(account, file_path=__file__, text="A nota", synchronous="true"),
    "synchronously",
)
def send_file_by_message(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["to"])
    assert sent.operation == "POST /chat/v1/message/send-sync"
    assert account.world.files.get(sent.file) is not None


@case(message.SendFileOperator, lambda account: writable(account, file_url="https://example.com/a.png", text="Foto"))
def send_file(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["to"])
    assert (sent.operation, sent.file) == ("POST /chat/v1/send/image", "https://example.com/a.png")
    assert sent.message_id == result["id"]


@case(message.SendFileOperator, lambda account: writable(account, file_path=__file__, file_kind="document"), "uploaded")
def send_uploaded_file(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["to"])
    assert sent.operation == "POST /chat/v1/send/document"
    assert account.world.files.get(sent.file) is not None


@case(
    message.SendTemplateOperator,
    lambda account: {
        "to": f"({account.phone()[2:4]}) {account.phone()[4:]}",
        "from_channel": "+55 11 3333-0001",
        "template_name": "boas_vindas",
        "template_parameters": account.parameters("boas_vindas"),
        "department_name": "Vendas",
        "user_name": "Ana Souza",
    },
)
def send_template(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to("55" + given["to"])
    assert (sent.message_id, sent.template_id) == (result["id"], account.template("boas_vindas"))
    row = account.world.sessions.get(sent.session_id)
    assert (row.department_id, row.user_id) == (account.department("Vendas"), account.agent("Ana Souza"))


@case(
    message.SendTemplateBatchOperator,
    lambda account: {
        "from_channel_name": "Matriz",
        "template_name": "boas_vindas",
        "messages": [{"to": account.phone(), "parameters": account.parameters("boas_vindas")} for _ in range(3)],
    },
)
def send_template_batch(account: Account, given: Arguments, result: Any) -> None:
    assert [row["to"] for row in result] == [item["to"] for item in given["messages"]]
    assert [account.sent_to(row["to"])[0].message_id for row in result] == [row["id"] for row in result]


@case(
    scheduled_message.ScheduleMessageOperator,
    lambda account: {
        "to": account.phone(),
        "scheduling": "2031-05-04 09:00",
        "timezone": "America/Sao_Paulo",
        "template_name": "boas_vindas",
        "template_parameters": account.parameters("boas_vindas"),
        "department_name": "Vendas",
    },
)
def schedule_message(account: Account, given: Arguments, result: Any) -> None:
    row = account.get(f"/chat/v1/scheduled-message/{result['id']}")
    assert row["status"] == "SCHEDULED"
    assert row["scheduling"].startswith("2031-05-04T12:00:00")
    assert row["departmentId"] == account.department("Vendas")


@case(
    scheduled_message.CancelScheduledMessagesOperator,
    lambda account: {"scheduled_message_ids": [account.scheduled()["id"], account.scheduled()["id"]]},
)
def cancel_scheduled_messages(account: Account, given: Arguments, result: Any) -> None:
    assert ids(result) == sorted(given["scheduled_message_ids"])
    rows = [account.get(f"/chat/v1/scheduled-message/{row['id']}") for row in result]
    assert [row["status"] for row in rows] == ["CANCELED", "CANCELED"]


@case(file.UploadFileOperator, lambda account: {"file_path": __file__, "file_name": "cases.txt"})
def upload_file(account: Account, given: Arguments, result: Any) -> None:
    assert account.world.files.get(result["id"])["extension"] == result["extension"] == ".txt"


# Chatbots


@case(
    chatbot.SendChatbotOperator,
    lambda account: writable(account, bot_name="Triagem", session_metadata={"order": "17"}),
)
def send_chatbot(account: Account, given: Arguments, result: Any) -> None:
    (sent,) = account.sent_to(given["to"])
    assert sent.bot_key == account.bot("Triagem")
    assert result["id"] == sent.session_id
    assert result["metadata"] == {"order": "17"}


# Contacts


@case(
    contact.CreateContactOperator,
    lambda account: {
        "name": "João",
        "phone_number": account.phone(),
        "contact_email": f"{account.phone()}@example.com",
        "tag_names": ["VIP"],
        "custom_fields": {"nascimento": "1990-02-03", "limite": 10.5, "pontos": "7", "ativo": "yes"},
    },
)
def create_contact(account: Account, given: Arguments, result: Any) -> None:
    row = account.get(f"/core/v1/contact/{result['id']}?IncludeDetails=Tags&IncludeDetails=CustomFields")
    assert (row["name"], row["email"]) == ("João", given["contact_email"])
    assert row["tagIds"] == [account.tag("VIP")]
    fields = {key: value[0] if isinstance(value, list) else value for key, value in row["customFields"].items()}
    assert (fields["limite"], fields["pontos"], fields["ativo"]) == (10.5, 7, True)


@case(
    contact.CreateContactOperator,
    lambda account: {"name": "João", "phone_number": account.phone(), "sequence_names": "Pós-venda"},
    "in_a_sequence",
)
def create_contact_in_a_sequence(account: Account, given: Arguments, result: Any) -> None:
    assert result["id"] in in_sequence(account)


@case(
    contact.CreateContactOperator,
    lambda account: {"phone_number": account.contact(name="Eva").phone, "get_if_exists": True},
    "that_exists",
)
def get_existing_contact(account: Account, given: Arguments, result: Any) -> None:
    assert (result["name"], result["phoneNumber"]) == ("Eva", given["phone_number"])


@case(
    contact.UpdateContactOperator,
    lambda account: {
        "contact_id": account.contact(email="old@example.com").id,
        "name": "Novo",
        "tag_names": "Lead",
        "clear": "contact_email",
    },
)
def update_contact(account: Account, given: Arguments, result: Any) -> None:
    row = account.world.contacts.get(given["contact_id"])
    assert (row.name, row.email) == (result["name"], None) == ("Novo", None)


@case(contact.GetContactOperator, lambda account: {"contact_id": account.contact().id})
def get_contact(account: Account, given: Arguments, result: Any) -> None:
    assert (result["id"], result["name"]) == (given["contact_id"], "Maria")


@case(contact.GetContactByPhoneOperator, lambda account: {"phone_number": account.contact().phone})
def get_contact_by_phone(account: Account, given: Arguments, result: Any) -> None:
    assert result["phoneNumber"] == given["phone_number"]


@case(contact.ListContactsOperator, lambda account: {"status": "ARCHIVED", "page_size": 2, "max_rows": "5000"})
def list_contacts(account: Account, given: Arguments, result: Any) -> None:
    assert ids(result) == ids(account.items("/core/v1/contact?Status=ARCHIVED"))


def archived_contacts(account: Account) -> Arguments:
    name = f"Cliente {account.phone()}"
    for status in ("ARCHIVED", "ARCHIVED", "ACTIVE"):
        account.contact(name=name, status=status)
    return {"name": name, "status": "ARCHIVED", "page_size": 1}


@case(contact.FilterContactsOperator, archived_contacts)
def filter_contacts(account: Account, given: Arguments, result: Any) -> None:
    assert [(row["name"], row["status"]) for row in result] == [(given["name"], "ARCHIVED")] * 2


@case(
    contact.BatchSaveContactsOperator,
    lambda account: {
        "contacts": [
            {"name": "Um", "phone_number": account.contact().phone, "custom_fields": {"pontos": 3}},
            {"name": "Dois", "phone_number": account.phone()},
        ],
        "upsert": True,
        "fields": ["id", "name"],
    },
)
def batch_save_contacts(account: Account, given: Arguments, result: Any) -> None:
    assert [row["name"] for row in result] == ["Um", "Dois"]
    assert [account.world.contacts.get(row["id"]).name for row in result] == ["Um", "Dois"]


@case(
    contact.UpdateContactTagsOperator,
    lambda account: {"contact_id": account.contact().id, "tag_names": ["VIP", "Cliente"]},
)
@case(
    contact.UpdateContactTagsOperator,
    lambda account: {
        "phone_number": account.contact().phone,
        "tag_ids": [account.tag("VIP"), account.tag("Cliente")],
        "tags_operation": "ReplaceAll",
    },
    "by_phone",
)
def update_contact_tags(account: Account, given: Arguments, result: Any) -> None:
    row = account.get(f"/core/v1/contact/{result['id']}?IncludeDetails=Tags")
    assert sorted(row["tagIds"]) == sorted([account.tag("VIP"), account.tag("Cliente")])


# Panels


@case(panel.ListPanelsOperator, lambda account: {"panel_type": "SALES", "fields": ["id"]})
def list_panels(account: Account, given: Arguments, result: Any) -> None:
    assert ids(result) == ids(account.items("/crm/v2/panel?Type=SALES"))
    assert set(result[0]) == {"id"}


@case(panel.GetPanelOperator, lambda account: {"panel_name": "Vendas", "include_details": ["Steps"]})
def get_panel(account: Account, given: Arguments, result: Any) -> None:
    assert [step["title"] for step in result["steps"]] == [step["title"] for step in account.panel("Vendas")["steps"]]


@case(
    panel.ListCardsOperator,
    lambda account: {
        "panel_name": "Pós-venda",
        "step_name": "Contato",
        "statuses": ["OPEN", "WON", "LOST", "ARCHIVED"],
        "page_size": 3,
    },
)
def list_cards(account: Account, given: Arguments, result: Any) -> None:
    wanted = [card for card in account.world.cards if card["stepId"] == account.step("Pós-venda", "Contato")]
    assert ids(result) == sorted(card.id for card in wanted)


@case(panel.GetCardOperator, lambda account: {"card_id": account.card()["id"]})
def get_card(account: Account, given: Arguments, result: Any) -> None:
    assert (result["id"], result["title"]) == (given["card_id"], "Pedido")


@case(
    panel.CreateCardOperator,
    lambda account: {
        "panel_name": "Vendas",
        "step_name": "Proposta",
        "title": "Pedido 18",
        "monetary_amount": "0",
        "responsible_user_name": "Ana Souza",
        "contact_ids": [account.contact().id],
        "due_date": "2031-01-02 08:00",
        "timezone": "America/Sao_Paulo",
    },
)
def create_card(account: Account, given: Arguments, result: Any) -> None:
    row = account.get(f"/crm/v2/panel/card/{result['id']}")
    assert (row["title"], row["stepId"]) == ("Pedido 18", account.step("Vendas", "Proposta"))
    assert (row["monetaryAmount"], row["responsibleUserId"]) == (0, account.agent("Ana Souza"))
    assert row["contactIds"] == given["contact_ids"]
    assert row["dueDate"].startswith("2031-01-02T11:00:00")


@case(
    panel.CreateCardOperator,
    lambda account: {
        "step_id": account.step("Suporte", "Tratado"),
        "title": "Chamado",
        "custom_fields": {"cliente-71": "Empresa B", "observador": ["Pessoa A"], "valor": "1.5"},
    },
    "with_custom_fields",
)
def create_card_with_custom_fields(account: Account, given: Arguments, result: Any) -> None:
    fields = account.get(f"/crm/v2/panel/card/{result['id']}?IncludeDetails=CustomFields")["customFields"]
    assert fields["valor"] == 1.5
    assert fields["observador"] == ["Pessoa A"]
    assert fields["cliente-71"] in ("Empresa B", ["Empresa B"])


@case(
    panel.UpdateCardOperator,
    lambda account: {
        "card_id": account.card(monetaryAmount=5, description="x")["id"],
        "step_name": "Negociação",
        "monetary_amount": 0,
        "clear": ["description"],
    },
)
def update_card(account: Account, given: Arguments, result: Any) -> None:
    row = account.get(f"/crm/v2/panel/card/{given['card_id']}")
    assert (row["stepId"], row["monetaryAmount"]) == (account.step("Vendas", "Negociação"), 0)
    assert row["description"] == result["description"] is None


@case(
    panel.DuplicateCardOperator,
    lambda account: {"card_id": account.card()["id"], "panel_name": "Pós-venda", "copy_to_step_name": "Entrada"},
)
@case(
    panel.DuplicateCardOperator,
    lambda account: {
        "card_id": account.card()["id"],
        "copy_to_step_id": account.step("Pós-venda", "Entrada"),
        "copy_fields": ["Contacts", "Notes"],
    },
    "by_step_id",
)
def duplicate_card(account: Account, given: Arguments, result: Any) -> None:
    assert result["id"] != given["card_id"]
    assert account.get(f"/crm/v2/panel/card/{result['id']}")["stepId"] == account.step("Pós-venda", "Entrada")


def noted_card(account: Account) -> Arguments:
    card_id = account.card()["id"]
    account.note(card_id)
    account.note(card_id)
    return {"card_id": card_id}


@case(panel.ListCardNotesOperator, lambda account: noted_card(account) | {"page_size": 1})
def list_card_notes(account: Account, given: Arguments, result: Any) -> None:
    assert len(result) == 2
    assert ids(result) == ids(account.items(f"/crm/v1/panel/card/{given['card_id']}/note"))


@case(panel.CreateCardTextNoteOperator, lambda account: {"card_id": account.card()["id"], "text": "Ligar"})
@case(
    panel.CreateCardFileNoteOperator,
    lambda account: {"card_id": account.card()["id"], "file_urls": ["https://example.com/a.pdf"], "text": "Ligar"},
)
def create_card_note(account: Account, given: Arguments, result: Any) -> None:
    (row,) = account.items(f"/crm/v1/panel/card/{given['card_id']}/note")
    assert (row["id"], row["text"]) == (result["id"], "Ligar")
    assert len(row["files"] or ()) == len(given.get("file_urls", ()))


def one_note(account: Account) -> Arguments:
    card_id = account.card()["id"]
    return {"card_id": card_id, "note_id": account.note(card_id)["id"]}


@case(panel.DeleteCardNoteOperator, one_note)
def delete_card_note(account: Account, given: Arguments, result: Any) -> None:
    assert account.items(f"/crm/v1/panel/card/{given['card_id']}/note") == []


# Sequences


@case(sequence.ListSequencesOperator, lambda account: {"order_by": "CreatedAt", "order_direction": "ASCENDING"})
def list_sequences(account: Account, given: Arguments, result: Any) -> None:
    assert ids(result) == ids(account.items("/chat/v1/sequence"))


def in_sequence(account: Account) -> list[str]:
    path = f"/chat/v2/sequence/{account.sequence('Pós-venda')}/contact"
    return [row["contactId"] for row in account.items(path)]


def enter(account: Account) -> str:
    contact_id = account.contact().id
    account.post(f"/chat/v1/sequence/{account.sequence('Pós-venda')}/contact", {"contactId": contact_id})
    return str(contact_id)


@case(
    sequence.ListSequenceContactsOperator,
    lambda account: {"sequence_name": "Recuperação", "page_size": 7, "include_details": "ContactDetails"},
)
def list_sequence_contacts(account: Account, given: Arguments, result: Any) -> None:
    path = f"/chat/v2/sequence/{account.sequence('Recuperação')}/contact"
    assert ids(result) == ids(account.items(path))
    assert len(result) > 7


@case(
    sequence.AddContactToSequenceOperator,
    lambda account: {"sequence_name": "Pós-venda", "contact_id": account.contact().id},
)
def add_to_sequence(account: Account, given: Arguments, result: Any) -> None:
    assert result["contactId"] == given["contact_id"]
    assert given["contact_id"] in in_sequence(account)


@case(
    sequence.AddContactsToSequenceOperator,
    lambda account: {
        "sequence_id": account.sequence("Pós-venda"),
        "contact_ids": [account.contact().id],
        "phone_numbers": [account.contact().phone],
    },
)
def add_many_to_sequence(account: Account, given: Arguments, result: Any) -> None:
    known = {account.world.contacts.get(contact_id).phone for contact_id in in_sequence(account)}
    assert set(given["phone_numbers"]) <= known
    assert set(given["contact_ids"]) <= set(in_sequence(account))


@case(
    sequence.RemoveContactFromSequenceOperator,
    lambda account: {"sequence_name": "Pós-venda", "contact_id": enter(account)},
)
def remove_from_sequence(account: Account, given: Arguments, result: Any) -> None:
    assert given["contact_id"] not in in_sequence(account)


@case(
    sequence.RemoveContactsFromSequenceOperator,
    lambda account: {"sequence_name": "Pós-venda", "contact_ids": [enter(account), enter(account)]},
)
def remove_many_from_sequence(account: Account, given: Arguments, result: Any) -> None:
    assert not set(given["contact_ids"]) & set(in_sequence(account))


# Anything


@case(
    wtschat.WtsChatOperator,
    lambda account: {"action": "tags.create", "arguments": {"name": f"Etiqueta {account.phone()}"}},
)
def create_tag(account: Account, given: Arguments, result: Any) -> None:
    assert account.named("/core/v1/tag", given["arguments"]["name"])["id"] == result["id"]


@case(
    wtschat.WtsChatOperator,
    lambda account: {
        "action": "sequences.list_contacts",
        "arguments": {"sequence_id": account.sequence("Recuperação")},
        "page_size": 7,
        "fields": ["id"],
    },
    "on_a_list",
)
def list_by_action(account: Account, given: Arguments, result: Any) -> None:
    assert ids(result) == ids(account.items(f"/chat/v2/sequence/{account.sequence('Recuperação')}/contact"))


def a_question(account: Account) -> Arguments:
    return {
        "session_id": account.session(),
        "subject": "Confirma?",
        "options": ["Sim", "Nao"],
        "defaults": "Nao",
        "response_timeout": 0,
        "deferrable": False,
    }


@case(ask.AskContactOperator, a_question)
def ask_contact(account: Account, given: Arguments, result: Any) -> None:
    assert result["chosen_options"] == ["Nao"]
    assert [send.text for send in account.sent_to(given["session_id"])] == ["Confirma?\n\n1. Sim\n2. Nao"]


def a_choice(account: Account) -> Arguments:
    return {**a_question(account), "options_mapping": {"Nao": "AskContactOperator"}}


@case(ask.AskContactBranchOperator, a_choice)
def ask_contact_and_branch(account: Account, given: Arguments, result: Any) -> None:
    assert result == ["AskContactOperator"]
    assert len(account.sent_to(given["session_id"])) == 1


# Webhooks


def one_webhook(account: Account) -> Arguments:
    name = f"Integração {account.contact().id}"
    body = {"name": name, "url": "https://example.com/hook", "events": ["SESSION_NEW"]}
    return {"name": name, "subscription_id": account.post("/core/v1/webhook/subscription", body)["id"]}


def webhooks_named(account: Account, name: str) -> list[Any]:
    return [row for row in account.get("/core/v1/webhook/subscription") if row["name"] == name]


@case(
    webhook.EnsureWebhookOperator,
    lambda account: {
        "name": one_webhook(account)["name"],
        "events": "['SESSION_NEW', 'MESSAGE_RECEIVED']",
        "url": "https://example.com/other",
    },
)
def ensure_webhook(account: Account, given: Arguments, result: Any) -> None:
    (row,) = webhooks_named(account, given["name"])
    assert row["url"] == given["url"]
    assert result == {
        "id": row["id"],
        "name": row["name"],
        "events": ["SESSION_NEW", "MESSAGE_RECEIVED"],
        "enabled": True,
    }


@case(webhook.DeleteWebhookOperator, lambda account: {"name": one_webhook(account)["name"]})
def delete_webhook(account: Account, given: Arguments, result: Any) -> None:
    assert len(result) == 1
    assert webhooks_named(account, given["name"]) == []

"""Arguments for every operation: what users give, in all the forms in which it arrives."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from hypothesis import strategies as st

from airflow_provider_wtschat.api import types
from airflow_provider_wtschat.api.operations import OPERATIONS

S = st.SearchStrategy[Any]

WORDS = st.sampled_from(["Olá, tudo bem?", "pedido 7", "7", 7, "ção\n\nsegunda linha", "👋", "a, b", "x" * 90])
NAMES = st.sampled_from(["Vendas", "Pós-venda", "a, b & c", "100%", "[VIP] clientes", "é/ç?", 7])
IDS = st.uuids(version=4).flatmap(
    lambda value: st.sampled_from([str(value), str(value).upper(), f" {value}\n", value]),
)
WHOLE = st.integers(0, 25).flatmap(lambda value: st.sampled_from([value, str(value), f" {value} ", float(value)]))
AMOUNTS = st.sampled_from([0, "0", 10, 10.5, "10.50", "1e3", -3])
FLAGS = st.sampled_from([True, False, "True", "false", "yes", "NO", 1, 0, "1", " true "])
URLS = st.sampled_from(["https://example.com/a.pdf", "http://example.com/ç?x=1&y=2#z", " https://example.com "])
PHONES = st.sampled_from(
    ["+55|11900000001", "(11) 90000-0001", "5511900000001", 5511900000001, "11 3000-0001", "+1 202 555 0100",
     "+55|1190000000"]
)  # fmt: skip
CHANNELS = st.one_of(PHONES, IDS.map(lambda value: str(value).strip().lower()), st.just("@empresa.exemplo"))
USERS = st.one_of(PHONES, st.just("@maria_1"))
FREE_IDS = st.sampled_from(["pedido-1", "a/b?c=d&e", "çã 1", "{id}", "7", 7])
INSTANTS = st.one_of(
    st.sampled_from(["2026-09-01", "2026-09-01 08:30", "2026-09-01T08:30:00Z", "2026-09-01T08:30:00.12345678-03:00"]),
    st.dates(date(1990, 1, 1), date(2090, 1, 1)),
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),
    st.datetimes(
        datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3))])
    ),
)
FREE_MAPPINGS = st.dictionaries(
    st.sampled_from(["pedido", "cliente-71", "ção", "a b"]),
    st.sampled_from(["x", 7, 1.5, True, None, ["a", "b"]]),
    min_size=1,
)
WORD_MAPPINGS = st.dictionaries(
    st.sampled_from(["pedido", "a b", "ção", "a]b"]), st.sampled_from(["x", "7"]), min_size=1
)


def as_list(items: S, most: int = 3) -> S:
    """A list in the forms in which it arrives, a single value included."""
    return st.lists(items, min_size=1, max_size=most).flatmap(written)


def written(values: list[Any]) -> S:
    texts = [str(value).strip() for value in values]
    several = [values, tuple(values), iter_once(values), repr(texts), f"{json.dumps(texts)} "]
    return st.sampled_from([*several, values[0]] if len(values) == 1 else several)


class iter_once:
    """A list that is no list, such as the lazy results of mapped tasks."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __iter__(self) -> Any:
        return iter(self._values)


def as_mapping(mappings: S) -> S:
    return mappings.flatmap(lambda value: st.sampled_from([value, json.dumps(value), repr(value)]))


def as_batch(items: S) -> S:
    return st.lists(items, min_size=1, max_size=3).flatmap(
        lambda values: st.sampled_from([values, json.dumps(values, default=str), repr(values)])
    )


def one_of(values: type[StrEnum], *never: StrEnum) -> S:
    return st.sampled_from([value for value in values if value not in never]).flatmap(
        lambda value: st.sampled_from(
            [value, value.value, f" {value.value} "]
            # In other letters these two are what a template renders where there was nothing.
            + ([] if value.value in ("NONE", "UNDEFINED") else [value.value.lower(), value.value.upper()])
        )
    )


def some_of(values: type[StrEnum], *never: StrEnum) -> S:
    return as_list(one_of(values, *never))


def item(needed: Mapping[str, S], optional: Mapping[str, S]) -> S:
    return st.fixed_dictionaries(dict(needed), optional={name: value | st.none() for name, value in optional.items()})


def plain(strategy: S) -> S:
    """Values that survive being written as text: a batch arrives as one text."""
    return strategy.map(lambda value: value if isinstance(value, (str, int, float, dict, list)) else str(value))


PARAMETERS = st.one_of(
    as_mapping(
        st.dictionaries(st.sampled_from(["1", "nome"]), st.sampled_from(["Maria", "linha 1\nlinha 2"]), min_size=1)
    ),
    as_list(st.sampled_from(["Maria", "a\tb", "x" * 2000, "7"])).filter(
        lambda value: not isinstance(value, str) or "[" in value
    ),
)
ROLES = {"is_agent": plain(FLAGS), "is_supervisor": plain(FLAGS)}
UTM = ("source", "medium", "campaign", "content", "headline", "term", "referral_url")
EVENTS = ["SESSION_NEW", "MESSAGE_RECEIVED", "PANEL_CARD_NEW"]
TEMPLATE_ITEM = item(
    {"to": plain(PHONES)},
    {
        "parameters": st.dictionaries(st.just("1"), st.just("Maria"), min_size=1),
        "file": st.just("https://example.com/a.pdf"),
        "sender_id": plain(FREE_IDS),
        "callback_url": st.just("https://example.com/x"),
        "session_metadata": FREE_MAPPINGS,
    },
)
CHATBOT_ITEM = item(
    {"to": plain(USERS)},
    {
        "session_id": plain(IDS),
        "sender_id": plain(FREE_IDS),
        "callback_url": st.just("https://example.com/x"),
        "session_metadata": FREE_MAPPINGS,
        "contact_metadata": FREE_MAPPINGS,
    },
)
CONTACT_ITEM = item(
    {"phone_number": plain(PHONES)},
    {
        "name": plain(NAMES),
        "email": st.just("pessoa@example.com"),
        "instagram": st.just("pessoa"),
        "annotation": plain(WORDS),
        "tag_ids": st.lists(plain(IDS), min_size=1, max_size=2),
        "portfolio_names": st.lists(st.just("VIP"), min_size=1),
        "sequence_ids": st.lists(plain(IDS), min_size=1, max_size=2),
        "custom_fields": FREE_MAPPINGS,
        "metadata": FREE_MAPPINGS,
    },
) | item(
    {"name": plain(NAMES)}, {"tag_names": st.just(["a"]), "portfolio_ids": st.lists(plain(IDS), min_size=1, max_size=2)}
)

BY_NAME: dict[str, S] = {
    "annotation": WORDS,
    "callback_url": URLS,
    "channels": as_list(NAMES),
    "classification": as_mapping(
        st.fixed_dictionaries(
            {"category": st.sampled_from(["WON", "other"])}, optional={"amount": AMOUNTS, "text": st.just("Venda")}
        )
    ),
    "code": st.sampled_from(["012345", 123456]),
    "color": st.sampled_from(["GRAY_600", "blue_100"]),
    "contact_metadata": as_mapping(FREE_MAPPINGS),
    "custom_fields": as_mapping(FREE_MAPPINGS),
    "delay_typing": WHOLE,
    "email": st.just("pessoa@example.com"),
    "events": as_list(st.sampled_from(EVENTS)),
    "file": URLS | IDS,
    "from_channel": CHANNELS,
    "instagram": st.sampled_from(["empresa", "@empresa"]),
    "metadata": as_mapping(FREE_MAPPINGS),
    "mime_type": st.just("image/png"),
    "monetary_amount": AMOUNTS,
    "order_by": st.sampled_from(["CreatedAt", "UpdatedAt"]),
    "order_direction": one_of(types.OrderDirection),
    "number": st.sampled_from(["2026090100001", 2026090100001]),
    # Brazil's, since the numbers are: in another country most of them are none.
    "phone_country": st.sampled_from(["55", "+55", 55]),
    "phone_number": PHONES,
    "new_phone_number": PHONES,
    "phone_numbers": as_list(PHONES),
    "position": st.sampled_from([0, "1", 2.5]),
    "sender_id": FREE_IDS,
    "session_metadata": as_mapping(FREE_MAPPINGS),
    "session_type": one_of(types.SessionType),
    "session_resolution": one_of(types.SessionResolution),
    "scheduling": INSTANTS,
    "template_id": FREE_IDS,
    "template_parameters": PARAMETERS,
    "timezone": st.sampled_from(["UTC", "America/Sao_Paulo"]),
    "timestamp_filter": INSTANTS,
    "to": PHONES,
    "user_email": st.just("agente@example.com"),
    "user_phone": PHONES,
    "utm": as_mapping(st.fixed_dictionaries({}, optional=dict.fromkeys(UTM, st.just("x"))).filter(bool)),
    "end_at": INSTANTS,
    "due_date": INSTANTS,
    "publish_statuses": some_of(types.ChatbotPublishStatus),
    "automation_usages": some_of(types.ChatbotAutomationUsage),
    "types": some_of(types.ChatbotType),
    "channel_type": one_of(types.ChannelType),
    "template_type": one_of(types.TemplateType),
    "message_type": one_of(types.ScheduledMessageType),
    "panel_type": one_of(types.PanelType),
    "page_type": one_of(types.PortfolioPageType, types.PortfolioPageType.UNDEFINED),
    "entity_type": one_of(types.CustomFieldEntity),
    "file_type": one_of(types.FileType),
    "profile": one_of(types.AgentProfile),
    "availability": one_of(types.AgentAvailability),
    "restriction_type": one_of(types.DepartmentRestriction),
    "channels_scope": one_of(types.ChannelScope),
    "origin": one_of(types.ContactOrigin),
    "tags_operation": one_of(types.TagOperation),
    "upsert_fields": some_of(types.ContactField),
    "statuses": some_of(types.CardStatus),
    "inactivity_time_in_minutes": WHOLE,
    "maximum_duration_in_minutes": WHOLE,
    "next_page_token": FREE_IDS,
    "timestamp_field": st.just("CreatedAt"),
    "send_id": FREE_IDS,
    "otp_id": FREE_IDS,
    "action": one_of(types.MembershipAction),
}  # fmt: skip

BY_OPERATION: dict[str, S] = {
    "sessions.list.status": some_of(types.SessionStatus, types.SessionStatus.UNDEFINED),
    "sessions.change_status.status": one_of(types.SessionStatus, types.SessionStatus.UNDEFINED),
    "sessions.update.status": one_of(types.SessionStatus, types.SessionStatus.UNDEFINED),
    "sessions.list.metadata": as_mapping(WORD_MAPPINGS),
    "sessions.list.include_details": some_of(types.SessionDetail, types.SessionDetail.UNDEFINED),
    "sessions.get.include_details": some_of(types.SessionDetail, types.SessionDetail.UNDEFINED),
    "sends.get_message_status.message_id": FREE_IDS,
    "sends.send_chatbot.to": USERS,
    "chatbots.send.to": USERS,
    "sends.send_template_batch.messages": as_batch(TEMPLATE_ITEM),
    "sends.send_chatbot_batch.messages": as_batch(CHATBOT_ITEM),
    "scheduled_messages.list.status": one_of(types.ScheduledMessageStatus),
    "scheduled_messages.list.include_details": some_of(types.ScheduledMessageDetail),
    "scheduled_messages.get.include_details": some_of(types.ScheduledMessageDetail),
    "scheduled_messages.list.user": NAMES | IDS.map(str),
    "scheduled_messages.list.department": NAMES | IDS.map(str),
    "scheduled_messages.list.to": PHONES | IDS,
    "templates.list.include_details": some_of(types.TemplateDetail),
    "sequences.list.include_details": some_of(types.SequenceDetail),
    "sequences.list_contacts.include_details": some_of(types.SequenceContactDetail),
    "contacts.list.include_details": some_of(types.ContactDetail),
    "contacts.filter.include_details": some_of(types.ContactDetail),
    "contacts.filter.custom_fields": as_mapping(WORD_MAPPINGS),
    "contacts.filter.metadata": as_mapping(WORD_MAPPINGS),
    "contacts.get.include_details": some_of(types.ContactDetail),
    "contacts.get_by_phone.include_details": some_of(types.ContactDetail),
    "contacts.list.status": one_of(types.ContactStatus),
    "contacts.filter.status": one_of(types.ContactStatus),
    "contacts.update.status": one_of(types.ContactStatus),
    "contacts.update_by_phone.status": one_of(types.ContactStatus),
    "contacts.create.upsert_tag_operation": one_of(types.UpsertTagOperation),
    "contacts.batch_save.upsert_tag_operation": one_of(types.UpsertTagOperation),
    "contacts.batch_save.contacts": as_batch(CONTACT_ITEM),
    "contacts.update_tags.operation": one_of(types.TagOperation),
    "contacts.update_tags_by_phone.operation": one_of(types.TagOperation),
    "panels.update_card.upsert_tag_operation": one_of(types.TagOperation),
    "panels.update_card.status": one_of(types.CardStatus),
    "panels.duplicate_card.fields": some_of(types.CardCopyField, types.CardCopyField.UNDEFINED),
    "panels.list.include_details": some_of(types.PanelDetail),
    "panels.get.include_details": some_of(types.PanelByIdDetail),
    "panels.list_cards.include_details": some_of(types.CardDetail),
    "panels.get_card.include_details": some_of(types.CardDetail),
    "portfolios.list.include_details": some_of(types.PortfolioDetail),
    "departments.get.include_details": one_of(types.DepartmentDetail),
    "departments.create.agents": as_batch(item({"user_id": plain(IDS)}, ROLES)),
    "departments.update_agents.agents": as_batch(item({"user_id": plain(IDS)}, ROLES)),
    "agents.update_departments.departments": as_batch(item({"department_id": plain(IDS)}, ROLES)),
    "agents.change_status.status": one_of(types.AgentAccess, types.AgentAccess.UNDEFINED),
}  # fmt: skip


def strategy(operation: str, name: str, annotation: str) -> S:
    """Values for one argument."""
    if f"{operation}.{name}" in BY_OPERATION:
        return BY_OPERATION[f"{operation}.{name}"]
    if name in BY_NAME:
        return BY_NAME[name]
    if re.search(r"_(after|before)$", name):
        return INSTANTS
    if name.endswith("_ids"):
        return as_list(IDS)
    if name.endswith("_id") or name == "bot_key":
        return IDS
    if name.endswith("_names"):
        return as_list(NAMES)
    if name.endswith("_urls"):
        return as_list(URLS)
    if name == "url" or name.endswith("_url"):
        return URLS
    if annotation.startswith("bool"):
        return FLAGS
    if annotation.startswith("str"):
        return WORDS | NAMES
    raise LookupError(f"{operation}: no values for {name}: {annotation}")


ONE_MESSAGE = ({"text"}, {"template_id"}, {"file_url"}, {"file_id"})
ONE_CONTACT = ({"contact_id"}, {"phone_number"})
CONTACTS = ({"contact_ids"}, {"phone_numbers"})
RECIPIENT = ({"to"}, {"session_id"})

# Without one of these sets an operation says nothing; the first that fits is added.
ANY_OF: dict[str, tuple[set[str], ...]] = {
    "sessions.send": ONE_MESSAGE,
    "sessions.send_sync": ONE_MESSAGE,
    "sessions.create_note": ({"text"}, {"file_urls"}, {"file_ids"}),
    "messages.send": ONE_MESSAGE,
    "messages.send_sync": ONE_MESSAGE,
    "sends.send_text": RECIPIENT,
    "sends.send_image": RECIPIENT,
    "sends.send_audio": RECIPIENT,
    "sends.send_video": RECIPIENT,
    "sends.send_document": RECIPIENT,
    "sends.send_chatbot": RECIPIENT,
    "chatbots.send": RECIPIENT,
    "sequences.add_contact": ONE_CONTACT,
    "sequences.remove_contact": ONE_CONTACT,
    "sequences.add_contacts": CONTACTS,
    "sequences.remove_contacts": CONTACTS,
    "portfolios.add_contact": ONE_CONTACT,
    "portfolios.remove_contact": ONE_CONTACT,
    "portfolios.add_contacts": CONTACTS,
    "portfolios.remove_contacts": CONTACTS,
    "contacts.create": ({"name"}, {"phone_number"}, {"email"}, {"instagram"}),
    "contacts.update": ({"name"},),
    "contacts.update_by_phone": ({"name"},),
    "contacts.update_tags": ({"tag_ids"}, {"tag_names"}),
    "contacts.update_tags_by_phone": ({"tag_ids"}, {"tag_names"}),
    "panels.create_card_note": ({"text"}, {"file_urls"}),
    "panels.update_card": ({"title"},),
    "sessions.update": ({"number"},),
    "scheduled_messages.update": ({"to"},),
    "scheduled_messages.create": ({"template_id"}, {"bot_key"}),
    "departments.update": ({"name"},),
    "agents.update": ({"name"},),
    "webhooks.update": ({"name"},),
}
# Never both.
NOT_BOTH = [
    {"text", "template_id"}, {"file_url", "file_id"}, {"tag_ids", "tag_names"}, {"portfolio_ids", "portfolio_names"},
    {"upsert", "get_if_exists"}, {"archived", "status"},
    *({"clear", name} for name in ("tag_ids", "tag_names", "portfolio_ids", "portfolio_names")),
]  # fmt: skip
NOT_BOTH_IN = {
    **{name: [{"contact_id", "phone_number"}] for name in ANY_OF if ANY_OF[name] is ONE_CONTACT},
    "panels.update_card": [{"clear", "upsert_tag_operation"}, {"archived", "lost_reason_id"}],
    "contacts.update": [{"clear", "tags_operation"}],
    "contacts.update_by_phone": [{"clear", "tags_operation"}],
    "contacts.create": [],
}
# Arguments that are emptied by the name of another.
CLEARED_AS = {
    "department_name": "department_id",
    "file_url": "template_parameters",
    "file_id": "template_parameters",
    "new_phone_number": "phone_number",
}
# An argument that means nothing without others, or not with every value of theirs.
WITH: dict[str, dict[str, S]] = {
    "template_parameters": {"template_id": FREE_IDS},
    "lost_reason_id": {"status": st.just("LOST")},
    "channels": {"channels_scope": st.just("SELECTED")},
    "transfer_user_id": {"session_resolution": st.just("TRANSFER")},
}
WITH_IN: dict[str, dict[str, S]] = {
    "portfolios.list_contacts.order_direction": {"order_by": st.just("CreatedAt")},
    "scheduled_messages.create.message_type": {"template_id": FREE_IDS, "bot_key": IDS},
    "scheduled_messages.create.file_url": {"template_id": FREE_IDS},
    "scheduled_messages.create.file_id": {"template_id": FREE_IDS},
    "agents.delete.session_resolution": {"transfer_user_id": IDS, "session_resolution": st.just("TRANSFER")},
    "sends.send_template.template_parameters": {},
    "scheduled_messages.update.template_parameters": {},
}


def parameters(operation: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(OPERATIONS[operation]).parameters)


def optional(operation: str) -> list[str]:
    return [name for name, given in parameters(operation).items() if given.default is not inspect.Parameter.empty]


@st.composite
def arguments(draw: Callable[[S], Any], operation: str, focus: str | None = None) -> dict[str, Any]:
    """Arguments of one call: those it needs, the one in focus, and some of the others."""
    signature = parameters(operation)
    needed = [name for name in signature if name not in optional(operation)]
    fixed: dict[str, S] = {}

    def partners(name: str) -> dict[str, S]:
        return WITH_IN.get(f"{operation}.{name}", WITH.get(name, {}))

    chosen = [*needed]
    if focus:
        chosen.append(focus)
        fixed |= partners(focus)
        chosen += [name for name in fixed if name not in chosen]
    clashes = [*NOT_BOTH, *NOT_BOTH_IN.get(operation, [])]

    def fits(names: set[str]) -> bool:
        return not any(pair <= {*chosen, *names} for pair in clashes)

    choices = [names for names in ANY_OF.get(operation, ()) if fits(names)]
    if operation in ANY_OF and focus != "clear" and not any(names <= set(chosen) for names in ANY_OF[operation]):
        chosen += sorted(draw(st.sampled_from(choices)))
    emptied: list[str] = []
    if focus == "clear":
        emptied = draw(st.lists(st.sampled_from(clearable(operation)), min_size=1, max_size=3, unique=True))
    for name in optional(operation):
        if (
            name in (*chosen, *emptied, "clear")
            or CLEARED_AS.get(name) in emptied
            or not fits({name})
            or draw(st.integers(0, 3))
        ):
            continue
        extra = {key: value for key, value in partners(name).items() if key not in chosen}
        if any(key in chosen for key in partners(name)) or not fits({name, *extra}):
            continue
        chosen += [name, *extra]
        fixed |= partners(name)
    given = {
        name: draw(fixed[name] if name in fixed else strategy(operation, name, str(signature[name].annotation)))
        for name in chosen
        if name != "clear"
    }
    if emptied:
        given["clear"] = draw(written(emptied))
    return windows_in_order(given)


def clearable(operation: str) -> list[str]:
    """What the docstring says can be emptied."""
    doc = inspect.getdoc(OPERATIONS[operation.replace("_by_phone", "")]) or ""
    said = re.search(r":param clear: (.*?)(?=\n:)", doc, re.DOTALL)
    assert said
    return [name for name in re.findall(r"``(\w+)``", said[1]) if name in parameters(operation)]


def windows_in_order(given: dict[str, Any]) -> dict[str, Any]:
    """Leave the later bound out where two could be in the wrong order."""
    return {
        name: value
        for name, value in given.items()
        if not (name.endswith("_before") and name.replace("_before", "_after") in given)
    }

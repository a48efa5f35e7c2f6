"""What users give, what goes out, and what is refused before anything goes out."""

from __future__ import annotations

import re
import traceback
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import custom_fields
from airflow_provider_wtschat.api.masking import masked, shown
from airflow_provider_wtschat.api.types import ClassificationCategory, SessionStatus
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError

ID = "0b1c2d3e-0000-4000-8000-000000000001"
NOTHING = ["", "  ", "None", "null", "undefined", "NaN", " none\n"]


class Whole:
    """A number of another library: no int, but registered as a number."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Whole({self.text!r})"


def shortly(value: Any) -> str:
    if isinstance(value, set):
        value = sorted(value)
    return re.sub(" at 0x[0-9a-f]+", "", getattr(value, "__name__", repr(value)))[:40]


@pytest.fixture(scope="module", autouse=True)
def _registered():
    from numbers import Integral

    Integral.register(Whole)


TAKEN: list[tuple[Any, Any, Any]] = [
    (convert.text, "Olá", "Olá"),
    (convert.text, "  two  spaces ", "  two  spaces "),
    (convert.text, 7, "7"),
    (convert.text, Decimal("10.50"), "10.50"),
    (convert.text, Whole("7"), "7"),
    (convert.text, UUID(ID), ID),
    (convert.text, "None of them", "None of them"),
    (convert.identifier, " a/b ", "a/b"),
    (convert.uuid, ID.upper(), ID),
    (convert.uuid, f" {ID}\n", ID),
    (convert.uuid, UUID(ID), ID),
    *((convert.boolean, given, True) for given in (True, "True", "true", " TRUE ", "1", 1, "yes", "Yes")),
    *((convert.boolean, given, False) for given in (False, "False", "false", "0", 0, "no", "NO\n")),
    (convert.number, "10.50", 10.5),
    (convert.number, Decimal("10.50"), 10.5),
    (convert.number, Decimal("10"), 10),
    (convert.number, " 7 ", 7),
    (convert.number, "1e3", 1000),
    (convert.number, 0, 0),
    (convert.number, -3, -3),
    (convert.number, 2**63, 2**63),
    (convert.integer, "7", 7),
    (convert.integer, 7.0, 7),
    (convert.integer, "7.0", 7),
    (convert.integer, Whole("7"), 7),
    (convert.listing, ["A", "B"], ["A", "B"]),
    (convert.listing, ("A", "B"), ["A", "B"]),
    (convert.listing, {"B", "A"}, ["A", "B"]),
    (convert.listing, (item for item in "AB"), ["A", "B"]),
    (convert.listing, "['A', 'B']", ["A", "B"]),
    (convert.listing, ' ["A", "B"] \n', ["A", "B"]),
    (convert.listing, "('A', 'B')", ["A", "B"]),
    (convert.listing, "A", ["A"]),
    (convert.listing, "A, B", ["A, B"]),
    (convert.listing, "[VIP] customers", ["[VIP] customers"]),
    (convert.listing, 7, [7]),
    (convert.listing, "[]", []),
    (convert.uuids, [ID, UUID(ID)], [ID, ID]),
    (convert.texts, "['A', 7]", ["A", "7"]),
    (convert.mapping, {"a": 1}, {"a": 1}),
    (convert.mapping, '{"a": null} ', {"a": None}),
    (convert.mapping, "{'a': True}", {"a": True}),
    (convert.mapping, {1: "x"}, {"1": "x"}),
    (convert.json_mapping, {"a": Decimal("1.5"), "b": [UUID(ID)]}, {"a": 1.5, "b": [ID]}),
    (convert.instant, "2026-09-01", "2026-09-01T00:00:00.000000Z"),
    (convert.instant, datetime(2026, 9, 1, 8, tzinfo=timezone(timedelta(hours=-3))), "2026-09-01T11:00:00.000000Z"),
    (convert.seconds, timedelta(minutes=2), 120),
    (convert.seconds, "1.5", 1.5),
    (convert.url, " https://example.com/a?b=c ", "https://example.com/a?b=c"),
    (convert.phone, "(11) 90000-0001", "5511900000001"),
    (convert.file, ID.upper(), ID),
    (convert.file, " https://example.com/a.pdf", "https://example.com/a.pdf"),
    (convert.template_parameters, ["Maria", 7], {"1": "Maria", "2": "7"}),
    (convert.template_parameters, "['Maria']", {"1": "Maria"}),
    (convert.template_parameters, {"nome": "linha 1\nlinha 2\t  fim"}, {"nome": "linha 1 linha 2 fim"}),
    (convert.template_parameters, (item for item in ["a"]), {"1": "a"}),
]


@pytest.mark.parametrize(("converter", "value", "expected"), TAKEN, ids=shortly)
def test_takes(converter, value, expected):
    result = converter("argument", value)
    assert result == expected
    assert type(result) is type(expected) or isinstance(expected, (int, float))


REFUSED: list[tuple[Any, Any]] = [
    *((convert.text, given) for given in [*NOTHING, True, ["a"], {"a": 1}, b"a", float("nan"), object(), date.min]),
    *((convert.identifier, given) for given in [*NOTHING, None, ".", "..", " .. "]),
    *((convert.uuid, given) for given in [*NOTHING, "x", ID[:-1], ID + "0", ID.replace("-", ""), 7, [ID], f"{{{ID}}}"]),
    *((convert.required_uuid, given) for given in [*NOTHING, None]),
    *((convert.boolean, given) for given in [*NOTHING, "2", 2, "ja", "on", [], 1.5]),
    *((convert.number, given) for given in [*NOTHING, "1.234,56", "1_000", "0x10", "inf", True, [1], 1j, date.min]),
    *((convert.integer, given) for given in [*NOTHING, 1.5, "1.5", Decimal("1.5"), False]),
    *((convert.listing, given) for given in [*NOTHING, {"a": 1}, "{'a': 1}"]),
    *((convert.uuids, given) for given in [*NOTHING, [ID, None], [ID, ""], "[None]", b"a"]),
    *((convert.texts, given) for given in [[""], ["a", None], ["None"], [["a"]]]),
    *((convert.mapping, given) for given in [*NOTHING, "a", "[1]", ["a"], 7, "{'a'}"]),
    *((convert.json_mapping, given) for given in [{"a": object()}, {"a": float("nan")}, {"a": {"b": b""}}]),
    *(
        (convert.instant, given)
        for given in [*NOTHING, "yesterday", "2026-13-01", "01/09/2026", 7, True, ["2026-09-01"]]
    ),
    *((convert.seconds, given) for given in [-1, "-1", timedelta(seconds=-1), "soon"]),
    *(
        (convert.url, given)
        for given in [*NOTHING, "example.com/a", "ftp://example.com/a", "https://", "file:///etc/x"]
    ),
    *((convert.file, given) for given in [*NOTHING, "a.pdf", "/tmp/a.pdf", 7]),
    *((convert.phone, given) for given in [*NOTHING, "x", "@maria", ID, 7]),
    *((convert.address, given) for given in [*NOTHING, "maria", "@maria", ID]),
    *((convert.template_parameters, given) for given in [*NOTHING, "Maria", [""], [None], {"1": None}, {"1": " "}, 7]),
]


@pytest.mark.parametrize(("converter", "value"), REFUSED, ids=shortly)
def test_refuses_and_names_the_argument(converter, value):
    with pytest.raises(WtsChatArgumentError, match=r"^argument(\[|:)") as caught:
        converter("argument", value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, WtsChatError)


@pytest.mark.parametrize(
    "converter",
    [convert.text, convert.uuid, convert.boolean, convert.number, convert.integer, convert.listing, convert.uuids,
     convert.texts, convert.mapping, convert.json_mapping, convert.instant, convert.seconds, convert.url,
     convert.phone, convert.address, convert.file, convert.template_parameters],
)  # fmt: skip
def test_none_means_not_given(converter):
    assert converter("argument", None) is None


@pytest.mark.parametrize("value", ["PENDING", "pending", " Pending ", SessionStatus.PENDING])
def test_choice_takes_any_case(value):
    assert convert.choice("status", value, SessionStatus) == "PENDING"


@pytest.mark.parametrize("value", ["CLOSED", "UNDEFINED", "", "None", 7, True, ["PENDING"]])
def test_choice_shows_what_is_allowed_and_leaves_out_what_is_never_valid(value):
    with pytest.raises(WtsChatArgumentError) as caught:
        convert.choice("status", value, SessionStatus, never=(SessionStatus.UNDEFINED,))
    assert "STARTED, PENDING, IN_PROGRESS, COMPLETED, HIDDEN" in str(caught.value)
    assert "UNDEFINED, " not in str(caught.value)


def test_a_choice_shows_what_was_given():
    with pytest.raises(WtsChatArgumentError, match=r"^status: 'In Progress' was given; one of "):
        convert.choice("status", "In Progress", SessionStatus)
    with pytest.raises(WtsChatArgumentError, match=r"^name: a text of 11 characters"):
        convert.uuid("name", "Maria Silva")


@pytest.mark.parametrize("name", ["Nan", "Null", "Nat", " Nan "])
def test_people_may_be_called_like_nothing(name):
    assert convert.text("name", name) == name


@pytest.mark.parametrize("half", ["Olá \ud83d", "\ude00!"])
@pytest.mark.parametrize(
    "converter", [convert.text, lambda n, v: convert.json_mapping(n, {"a": [v]}), convert.template_parameters]
)
def test_half_an_emoji_is_refused(converter, half):
    given = [half] if converter is convert.template_parameters else half
    with pytest.raises(WtsChatArgumentError, match=r"^argument.*: .*within a character") as refusal:
        converter("argument", given)
    str(refusal.value).encode()


@pytest.mark.parametrize("address", ["maria@example.com", " a.b+c@mail.example.com.br "])
def test_email_addresses(address):
    assert convert.email("email", address) == address.strip()


@pytest.mark.parametrize("address", ["maria", "maria@", "@example.com", "maria@example", "a b@example.com", "a@b..com"])
def test_what_is_no_email_address(address):
    with pytest.raises(WtsChatArgumentError, match=r"^email: .*an e-mail address such as"):
        convert.email("email", address)


def test_choices_name_the_item():
    with pytest.raises(WtsChatArgumentError, match=r"^category\[1\]: 'X' was given; one of UNDEFINED, WON"):
        convert.choices("category", ["WON", "X"], ClassificationCategory)


@pytest.mark.parametrize(("minimum", "maximum", "value"), [(0, None, -1), (None, 25, 26), (0, 25, "26")])
def test_numbers_keep_their_bounds(minimum, maximum, value):
    with pytest.raises(WtsChatArgumentError, match="a number"):
        convert.integer("argument", value, minimum=minimum, maximum=maximum)


def test_text_keeps_its_length_and_does_not_show_what_it_says():
    assert convert.text("name", "x" * 5, max_length=5) == "xxxxx"
    with pytest.raises(WtsChatArgumentError, match="name: 6 characters were given; at most 5") as caught:
        convert.text("name", "secret", max_length=5)
    assert "secret" not in str(caught.value)


@given(st.text(max_size=3000))
@example("x" * 1025)
def test_template_parameters_are_one_line_of_what_whatsapp_takes(value):
    flat = convert.one_line(value)
    assert len(flat) <= 1024
    assert not re.search(r"[\r\n\t]|  ", flat)
    assert convert.one_line(flat) == flat


# ------------------------------------------------------------------------------------------- query, windows, batches


def test_query_repeats_lists_and_brackets_mappings():
    assert convert.query(
        Status=["PENDING", "STARTED"], Archived=False, Name=None, CreatedAt__After="x", Metadata={"a b": "1"}
    ) == (
        ("Status", "PENDING"),
        ("Status", "STARTED"),
        ("Archived", "false"),
        ("CreatedAt.After", "x"),
        ("Metadata[a b]", "1"),
    )


@pytest.mark.parametrize("empty", [[], {}])
def test_an_empty_filter_would_answer_the_whole_account(empty):
    with pytest.raises(WtsChatArgumentError, match=r"^tag_ids: an empty filter"):
        convert.some("tag_ids", empty)
    assert convert.some("tag_ids", None) is None
    assert convert.query(IncludeDetails=[], includeDetails=[]) == ()


@pytest.mark.parametrize(
    ("after", "before", "zone"),
    [
        ("2026-09-02", "2026-09-01", "UTC"),
        (datetime(2026, 9, 1, 0, 0, 0, 1), "2026-09-01", "UTC"),
        ("2026-09-01T00:00:00Z", "2026-09-01T00:00:00+03:00", "UTC"),
        ("2026-09-01T02:00:00Z", "2026-08-31 22:00", "America/Sao_Paulo"),
    ],
)
def test_a_window_that_ends_before_it_begins_is_refused(after, before, zone):
    with pytest.raises(WtsChatArgumentError, match=r"created_after: .* is later than created_before"):
        convert.window("CreatedAt", after, before, zone, argument="created")


def test_a_window_may_be_an_instant_or_open():
    one = convert.window("EndAt", "2026-09-01", date(2026, 9, 1), argument="ended")
    assert one["EndAt__After"] == one["EndAt__Before"] == "2026-09-01T00:00:00.000000Z"
    assert convert.window("EndAt", None, None, argument="ended") == {"EndAt__After": None, "EndAt__Before": None}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"to": 1}], [{"to": 1}]),
        ({"to": 1}, [{"to": 1}]),
        ('[{"to": "1"}]', [{"to": "1"}]),
        ("[{'to': None}]", [{"to": None}]),
        ("{'to': 1}", [{"to": 1}]),
        (({"to": n} for n in range(100)), [{"to": n} for n in range(100)]),
    ],
)
def test_batch_takes(value, expected):
    assert convert.batch("messages", value, ("to",)) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "messages: is required"),
        ([], "messages: 0 items were given; one request takes 1 to 100"),
        ([{"to": 1}] * 101, "messages: 101 items were given; one request takes 1 to 100"),
        ([{"to": 1}, {"telefone": 1}], r"messages\[1\]: 'telefone' was given; an item has any of to, file"),
        ([{"to": 1}, None], r"messages\[1\]: is required"),
        (["5511900000001"], r"messages\[0\]: 9999999999999 was given; a mapping"),
        ("None", "messages: "),
    ],
)
def test_batch_refuses(value, words):
    with pytest.raises(WtsChatArgumentError, match=f"^{words}"):
        convert.batch("messages", value, ("to", "file"))


@pytest.mark.parametrize("kind", ["FLOAT", "DATE", "TIME"])
def test_a_refused_text_is_not_in_the_traceback_either(kind: str):
    said = " ".join(["Maria is", "ill"])
    with pytest.raises(WtsChatArgumentError) as refused:
        custom_fields.encode([{"key": "k", "type": kind}], {"k": said})
    assert said not in "".join(traceback.format_exception(refused.value))


# ----------------------------------------------------------------------------------------------------- field masks

CLEARABLE = {"department_id": "departmentId", "parameters": "templateParams"}


def test_changes_name_what_is_set_and_what_is_emptied():
    assert convert.changes({"botKey": "x"}, ["department_id"], CLEARABLE, masks={"botKey": "BotId"}) == {
        "botKey": "x",
        "departmentId": None,
        "fields": ["BotId", "DepartmentId"],
    }


def test_what_may_not_be_null_is_named_and_left_out():
    assert convert.changes({}, "parameters", CLEARABLE, left_out=("templateParams",)) == {"fields": ["TemplateParams"]}


@pytest.mark.parametrize(
    ("values", "clear", "words"),
    [
        ({}, None, "nothing to update"),
        ({}, [], "nothing to update"),
        ({"departmentId": "x"}, "['department_id']", "department_id: is both set and named in clear"),
        ({}, "departmentId", "clear: 'departmentId' was given; any of department_id, parameters are wanted"),
    ],
)
def test_changes_refuse(values, clear, words):
    with pytest.raises(WtsChatArgumentError, match=words):
        convert.changes(values, clear, CLEARABLE)


# --------------------------------------------------------------------------------------------------------- privacy

PERSONAL = ["+55 11 90000-0001", "5511900000001", "+55|11900000001", "(11) 90000-0001", 5511900000001]


@pytest.mark.parametrize("value", [*PERSONAL, "Olá Maria, seu pedido chegou", ["Maria da Silva"], {"nome": "Maria"}])
@pytest.mark.parametrize(
    "converter",
    [convert.uuid, convert.boolean, convert.uuids, convert.mapping, convert.url, convert.instant, convert.file],
)
def test_errors_show_no_phone_number_and_no_text(converter, value):
    if isinstance(value, dict) and converter is convert.mapping:
        pytest.skip("a mapping is what it takes")
    with pytest.raises(WtsChatArgumentError) as caught:
        converter("argument", value)
    assert "Maria" not in str(caught.value)
    assert not re.search(
        r"[1-8]0000|119", str(caught.value).replace("such as '0b1c2d3e-0000-4000-8000-000000000001'", "")
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("PENDNG", "'PENDNG'"),
        ("", "''"),
        (" None ", "' None '"),
        ("2026-13-01 08:30", "'2026-13-01 08:30'"),
        ("31/12/2026", "'31/12/2026'"),
        ("2006/03/01", "'2006/03/01'"),
        ("1.9.2026 08:30", "'1.9.2026 08:30'"),
        ("11 91234-5678", "a text of 13 characters"),
        ("11-91234-5678", "'99-99999-9999'"),
        ("0b1c2d3e-0000-4000-8000-000000000001", "'0b1c2d3e-0000-4000-8000-000000000001'"),
        ("00000000-0000-4000-8000-000000000041", "'00000000-0000-4000-8000-000000000041'"),
        (7, "7"),
        (5511900000001, "9999999999999"),
        (["a", "b"], "a list of 2 items"),
        (object, "a value of type type"),
        ("two words", "a text of 9 characters"),
        ("x" * 61, "a text of 61 characters"),
    ],
)
def test_shown(value, expected):
    assert shown(value) == expected


def test_masked_keeps_ids_and_dates():
    kept = "em 2026-09-01T08:30:00Z, até 31/12/2026 23:59, 00000000-0000-4000-8000-000000000041, 20 de 100"
    assert masked(f"Canal (+55|1190000000) {kept}") == f"Canal (+99|9999999999) {kept}"


class NotATime(datetime):
    """What pandas has for a missing instant: a datetime that equals nothing."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other):
        return False


class NotAvailable:
    """What pandas has for a missing value: neither true nor false."""

    def __bool__(self):
        raise TypeError


@pytest.mark.parametrize("missing", [NotATime(2026, 9, 1), NotAvailable(), float("nan"), Decimal("NaN")])
@pytest.mark.parametrize(
    "converter", [convert.instant, convert.text, convert.uuid, convert.number, convert.boolean, convert.phone]
)
def test_missing_values_of_tables_are_refused(converter, missing):
    with pytest.raises(WtsChatArgumentError):
        converter("at", missing)


@pytest.mark.parametrize(
    ("value", "allowed", "expected"),
    [
        ("@maria_1", {"users": True}, "@maria_1"),
        (" @empresa.x ", {"users": True, "ids": True}, "@empresa.x"),
        (ID.upper(), {"ids": True}, ID),
        ("+55|1190000000", {"ids": True, "users": True}, "551190000000"),
    ],
)
def test_addresses(value, allowed, expected):
    assert convert.address("to", value, **allowed) == expected

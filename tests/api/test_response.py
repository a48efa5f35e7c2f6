"""What an answer means, case by case, for a reading, a change and a send."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from airflow_provider_wtschat.api import contacts, scheduled_messages, sends, sessions
from airflow_provider_wtschat.api.response import judge, retry_after, server_time, uncertain
from airflow_provider_wtschat.exceptions import (
    WtsChatAuthenticationError,
    WtsChatError,
    WtsChatNotFoundError,
    WtsChatRateLimitError,
    WtsChatRefusedError,
    WtsChatServerError,
    WtsChatUncertainError,
)

ID = "0b1c2d3e-0000-4000-8000-000000000001"
READ = sessions.get(ID)
CHANGE = sessions.conclude(ID)
SEND = sends.send_text(to="11900000001", text="Olá Maria")
CANCEL = scheduled_messages.cancel(ID)
SAMPLES = Path(__file__).parent / "samples"


def envelope(key: str | None = None, text: str | None = None, **more: Any) -> bytes:
    return json.dumps(
        {
            "id": {"value": ID, "shortValue": "0b1c2d3e"},
            "httpStatusCode": "INTERNALSERVERERROR",
            "error": True,
            "date": "2026-09-09T11:48:23.38Z",
            "key": key,
            "text": text,
            "isUnsolvableError": False,
            **more,
        }
    ).encode()


PROBLEM = (SAMPLES / "error_400_problem_details_shape.json").read_bytes()
UNAUTHORIZED = (SAMPLES / "error_401_unauthorized.json").read_bytes()
NOT_ENABLED = (SAMPLES / "error_app_not_enabled.json").read_bytes()
HTML = b"<html><body>Bad Gateway</body></html>"

CASES: dict[str, tuple[int, bytes, type[WtsChatError], type[WtsChatError], bool]] = {
    # name: status, body, what a reading raises, what a send raises, whether it may work later
    "wrong token": (401, UNAUTHORIZED, WtsChatAuthenticationError, WtsChatAuthenticationError, False),
    "wrong token without a body": (401, b"", WtsChatAuthenticationError, WtsChatAuthenticationError, False),
    "wrong token said with 200": (200, UNAUTHORIZED, WtsChatAuthenticationError, WtsChatAuthenticationError, False),
    "wrong token said with 500": (500, UNAUTHORIZED, WtsChatAuthenticationError, WtsChatAuthenticationError, False),
    "forbidden": (403, envelope(), WtsChatRefusedError, WtsChatRefusedError, False),
    "validation": (400, PROBLEM, WtsChatRefusedError, WtsChatRefusedError, False),
    "no service prefix": (400, envelope("badrequest"), WtsChatRefusedError, WtsChatRefusedError, False),
    "400 without JSON": (400, HTML, WtsChatRefusedError, WtsChatRefusedError, False),
    "unknown id": (404, envelope("ENTITY_NOT_FOUND"), WtsChatNotFoundError, WtsChatNotFoundError, False),
    "404 without JSON": (404, HTML, WtsChatNotFoundError, WtsChatNotFoundError, False),
    "unknown phone": (
        500, envelope("FORM_ERROR", "Contato não encontrado"), WtsChatNotFoundError, WtsChatNotFoundError, False,
    ),
    "unknown channel": (
        500, envelope("ENTITY_NOT_FOUND", "Canal de comunicação não encontrado (+55|1190000000)"),
        WtsChatNotFoundError, WtsChatNotFoundError, False,
    ),
    "add-on not enabled": (500, NOT_ENABLED, WtsChatRefusedError, WtsChatRefusedError, False),
    "not in this state": (500, envelope("ENTITY_ERROR_SAVE"), WtsChatRefusedError, WtsChatRefusedError, False),
    "form error": (500, envelope("FORM_ERROR", "Texto obrigatório"), WtsChatRefusedError, WtsChatRefusedError, False),
    "business error said with 200": (
        200, envelope("ENTITY_ERROR_SAVE", "x"), WtsChatRefusedError, WtsChatRefusedError, False,
    ),
    "keyless error said with 200": (200, envelope(), WtsChatServerError, WtsChatUncertainError, True),
    "key that nobody has seen": (500, envelope("CACHE_MISS"), WtsChatServerError, WtsChatRefusedError, True),
    "such a key said with 200": (200, envelope("CACHE_MISS"), WtsChatServerError, WtsChatRefusedError, True),
    "key that is no text": (500, envelope({"a": 1}), WtsChatServerError, WtsChatRefusedError, True),
    "limit": (429, b"", WtsChatRateLimitError, WtsChatRateLimitError, True),
    "limit in HTML": (429, HTML, WtsChatRateLimitError, WtsChatRateLimitError, True),
    "limit with an envelope": (429, envelope("TOO_MANY"), WtsChatRateLimitError, WtsChatRateLimitError, True),
    "keyless 500": (500, envelope(), WtsChatServerError, WtsChatUncertainError, True),
    "500 without a body": (500, b"", WtsChatServerError, WtsChatUncertainError, True),
    "502 of a proxy": (502, HTML, WtsChatServerError, WtsChatUncertainError, True),
    "503": (503, b"", WtsChatServerError, WtsChatUncertainError, True),
    "503 with a key": (503, envelope("SERVICE_UNAVAILABLE"), WtsChatServerError, WtsChatUncertainError, True),
    "408": (408, b"", WtsChatServerError, WtsChatUncertainError, True),
    "504": (504, b"upstream timed out", WtsChatServerError, WtsChatUncertainError, True),
    "200 of a proxy": (200, HTML, WtsChatServerError, WtsChatUncertainError, True),
    "truncated": (200, b'{"id": "0b1c', WtsChatServerError, WtsChatUncertainError, True),
    "too deep": (200, b"[" * 100_000, WtsChatServerError, WtsChatUncertainError, True),
    "bytes that are no text": (200, b'{"id": "\xff"}', WtsChatServerError, WtsChatUncertainError, True),
    "empty": (200, b"", WtsChatServerError, WtsChatUncertainError, True),
    "blank": (200, b" \n", WtsChatServerError, WtsChatUncertainError, True),
    "null": (200, b"null", WtsChatServerError, WtsChatUncertainError, True),
    "redirect": (302, b"", WtsChatServerError, WtsChatUncertainError, False),
    "permanent redirect": (308, HTML, WtsChatServerError, WtsChatUncertainError, False),
}  # fmt: skip
# Of these a reading alone makes a fault.
NOTHING = ("empty", "blank", "null")


@pytest.mark.parametrize(("status", "content", "expected", "_sent", "later"), CASES.values(), ids=CASES)
def test_a_reading(status, content, expected, _sent, later):
    with pytest.raises(WtsChatError) as caught:
        judge(READ, status, {}, content)
    assert type(caught.value) is expected
    assert caught.value.retryable is later
    assert caught.value.status == status
    assert (caught.value.method, caught.value.path) == ("GET", f"/chat/v2/session/{ID}")
    assert str(caught.value).startswith(f"GET /chat/v2/session/{ID}: ")


@pytest.mark.parametrize(("status", "content", "_read", "expected", "_later"), CASES.values(), ids=CASES)
def test_a_send_of_which_nobody_knows_is_uncertain(status, content, _read, expected, _later):
    with pytest.raises(WtsChatError) as caught:
        judge(SEND, status, {}, content)
    assert type(caught.value) is expected
    assert caught.value.status == status
    if expected is WtsChatUncertainError:
        assert isinstance(caught.value, AirflowFailException)
        assert not caught.value.retryable
        assert isinstance(caught.value.__cause__, WtsChatServerError)
    assert "Maria" not in str(caught.value)
    assert "1190000" not in str(caught.value)


@pytest.mark.parametrize("change", [CHANGE, CANCEL], ids=repr)
@pytest.mark.parametrize("case", [name for name in CASES if name not in NOTHING])
def test_a_change_that_may_be_repeated_fails_but_never_uncertainly(change, case):
    status, content, read, sent, later = CASES[case]
    expected = read if sent is WtsChatUncertainError else sent
    with pytest.raises(WtsChatError) as caught:
        judge(change, status, {}, content)
    assert type(caught.value) is expected
    assert caught.value.retryable is (later and expected is read)


@pytest.mark.parametrize("content", [b"", b" ", b"null"])
def test_a_change_may_answer_with_nothing(content):
    assert judge(CHANGE, 200, {}, content) is None
    assert judge(CANCEL, 204, {}, content) is None
    assert judge(sends.send_typing(ID), 200, {}, content) is None


@pytest.mark.parametrize("one", [READ, CHANGE, SEND, CANCEL], ids=repr)
@pytest.mark.parametrize("answer", [{"id": ID, "new_field": {"a": None}}, {"id": ID, "error": False}])
def test_answers_stay_what_the_api_sent(one, answer):
    assert judge(one, 200, {}, json.dumps(answer).encode()) == answer
    assert judge(one, 201, {}, json.dumps(answer).encode()) == answer


def test_a_list_is_an_answer():
    assert judge(READ, 200, {}, b"[]") == []


# ------------------------------------------------------------------------------------------------ what errors carry


def test_the_facts_of_an_error():
    with pytest.raises(WtsChatNotFoundError) as caught:
        judge(READ, 500, {}, envelope("ENTITY_NOT_FOUND", "Canal não encontrado (+55|1190000000)"))
    error = caught.value
    assert (error.key, error.short_id, error.status) == ("ENTITY_NOT_FOUND", "0b1c2d3e", 500)
    assert error.text == "Canal não encontrado (+55|1190000000)"
    assert "key ENTITY_NOT_FOUND, error id 0b1c2d3e" in str(error)
    assert "(+99|9999999999)" in str(error)


def test_validation_errors_say_which_field():
    with pytest.raises(WtsChatRefusedError, match="PanelId") as caught:
        judge(READ, 400, {}, PROBLEM)
    assert "The value is not valid." in caught.value.text


def test_long_words_are_cut():
    with pytest.raises(WtsChatRefusedError) as caught:
        judge(READ, 400, {}, envelope("X", "x" * 10_000, errors={"A": ["y" * 10_000]}))
    assert len(str(caught.value)) < 1500


def test_wrong_token_says_what_it_may_be():
    with pytest.raises(WtsChatAuthenticationError, match="wrong, revoked, was unused for 15 days, or lacks"):
        judge(READ, 401, {}, UNAUTHORIZED)


def test_uncertain_says_what_to_do():
    error = uncertain(SEND, "the connection was lost")
    assert "nobody knows whether WTS Chat acted on it (the connection was lost)" in str(error)
    assert "Look in WTS Chat" in str(error)


# --------------------------------------------------------------------------------------------------------- headers

NOW = datetime(2026, 9, 1, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30), ("0", 0), (" 2.5 ", 2.5), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0), ("", None), ("soon", None), ("-5", None),
        ("1e9", None),
    ],
)  # fmt: skip
def test_retry_after(value, seconds):
    headers = CaseInsensitiveDict({"retry-after": value, "date": format_datetime(NOW, usegmt=True)})
    assert retry_after(headers) == seconds
    with pytest.raises(WtsChatRateLimitError) as caught:
        judge(READ, 429, headers, b"")
    assert caught.value.retry_after == seconds


def test_retry_after_is_often_not_there():
    assert retry_after({}) is None


@pytest.mark.parametrize(
    ("value", "expected"), [(format_datetime(NOW, usegmt=True), NOW), ("soon", None), (None, None)]
)
def test_server_time(value, expected):
    assert server_time({} if value is None else {"Date": value}) == expected


def test_half_an_emoji_in_an_answer_can_be_stored():
    content = b'{"name": "Ol\\u00e1 \\ud83d", "whole": "\\ud83d\\ude00", "\\ude00": ["\\\\ud83d"]}'
    answer = judge(READ, 200, CaseInsensitiveDict(), content)
    assert answer == {"name": "Olá \ufffd", "whole": "\U0001f600", "\ufffd": ["\\ud83d"]}
    json.dumps(answer, ensure_ascii=False).encode()


PIECES = [
    b"\\ud83d",
    b"\\uD83D",
    b"\\ude00",
    b"\\u00e1",
    b"\\\\",
    b"u",
    b"ud83d",
    b"\\n",
    b"a",
    "á😀".encode(),
    b"\xed\xa0\xbd",
    b"\xed\x9f\xbf",
]


@given(st.lists(st.sampled_from(PIECES), max_size=6))
def test_every_half_of_a_pair_is_found(pieces):
    content = b'["' + b"".join(pieces) + b'"]'
    (text,) = json.loads(content)
    assert judge(READ, 200, CaseInsensitiveDict(), content) == [re.sub("[\ud800-\udfff]", "\ufffd", text)]


@pytest.mark.parametrize("request_", [contacts.list_().page(), contacts.filter(tag_ids=[ID]).page()])
def test_nothing_is_no_page_of_a_list(request_):
    assert request_.safe_to_repeat
    with pytest.raises(WtsChatServerError, match="empty body") as raised:
        judge(request_, 200, CaseInsensitiveDict(), b"")
    assert raised.value.retryable

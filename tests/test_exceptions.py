"""What errors say as values."""

from __future__ import annotations

import logging
import traceback
from email.message import Message

import pytest

from airflow_provider_wtschat import exceptions
from airflow_provider_wtschat.api import contacts, sends
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatFailedError, WtsChatNotFoundError
from airflow_provider_wtschat.operators.base import failing_for_good


@pytest.mark.parametrize(
    ("argument", "names", "position"),
    [
        ("to", ("to",), ()),
        ("to, session_id", ("to", "session_id"), ()),
        ("messages[1]", ("messages",), (1,)),
        ("messages[1]['to']", ("messages",), (1, "to")),
        ("messages[1]['to'], messages[1]['session_id']", ("messages",), (1,)),
        ("custom_fields['a, b'][0]", ("custom_fields",), ("a, b", 0)),
        ("departments[12]['user_id']", ("departments",), (12, "user_id")),
    ],
)
def test_names_and_position(argument: str, names: tuple[str, ...], position: tuple[int | str, ...]):
    error = WtsChatArgumentError(argument, "is wrong")
    assert (error.names, error.position) == (names, position)
    assert str(error) == f"{argument}: is wrong"
    renamed = error.renamed(*error.names)
    assert (renamed.names, renamed.position, renamed.reason) == (names, position, "is wrong")


def test_a_refused_item_says_where_it_is():
    good = {"to": "11 90000-0001"}
    with pytest.raises(WtsChatArgumentError) as caught:
        sends.send_template_batch("x", from_channel="11 3000-0001", messages=[good, {"to": "90000-0001"}])
    assert (caught.value.names, caught.value.position) == (("messages",), (1, "to"))
    with pytest.raises(WtsChatArgumentError) as caught:
        contacts.batch_save([{"name": "Eva"}, {"name": "Ana", "email": "ana"}])
    assert (caught.value.names, caught.value.position) == (("contacts",), (1, "email"))


def test_a_reason_is_needed():
    with pytest.raises(TypeError, match="reason"):
        WtsChatArgumentError("to: is wrong")  # type: ignore[call-arg]


@pytest.fixture
def documented_at(monkeypatch: pytest.MonkeyPatch):
    """Give the package's metadata an address of the documentation."""

    def install(url: str) -> None:
        found = Message()
        found["Project-URL"] = "Homepage, https://chat.test, and more"
        found["Project-URL"] = f"Documentation, {url}"
        monkeypatch.setattr(exceptions, "metadata", lambda name: found)
        exceptions._page_of_errors.cache_clear()

    yield install
    exceptions._page_of_errors.cache_clear()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://github.test/chat/blob/main/docs/index.md", "https://github.test/chat/blob/main/docs/errors.md"),
        ("https://docs.test/docs/index.html", "https://docs.test/docs/errors.html"),
        ("https://github.com/example/airflow-provider-wtschat/blob/main/docs/index.md", None),
    ],
)
def test_an_error_says_where_to_read_about_it(documented_at, url, shown):
    documented_at(url)
    error = WtsChatNotFoundError("PUT /x: not found")
    assert error.help_url == (shown and f"{shown}#wtschatnotfounderror")
    assert str(error) == "PUT /x: not found"
    lines = "".join(traceback.format_exception(error)).splitlines()
    assert lines[1:] == ([f"What it means, and what to do: {error.help_url}"] if shown else [])


@pytest.mark.parametrize("url", ["https://docs.test/index.html", "https://github.com/example/x/docs/index.md"])
def test_a_task_logs_where_to_read_about_its_error(documented_at, url, caplog):
    documented_at(url)
    with caplog.at_level(logging.ERROR), pytest.raises(WtsChatFailedError), failing_for_good():
        raise WtsChatNotFoundError("PUT /x: not found")
    told = ["What it means, and what to do: https://docs.test/errors.html#wtschatnotfounderror"]
    assert [record.getMessage() for record in caplog.records] == (told if "docs.test" in url else [])

"""What errors say as values."""

from __future__ import annotations

import pytest

from airflow_provider_wtschat.api import contacts, sends
from airflow_provider_wtschat.exceptions import WtsChatArgumentError


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

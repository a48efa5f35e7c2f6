"""Which option an answer means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.waiting.answers import Options

OPTIONS = Options(
    ["Sim, confirmo", "Não", "Falar com alguém"], {"Sim, confirmo": ["sim", "claro!"], "Não": "nao quero"}
)


@pytest.mark.parametrize(
    ("answer", "option"),
    [
        ("Sim, confirmo", "Sim, confirmo"),
        ("  SIM CONFIRMO!! ", "Sim, confirmo"),
        ("sim", "Sim, confirmo"),
        ("Claro", "Sim, confirmo"),
        ("1", "Sim, confirmo"),
        ("1.", "Sim, confirmo"),
        ("1\ufe0f\u20e3", "Sim, confirmo"),  # the key cap of a phone's keyboard
        ("nao", "Não"),
        ("NÃO", "Não"),
        ("Na\u0303o", "Não"),
        ("Não quero", "Não"),
        ("2)", "Não"),
        ("falar com alguem", "Falar com alguém"),
        ("3", "Falar com alguém"),
        # Not all of it is an option, or it says something else.
        ("não sim", None),
        ("sim, mas não hoje", None),
        ("4", None),
        ("12", None),
        ("0", None),
        ("", None),
        (None, None),
        ("👍", None),
        ("talvez", None),
    ],
)
def test_what_an_answer_means(answer: str | None, option: str | None) -> None:
    assert OPTIONS.meant_by(answer) == option


def test_where_options_are_numbers_the_place_is_no_answer() -> None:
    options = Options(["2", "1"])
    assert options.meant_by("1") == "1"
    assert options.meant_by("2") == "2"
    assert options.listed() == "2\n1"
    assert OPTIONS.listed() == "1. Sim, confirmo\n2. Não\n3. Falar com alguém"


@pytest.mark.parametrize(
    ("options", "synonyms", "argument"),
    [
        ([], None, "options"),
        (["Sim", "sim!"], None, "options"),
        (["Sim", "..."], None, "options"),
        (["Sim", "Não"], {"Talvez": ["quem sabe"]}, "synonyms"),
        (["Sim", "Não"], {"Sim": ["nao"]}, "synonyms"),
        (["Sim", "Não"], {"Sim": ["2"]}, "synonyms"),
    ],
)
def test_what_is_not_clear_by_itself_is_refused(options: Any, synonyms: Any, argument: str) -> None:
    with pytest.raises(WtsChatArgumentError) as raised:
        Options(options, synonyms)
    assert raised.value.argument == argument


@given(st.text(max_size=30))
def test_every_option_means_itself_and_nothing_fails(text: str) -> None:
    OPTIONS.meant_by(text)
    try:
        options = Options([text])
    except WtsChatArgumentError:
        return
    assert options.meant_by(text) == options.options[0]

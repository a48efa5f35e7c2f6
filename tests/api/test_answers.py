"""Answers that the API has given, or is said to give, against the types that describe them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from airflow_provider_wtschat.api import instants, types
from airflow_provider_wtschat.api.operations import OPERATIONS
from airflow_provider_wtschat.api.request import Page

SAMPLES = Path(__file__).parent / "samples"


def result_of(name: str) -> Any:
    """The type in the signature of an operation's function."""
    (result,) = get_args(get_type_hints(OPERATIONS[name], include_extras=True)["return"])
    return result


ROW, WHOLE = "row", "whole"
ANSWERS = {
    "agents": ("agents.list", WHOLE),
    "card_v2_with_custom_fields": ("panels.list_cards", ROW),
    "channels": ("channels.list", WHOLE),
    "contact_rest_excerpt": ("contacts.list", ROW),
    "departments_v2": ("departments.list", WHOLE),
    "file_upload_v2_step1": ("files.get_upload_url", WHOLE),
    "message_raw_minimum": ("sessions.list_messages", ROW),
    "panel_custom_fields": ("panels.list_custom_fields", WHOLE),
    "panel_v1_by_id_steps_tags": ("panels.get", WHOLE),
    "send_response": ("sends.send_text", WHOLE),
    "sequence_item": ("sequences.list", ROW),
    "session_v2_page": ("sessions.list", "page"),
    "tag_list": ("tags.list", WHOLE),
    "template_item": ("templates.list", ROW),
    "webhook_events": ("webhooks.list_events", WHOLE),
    "webhook_subscription": ("webhooks.get", WHOLE),
}
DEVIATIONS = {"template_item": {"type"}}
"""Where an answer and the contract disagree: the type of a template is one text, or a list of texts."""


@pytest.mark.parametrize("sample", ANSWERS)
def test_types_know_the_answers(sample):
    operation, form = ANSWERS[sample]
    answer = json.loads((SAMPLES / f"{sample}.json").read_text())
    result = result_of(operation)
    if form == "page":
        assert set(answer) <= set(get_type_hints(Page))
        assert answer["items"]
        found = {problem for row in answer["items"] for problem in problems(row, result)}
    else:
        found = set(problems(answer, result))
    assert found == DEVIATIONS.get(sample, set())


def test_the_envelope_of_a_page():
    answer = json.loads((SAMPLES / "page_envelope_documented.json").read_text())
    assert set(answer) <= set(get_type_hints(Page))


def test_every_sample_is_used():
    used = {*ANSWERS, "page_envelope_documented", "error_400_problem_details_shape", "error_401_unauthorized",
            "error_app_not_enabled", "webhook_contact_update_documented"}  # fmt: skip
    assert {path.stem for path in SAMPLES.glob("*.json")} == used


def problems(value: Any, annotation: Any, at: str = "") -> list[str]:
    """Fields that a type does not know, and values that are not of their type; null may stand for anything."""
    if value is None:
        return []
    if get_origin(annotation) is Union or isinstance(annotation, type(int | None)):
        (annotation,) = [item for item in get_args(annotation) if item is not type(None)]
    if is_typeddict(annotation):
        if not isinstance(value, dict):
            return [at]
        hints = get_type_hints(annotation, include_extras=True)
        return [
            problem
            for name, inner in value.items()
            for problem in (
                problems(inner, hints[name], f"{at}.{name}".strip("."))
                if name in hints
                else [f"{at}.{name}".strip(".")]
            )
        ]
    if get_origin(annotation) is list:
        if not isinstance(value, list):
            return [at]
        return [problem for item in value for problem in problems(item, get_args(annotation)[0], f"{at}[]")]
    if get_origin(annotation) is dict:
        return [] if isinstance(value, dict) else [at]
    if annotation is types.Instant:
        instants.read(value)
        return []
    if annotation is Any:
        return []
    plain = {types.Uuid: str, float: (int, float)}.get(annotation, annotation)
    return [] if isinstance(value, plain) else [at]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_what_is_answered_with_an_id_has_one_for_an_editor(name: str) -> None:
    """A type checker takes ``hook.run(sessions.get(x))["id"]`` and ``row["id"]``."""
    answer = get_type_hints(OPERATIONS[name])["return"]
    for kind in (inner for outer in get_args(answer) for inner in (outer, *get_args(outer))):
        if is_typeddict(kind) and "id" in kind.__annotations__:
            assert "id" in kind.__required_keys__

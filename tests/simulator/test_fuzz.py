"""Whatever the contract allows gets an answer by the contract or a refusal in words, never a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_wtschat.simulator import Simulator
from airflow_provider_wtschat.simulator.openapi import Operation, load_contract
from tests.simulator.conftest import Client

CONTRACT = load_contract()


@pytest.fixture(scope="module")
def api() -> Iterator[Client]:
    with Simulator(sessions=30, limits=False, check_answers=True, sync_wait_s=0.01, message_step_s=0.01) as sim:
        client = Client(sim)
        yield client
        client.http.close()


class Known:
    """Ids and names that exist, so that requests get past the first look-up."""

    def __init__(self, sim: Simulator) -> None:
        world = sim.world
        tables = (
            *(world.agents, world.departments, world.channels, world.tags, world.templates, world.contacts),
            *(world.sessions, world.panels, world.cards, world.card_notes, world.sequences, world.portfolios),
            *(world.webhooks, world.files, world.scheduled),
        )
        self.ids = [row.id for table in tables for row in list(table)[:4]]
        self.ids += [step.id for panel in world.panels for step in panel["_steps"]]
        self.ids += [agent["userId"] for agent in world.agents] + [bot["key"] for bot in world.chatbots]
        self.texts = [
            "modelo_exemplo",
            "VIP",
            "11911112222",
            "@pessoa1",
            "https://example.com/a.pdf",
            "pontos",
            "cpf",
            "1",
        ]


@cache
def document(service: str) -> dict[str, Any]:
    from importlib.resources import files

    text = files("airflow_provider_wtschat.simulator").joinpath("contract", f"{service}.json").read_text()
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def values(service: str, schema: dict[str, Any], known: Known) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return values(service, document(service)["components"]["schemas"][name], known)
    if "enum" in schema:
        found: st.SearchStrategy[Any] = st.sampled_from(schema["enum"])
    elif schema.get("type") == "array":
        found = st.lists(values(service, schema["items"], known), max_size=3)
    elif schema.get("type") == "object" and "properties" in schema:
        required = set(schema.get("required", ()))
        parts = {name: values(service, part, known) for name, part in schema["properties"].items()}
        found = st.fixed_dictionaries(
            {name: part for name, part in parts.items() if name in required},
            optional={name: part for name, part in parts.items() if name not in required},
        )
    elif schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        plain = st.one_of(st.integers(-5, 5), st.booleans(), st.sampled_from(known.texts))
        texts_only = isinstance(inner, dict) and inner.get("type") == "string"
        found = st.dictionaries(
            st.sampled_from(known.texts), st.sampled_from(known.texts) if texts_only else plain, max_size=3
        )
    else:
        found = scalars(schema, known)
    return st.one_of(st.none(), found) if schema.get("nullable") else found


def scalars(schema: dict[str, Any], known: Known) -> st.SearchStrategy[Any]:
    kind, form = schema["type"], schema.get("format")
    if form == "uuid":
        return st.one_of(st.sampled_from(known.ids), st.uuids().map(str))
    if form == "date-time":
        return st.datetimes(min_value=datetime(1970, 1, 1)).map(lambda moment: moment.isoformat() + "Z")
    if form == "email":
        return st.just("somebody@example.com")
    if kind == "string":
        texts = st.one_of(st.sampled_from(known.texts), st.sampled_from(known.ids), st.text(max_size=12))
        least, most = schema.get("minLength", 0), schema.get("maxLength", 99_999)
        return texts.filter(lambda text: least <= len(text) <= most)
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return st.integers(schema.get("minimum", -5), min(schema.get("maximum", 500), 500))
    return st.floats(0, 1e6)


def query_of(operation: Operation, known: Known) -> st.SearchStrategy[dict[str, Any]]:
    parts: dict[str, st.SearchStrategy[Any]] = {}
    for name, parameter in operation.parameters.items():
        if parameter.kind == "map":
            continue
        schema: dict[str, Any] = (
            {"type": parameter.kind, "enum": list(parameter.choices)} if parameter.choices else {"type": parameter.kind}
        )
        if parameter.kind in ("uuid", "date-time"):
            schema = {"type": "string", "format": parameter.kind}
        if parameter.kind == "integer":
            schema |= {"minimum": 1, "maximum": 100}
        one = values(operation.service, schema, known).filter(lambda value: value != "")
        one = one.map(lambda value: str(value).lower() if isinstance(value, bool) else value)
        parts[name] = st.lists(one, max_size=2) if parameter.many else one
    required = {name for name, parameter in operation.parameters.items() if parameter.required}
    return st.fixed_dictionaries(
        {name: part for name, part in parts.items() if name in required},
        optional={name: part for name, part in parts.items() if name not in required},
    )


@pytest.mark.parametrize("key", sorted(CONTRACT.operations))
def test_whatever_the_contract_allows(api: Client, key: str) -> None:
    operation, known = CONTRACT.operations[key], Known(api.sim)

    @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        path = "/".join(
            data.draw(st.sampled_from([*known.ids, "11911112222"] if "phone" in part else known.ids))
            if part[0:1] == "{"
            else part
            for part in operation.path.split("/")
        )
        body = None
        if operation.body_schema is not None:
            body = data.draw(values(operation.service, dict(operation.body_schema), known))
        query = data.draw(query_of(operation, known))
        api.sim.violations.clear()
        answer = api.send(operation.method, path, query, body)
        assert [str(violation) for violation in api.sim.violations] == []
        assert answer.status_code in (200, 204, 404, 500), answer.text
        if answer.status_code == 500:
            assert answer.json()["key"], answer.text

    check()

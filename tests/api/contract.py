"""The contract that lies beside the simulator, read for the tests of the requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from airflow_provider_wtschat.api.request import Request

SERVICES = ("chat", "core", "crm")

_formats = FormatChecker(formats=["uuid"])


@_formats.checks("date-time")
def _is_instant(value: object) -> bool:
    """What goes out: UTC with microseconds, which is what the server compares."""
    return not isinstance(value, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value))


@_formats.checks("int32")
def _is_int32(value: object) -> bool:
    return not isinstance(value, int) or -(2**31) <= value < 2**31


@dataclass(frozen=True)
class Operation:
    """One method of one path; schemas in JSON Schema, references resolved."""

    service: str
    method: str
    route: str
    path_params: dict[str, Any]
    query: dict[str, Any]
    required_query: frozenset[str]
    body: Any
    answer: Any

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.route

    @property
    def names(self) -> set[str]:
        """Query names, and body properties as dotted paths."""
        return {f"?{name}" for name in self.query} | set(_paths(self.body))

    def check(self, request: Request[Any]) -> dict[str, Any]:
        """Hold a request against the operation; return what it says, by the names of `names`."""
        assert (request.method, request.route) == self.key
        assert set(request.path_params) == set(self.path_params)
        for name, value in request.path_params.items():
            _validate(value, self.path_params[name])
        assert re.fullmatch(r"/[\w/.{}@%-]+", request.path)

        said: dict[str, Any] = {}
        for full_name, text in request.query:
            name, _, inner = full_name.partition("[")
            assert name in self.query, f"{name} is no query name of {self.key}"
            schema = self.query[name]
            if inner:
                assert schema["type"] == "object"
                assert inner.endswith("]")
                said.setdefault(f"?{name}", {})[inner[:-1]] = text
            elif schema.get("type") == "array":
                said.setdefault(f"?{name}", []).append(_read(text, schema["items"]))
            else:
                assert f"?{name}" not in said, f"{name} was given twice"
                said[f"?{name}"] = _read(text, schema)
        for name, value in said.items():
            _validate(value, self.query[name[1:]])
        assert self.required_query <= {name for name, _ in request.query}

        if self.body is None:
            assert request.body is None
        else:
            body = {} if request.body is None else request.body
            assert json.loads(json.dumps(body, allow_nan=False)) == body
            _validate(body, self.body)
            said.update(_values(body, self.body))
        return said


@cache
def operations() -> dict[tuple[str, str], Operation]:
    return {operation.key: operation for service in SERVICES for operation in _operations(service)}


def _operations(service: str) -> Iterator[Operation]:
    document = json.loads((files("airflow_provider_wtschat.simulator") / "contract" / f"{service}.json").read_text())
    for path, methods in document["paths"].items():
        for method, spec in methods.items():
            parameters = [_deref(item, document) for item in spec.get("parameters", [])]
            schemas = {
                place: {item["name"]: _schema(item["schema"], document) for item in parameters if item["in"] == place}
                for place in ("path", "query")
            }
            answers: dict[str, Any] = spec["responses"]
            answer: dict[str, Any] = next((answers[code] for code in answers if code.startswith("2")), {})
            yield Operation(
                service=service,
                method=method.upper(),
                route=f"/{service}{path}",
                path_params=schemas["path"],
                query=schemas["query"],
                required_query=frozenset(
                    item["name"] for item in parameters if item["in"] == "query" and item.get("required")
                ),
                body=_writable(_content(spec.get("requestBody"), document)),
                answer=_content(answer, document),
            )


def _content(spec: dict[str, Any] | None, document: dict[str, Any]) -> Any:
    media = (spec or {}).get("content", {}).get("application/json")
    return _schema(media["schema"], document) if media and "schema" in media else None


def _writable(schema: Any) -> Any:
    """Take out of a body what the contract lets only answers hold."""
    if isinstance(schema, list):
        return [_writable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _writable(value)
        for key, value in schema.items()
        if not (isinstance(value, dict) and value.get("readOnly") is True)
    }


def _deref(node: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def _schema(node: dict[str, Any], document: dict[str, Any], inside: tuple[str, ...] = ()) -> dict[str, Any]:
    """Write a schema of OpenAPI 3.0 as JSON Schema; ``title`` keeps the name of the contract's own types."""
    title = node["$ref"].rpartition("/")[2] if "$ref" in node else ""
    if title in inside:
        return {"title": title}  # a type that holds itself
    inside = (*inside, title) if title else inside
    node = _deref(node, document)
    schema = {key: node[key] for key in node if key not in ("properties", "items", "nullable", "additionalProperties")}
    if title:
        schema["title"] = title
    if "items" in node:
        schema["items"] = _schema(node["items"], document, inside)
    if "properties" in node:
        schema["properties"] = {key: _schema(value, document, inside) for key, value in node["properties"].items()}
        schema["additionalProperties"] = False
    elif isinstance(node.get("additionalProperties"), dict):
        schema["additionalProperties"] = _schema(node["additionalProperties"], document, inside)
    if node.get("nullable") and "type" in schema:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema


def kind(schema: dict[str, Any]) -> str | None:
    """The type of a schema, ``null`` aside."""
    given = schema.get("type")
    return given[0] if isinstance(given, list) else given


def _validate(value: Any, schema: dict[str, Any]) -> None:
    Draft202012Validator(schema, format_checker=_formats).validate(value)


def _read(text: str, schema: dict[str, Any]) -> Any:
    """Read a query text as its schema means it; text that is not of the type stays text and fails."""
    if kind(schema) in ("integer", "number") and re.fullmatch(r"-?\d+(\.\d+)?", text):
        return json.loads(text)
    if kind(schema) == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


def _paths(schema: Any, at: str = "") -> Iterator[str]:
    if schema is None:
        return
    if "properties" in schema:
        for name, inner in schema["properties"].items():
            yield from _paths(inner, f"{at}.{name}" if at else name)
    elif "properties" in schema.get("items", {}):
        yield from _paths(schema["items"], f"{at}[]")
    else:
        yield at or "[]"


def _values(body: Any, schema: dict[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    if "properties" in schema and body is not None:
        for name, value in body.items():
            yield from _values(value, schema["properties"][name], f"{at}.{name}" if at else name)
    elif "properties" in schema.get("items", {}) and body is not None:
        for item in body:
            yield from _values(item, schema["items"], f"{at}[]")
    else:
        yield at or "[]", body

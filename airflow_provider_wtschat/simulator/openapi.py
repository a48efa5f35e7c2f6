"""The contract as the simulator reads it: operations, their queries, bodies and answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.protocols import Validator

from airflow_provider_wtschat.simulator.instants import parse_instant

SERVICES = ("chat", "core", "crm")

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_METADATA = re.compile(r"Metadata(?:\[(?P<bracket>.+)\]|\.(?P<dot>.+))")
# The wire knows these; the contract's answers print ASCENDING and DESCENDING only.
_TOLERATED_IN_ANSWERS = {"orderDirection"}
_SHARED_KEYWORDS = {
    *("type", "enum", "required", "format", "additionalProperties"),
    *("minimum", "maximum", "minLength", "maxLength"),
}


def is_uuid(value: object) -> bool:
    """Return whether a value is the text of a UUID."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that the contract does not allow, though the API may have taken it without an error."""

    operation: str
    """What was asked, e.g. ``GET /chat/v2/session``; method and path as they came if the contract has no such thing."""
    where: str
    """``path``, ``query``, ``header``, ``body`` or ``answer``."""
    message: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class QueryParameter:
    """One query name of an operation."""

    name: str
    kind: str
    """``string``, ``uuid``, ``integer``, ``boolean``, ``date-time``, ``enum`` or ``map``."""
    many: bool
    choices: tuple[str, ...]
    required: bool
    default: Any


@dataclass(slots=True)
class Query:
    """A query as the API understands it."""

    values: dict[str, Any] = field(default_factory=dict)
    """By the contract's names: ids lower-cased, instants as microseconds, lists for repeated keys."""
    problems: list[str] = field(default_factory=list)
    """What the contract does not allow; the API ignores most of it silently."""
    errors: dict[str, list[str]] = field(default_factory=dict)
    """What the API answers with 400, by name."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or the default if the query does not have it."""
        return self.values.get(name, default)

    def many(self, name: str) -> list[Any]:
        """Return the values of a repeated key, empty if it was not given."""
        return self.values.get(name) or []


@dataclass(frozen=True)
class Operation:
    """One operation of the contract."""

    service: str
    method: str
    path: str
    """With the service's prefix, e.g. ``/chat/v2/session/{id}``."""
    parameters: Mapping[str, QueryParameter]
    uuid_path_names: frozenset[str]
    body_schema: Mapping[str, Any] | None
    answer_schema: Mapping[str, Any] | None
    """None where a success has no content."""

    @property
    def key(self) -> str:
        """Method and path, the operation's name throughout the simulator."""
        return f"{self.method} {self.path}"

    @cached_property
    def _body_validator(self) -> Validator:
        return _validator(self.service, self.body_schema or {}, answers=False)

    @cached_property
    def _answer_validator(self) -> Validator:
        return _validator(self.service, self.answer_schema or {}, answers=True)

    def read_query(self, pairs: Iterable[tuple[str, str]]) -> Query:
        """Bind a query as the API does, noting what the contract does not allow."""
        query = Query()
        for name, raw in pairs:
            parameter = self.parameters.get(name)
            if parameter is None:
                self._read_metadata(query, name, raw)
                continue
            value = _bind(parameter, raw, query)
            if value is None:
                continue
            if parameter.many:
                query.values.setdefault(name, []).append(value)
            elif name in query.values:
                query.problems.append(f"{name} is given twice, yet takes one value")
            else:
                query.values[name] = value
        for parameter in self.parameters.values():
            if parameter.required and parameter.name not in query.values and parameter.name not in query.errors:
                query.errors[parameter.name] = [f"The {parameter.name} field is required."]
                query.problems.append(f"{parameter.name} is required")
        return query

    def _read_metadata(self, query: Query, name: str, raw: str) -> None:
        match = _METADATA.fullmatch(name)
        if match and "Metadata" in self.parameters:
            query.values.setdefault("Metadata", {})[match["bracket"] or match["dot"]] = raw
        else:
            query.problems.append(f"{name} is unknown")

    def body_errors(self, body: Any) -> dict[str, list[str]]:
        """Hold a request body against the contract; problems by property, empty if there are none."""
        return _errors(self._body_validator, body)

    def answer_errors(self, answer: Any) -> list[str]:
        """Hold a successful answer against the contract."""
        if self.answer_schema is None:
            return [] if answer is None else ["the contract has no content here"]
        found = _errors(self._answer_validator, answer)
        return [f"{path}: {text}" for path, texts in found.items() for text in texts]


@dataclass(frozen=True)
class Contract:
    """All operations."""

    operations: Mapping[str, Operation]
    """By key, e.g. ``GET /chat/v2/session``."""
    _routes: tuple[tuple[re.Pattern[str], Mapping[str, Operation]], ...]

    def match(self, method: str, path: str) -> tuple[Operation | None, dict[str, str], frozenset[str]]:
        """Find the operation of a request.

        :return: the operation, the values in its path, and, if there is none, the methods that the path would allow.
        """
        allowed: set[str] = set()
        for pattern, by_method in self._routes:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            if method in by_method:
                return by_method[method], found.groupdict(), frozenset()
            allowed.update(by_method)
        return None, {}, frozenset(allowed)


@cache
def load_contract() -> Contract:
    """Read the contract that lies beside this module."""
    operations: dict[str, Operation] = {}
    by_path: dict[str, dict[str, Operation]] = {}
    for service in SERVICES:
        document = _document(service)
        for template, methods in document["paths"].items():
            path = f"/{service}{template}"
            for method, description in methods.items():
                operation = _operation(service, method.upper(), path, description)
                operations[operation.key] = operation
                by_path.setdefault(path, {})[operation.method] = operation
    # Fixed segments win over placeholders: /tag/color is no tag's id.
    ordered = sorted(by_path.items(), key=lambda item: [part.startswith("{") for part in item[0].split("/")])
    routes = tuple((re.compile(_PLACEHOLDER.sub(r"(?P<\1>[^/]+)", path)), methods) for path, methods in ordered)
    return Contract(operations, routes)


@cache
def _document(service: str) -> dict[str, Any]:
    text = files(__package__).joinpath("contract", f"{service}.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def _operation(service: str, method: str, path: str, description: Mapping[str, Any]) -> Operation:
    parameters = description.get("parameters", ())
    body = description.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answer = description["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema")
    return Operation(
        service=service,
        method=method,
        path=path,
        parameters={item["name"]: _query_parameter(item) for item in parameters if item["in"] == "query"},
        uuid_path_names=frozenset(
            item["name"] for item in parameters if item["in"] == "path" and item["schema"].get("format") == "uuid"
        ),
        body_schema=body,
        answer_schema=answer,
    )


def _query_parameter(item: Mapping[str, Any]) -> QueryParameter:
    schema = item["schema"]
    many = schema.get("type") == "array"
    value = schema["items"] if many else schema
    choices = tuple(value.get("enum", ()))
    if choices:
        kind = "enum"
    elif value["type"] == "object":
        kind = "map"
    else:
        kind = value["format"] if value.get("format") in ("uuid", "date-time") else value["type"]
    return QueryParameter(item["name"], kind, many, choices, item.get("required", False), schema.get("default"))


def _bind(parameter: QueryParameter, raw: str, query: Query) -> Any:
    """Turn the text of one value into what the API makes of it; None if it binds nothing."""
    name, kind = parameter.name, parameter.kind
    if raw == "":
        query.problems.append(f"{name} is blank")
        return None
    if kind == "string":
        return raw
    if kind == "enum":
        return _bind_choice(parameter, raw, query)
    if kind == "uuid" and is_uuid(raw):
        return raw.lower()
    if kind == "integer" and re.fullmatch(r"-?\d{1,9}", raw):
        return int(raw)
    if kind == "boolean" and raw.lower() in ("true", "false"):
        if raw != raw.lower():
            query.problems.append(f"{name}={raw} is not spelled as the contract has it")
        return raw.lower() == "true"
    if kind == "date-time":
        instant = parse_instant(raw)
        if instant is not None:
            if instant.zone is None:
                query.problems.append(f"{name}={raw} has no zone")
            return instant.micros
    if parameter.many and "," in raw:
        query.problems.append(f"{name}={raw} is a list with commas, which binds nothing")
        return None
    query.errors[name] = [f"The value '{raw}' is not valid for {name}."]
    query.problems.append(f"{name}={raw} is not a {kind}")
    return None


def _bind_choice(parameter: QueryParameter, raw: str, query: Query) -> str | None:
    if raw in parameter.choices:
        return raw
    for choice in parameter.choices:
        if choice.lower() == raw.lower():
            query.problems.append(f"{parameter.name}={raw} is spelled {choice} in the contract")
            return choice
    query.problems.append(f"{parameter.name}={raw} is none of {', '.join(parameter.choices)}")
    if "," not in raw:
        query.errors[parameter.name] = [f"The value '{raw}' is not valid for {parameter.name}."]
    return None


def _errors(validator: Validator, value: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for error in validator.iter_errors(value):
        path = ".".join(str(part) for part in error.absolute_path)
        for cause in error.context or (error,):
            inner = ".".join(str(part) for part in cause.absolute_path) or path or "$"
            found.setdefault(inner, []).append(cause.message[:300])
    return found


def _validator(service: str, schema: Mapping[str, Any], *, answers: bool) -> Validator:
    definitions = _definitions(service, answers)
    root = _translate(schema, answers)
    return Draft202012Validator({**root, "$defs": definitions}, format_checker=_format_checker(answers))


@cache
def _definitions(service: str, answers: bool) -> dict[str, Any]:
    schemas = _document(service)["components"]["schemas"]
    return {name: _translate(schema, answers) for name, schema in schemas.items()}


def _translate(schema: Mapping[str, Any], answers: bool) -> dict[str, Any]:
    """Turn OpenAPI 3.0 into JSON Schema: ``nullable`` becomes a type, references point into ``$defs``."""
    if "$ref" in schema:
        return {"$ref": "#/$defs/" + schema["$ref"].rsplit("/", 1)[1]}
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            result[key] = {name: _property(name, item, answers) for name, item in value.items()}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            result[key] = _translate(value, answers)
        elif key in _SHARED_KEYWORDS:
            result[key] = value
    if schema.get("nullable"):
        if "type" in result:
            result["type"] = [result["type"], "null"]
        if "enum" in result:
            result["enum"] = [*result["enum"], None]
    return result


def _property(name: str, schema: Mapping[str, Any], answers: bool) -> dict[str, Any]:
    if answers and name in _TOLERATED_IN_ANSWERS:
        return {"type": ["string", "null"]}
    translated = _translate(schema, answers)
    # OpenAPI 3.0 cannot say "nullable" beside a reference, and nested objects are null wherever they like.
    return {"anyOf": [translated, {"type": "null"}]} if "$ref" in schema else translated


@cache
def _format_checker(answers: bool) -> FormatChecker:
    def date_time(value: object) -> bool:
        if not isinstance(value, str):
            return True
        instant = parse_instant(value)
        # Answers leave the zone out at times; what a client sends without one means something else elsewhere.
        return instant is not None and (answers or instant.zone is not None)

    checker = FormatChecker(formats=())
    checker.checks("uuid")(lambda value: not isinstance(value, str) or is_uuid(value))
    checker.checks("date-time")(date_time)
    checker.checks("int32")(lambda value: not isinstance(value, int) or -(2**31) <= value < 2**31)
    checker.checks("email")(lambda value: not isinstance(value, str) or _EMAIL.fullmatch(value) is not None)
    return checker

"""Every operation is held against the contract: which there are, what they send, and what they answer with."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import types as python_types
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import airflow_provider_wtschat.api
from airflow_provider_wtschat.api import types
from airflow_provider_wtschat.api.operations import OPERATIONS
from airflow_provider_wtschat.api.request import Page, PagedRequest, Request
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from tests.api.arguments import arguments, optional, parameters
from tests.api.contract import Operation, kind, operations

NOT_OPERATIONS = {
    "converters", "exchange", "instants", "lookup", "masking", "operations", "paging", "phones",
    "request", "response", "types"
}  # fmt: skip
HELPERS = {"custom_fields.encode", "custom_fields.decode", "files.media_type"}
"""Public functions of the operations' modules that stand for no operation."""


def few(examples: int) -> settings:
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )


every_operation = pytest.mark.parametrize("name", OPERATIONS)


@every_operation
def test_each_has_an_operation_of_its_own(name):
    assert spec(name).key in operations()


def test_all_operations_are_there_once():
    assert sorted(spec(name).key for name in OPERATIONS) == sorted(operations())


def test_each_public_function_is_registered_under_its_name():
    functions = {}
    for module in pkgutil.iter_modules(airflow_provider_wtschat.api.__path__, "airflow_provider_wtschat.api."):
        short = module.name.rpartition(".")[2]
        if short in NOT_OPERATIONS or short.startswith("_"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if inspect.isfunction(value) and value.__module__ == module.name and not name.startswith("_"):
                functions[f"{short}.{name.rstrip('_')}"] = value
    assert functions.keys() >= HELPERS
    assert {name: value for name, value in functions.items() if name not in HELPERS} == OPERATIONS


@every_operation
def test_docstring_names_the_operation_and_every_argument(name):
    doc = inspect.getdoc(OPERATIONS[name])
    method, route = spec(name).key
    assert f"``{method} {route}``" in doc
    assert re.findall(r"^:param (\w+):", doc, re.MULTILINE) == list(parameters(name))


@every_operation
def test_ids_in_the_path_come_first_and_other_arguments_by_keyword(name):
    positional = [
        given.name for given in parameters(name).values() if given.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    assert all(parameters(name)[given].default is inspect.Parameter.empty for given in positional)
    assert len(positional) >= len(spec(name).path_params)


# What a request does when it is sent twice. All else that writes is not safe to repeat.
SAFE_POSTS = {
    "contacts.filter": "reads",
    "contacts.update_tags": "sets",
    "contacts.update_tags_by_phone": "sets",
    "agents.change_status": "sets",
    "agents.logout": "sets",
    "agents.update_departments": "sets",
    "files.save": "the same temporary file",
    "portfolios.add_contact": "a set of contacts",
    "portfolios.add_contacts": "a set of contacts",
    "scheduled_messages.cancel": "cancelled stays cancelled",
    "scheduled_messages.cancel_batch": "cancelled stays cancelled",
    "sends.send_typing": "a sign that fades",
}
DEPENDS = {"contacts.create", "contacts.batch_save", "contacts.update", "contacts.update_by_phone"}
"""Safe or not by their arguments; tested with their modules."""


@every_operation
def test_safe_to_repeat(name):
    if name in DEPENDS:
        return
    assert example(name).safe_to_repeat is (spec(name).method != "POST" or name in SAFE_POSTS)


@every_operation
@few(3)
@given(data=st.data())
def test_requests_fit_the_contract(name, data):
    request = OPERATIONS[name](**data.draw(arguments(name)))
    for one in forms(request):
        spec(name).check(one)


@pytest.mark.soak
@every_operation
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_requests_fit_the_contract_for_long(name, data):
    test_requests_fit_the_contract.hypothesis.inner_test(name, data)


@every_operation
def test_each_argument_lands_where_it_belongs_and_nothing_is_out_of_reach(name):
    seen: set[str] = set()
    for focus in (None, *optional(name)):
        seen |= reached(name, focus)
    assert seen == spec(name).names


def reached(name: str, focus: str | None) -> set[str]:
    """Names of the contract that are sent with an argument, which has to be found under its own."""
    operation = spec(name)
    seen: set[str] = set()

    @few(4 if focus else 12)
    @given(drawn=arguments(name, focus))
    def check(drawn):
        request = OPERATIONS[name](**drawn)
        for one in forms(request):
            seen.update(operation.check(one))
        said = operation.check(request)
        for argument in set(drawn) - SILENT - in_path(operation, drawn):
            assert any(lands(argument, path) for path in said), f"{argument} went nowhere: {sorted(said)}"
        if focus is None or focus in SILENT:
            return
        try:
            without = OPERATIONS[name](**{key: value for key, value in drawn.items() if key != focus})
        except WtsChatArgumentError:
            return
        before = operation.check(without)
        for path, value in said.items():
            if path not in before or before[path] != value:
                assert lands(focus, path) or path == "fields" or path in SIDE.get(focus, ()), path

    check()
    return seen


def in_path(operation: Operation, drawn: dict[str, Any]) -> set[str]:
    """The arguments that fill the path, which are the first."""
    return set(list(drawn)[: len(operation.path_params)])


SILENT = {"timezone", "phone_country", "clear", "autocomplete", "reactivate_disabled", "order_by", "order_direction"}
"""Arguments that change others, or go where a page is asked for."""
SIDE = {"user_id": {"type"}, "bot_key": {"type"}, "template_id": {"type"}}
"""What an argument may change beside its own."""
ALIASES = {
    "agents": ("items[].",),
    "archived": ("status",),
    "channel_ids": ("?ChannelsId",),
    "channels_scope": ("channelsConfig.scope",),
    "contacts": ("items[].",),
    "department_id": ("newDepartmentId",),
    "departments": ("items[].",),
    "ended_after": ("?EndAt.After",),
    "ended_before": ("?EndAt.Before",),
    "file": ("fileIdOrUrl",),
    "file_ids": ("filesIds",),
    "file_type": ("?Type",),
    "file_urls": ("filesUrls",),
    "from_channel": ("?From", "from"),
    "message_type": ("?Type", "type"),
    "new_phone_number": ("phoneNumber",),
    "page_type": ("?Type",),
    "panel_type": ("?Type",),
    "scheduled_message_ids": ("[]",),
    "session_type": ("?Type",),
    "status": ("newStatus",),
    "tag_ids": ("?TagsId",),
    "tag_names": ("?TagsName",),
    "template_parameters": ("parameters", "body.parameters", "templateParams.parameters"),
    "template_type": ("?Type",),
    "user_id": ("newUserId",),
    "user_phone": ("user.phoneNumber", "options.user.phoneNumber"),
}
"""Beginnings of names which are not, in other letters, the argument's own."""


def lands(argument: str, path: str) -> bool:
    """Whether a query name or body property is, by its words, that of an argument."""
    words = [snake(word) for word in re.split(r"[.\[\]?]+", path) if word]
    own = {"_".join(words[start:]) for start in range(len(words))} | {*words}
    return argument in own | {name.replace("_at_", "_") for name in own} or path.startswith(
        ALIASES.get(argument, ("-",))
    )


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


# ---------------------------------------------------------------------------------------------------------- answers

UNTYPED = {"PublicWebhookSubscriptionDTO.events"}


@every_operation
def test_answer_types_say_what_the_contract_says(name):
    request, answer = example(name), spec(name).answer
    if answer is None:
        assert request.result is type(None)
    elif isinstance(request, PagedRequest):
        assert set(answer["properties"]) == set(get_type_hints(Page))
        same_type(request.result, answer["properties"]["items"]["items"], name)
    elif request.result is Page:
        assert set(answer["properties"]) == set(get_type_hints(Page))
    else:
        same_type(request.result, answer, name)


@every_operation
def test_signature_promises_the_result(name):
    promised = get_type_hints(OPERATIONS[name], include_extras=True)["return"]
    request = example(name)
    (row,) = get_args(promised)
    assert type(request) is get_origin(promised)
    assert request.result == (Page if get_origin(row) is Page else row)


def same_type(annotation: Any, schema: dict[str, Any], at: str) -> None:
    annotation = bare(annotation)
    if schema.keys() == {"title"}:
        return  # a type that holds itself
    if "properties" in schema:
        hints = get_type_hints(annotation, include_extras=True)
        assert set(hints) == set(schema["properties"]), at
        for field, inner in schema["properties"].items():
            same_type(hints[field], inner, f"{at}.{field}")
        return
    expected = kind(schema)
    if expected == "array":
        assert get_origin(annotation) is list, at
        same_type(get_args(annotation)[0], schema["items"], f"{at}[]")
    elif expected == "object":
        assert get_origin(annotation) is dict, at
    elif schema.get("format") == "uuid":
        assert annotation is types.Uuid, at
    elif schema.get("format") == "date-time":
        assert annotation is types.Instant, at
    elif expected is None:
        assert annotation in (Any, object), at
    else:
        assert annotation is {"string": str, "boolean": bool, "integer": int, "number": float}[expected], at


def bare(annotation: Any) -> Any:
    """Take ``| None`` off."""
    if get_origin(annotation) in (Union, python_types.UnionType):
        (annotation,) = [item for item in get_args(annotation) if item is not type(None)]
    return annotation


# ------------------------------------------------------------------------------------------------------------ paging


@every_operation
def test_lists_know_their_bounds(name):
    request = example(name)
    names = spec(name).names
    in_contract = {match[1] for match in (re.fullmatch(r"\??(\w+)\.(?i:after)", item) for item in names) if match}
    if isinstance(request, PagedRequest):
        assert {bound[:1].upper() + bound[1:] for bound in in_contract} == set(request.bounds)
        assert {name.partition(".")[0] for name in request.filters} <= set(get_type_hints(request.result))
    else:
        assert not in_contract


# ----------------------------------------------------------------------------------------------------------- helpers


def forms(request: Request[Any]) -> list[Request[Any]]:
    """The request in every form in which it is sent: pages, orders and bounds of a list included."""
    if not isinstance(request, PagedRequest):
        return [request]
    bounds = {f"{name}.{end}": "2026-09-01T00:00:00.000000Z" for name in request.bounds for end in ("After", "Before")}
    return [
        request.page(),
        request.page(2, 15, order_by="UpdatedAt", order_direction="ASCENDING"),
        request.page(1, 100, order_by="CreatedAt", order_direction="DESCENDING", bounds=bounds),
    ]


_EXAMPLES: dict[str, Request[Any]] = {}


def example(name: str) -> Request[Any]:
    """One request of an operation, made of the arguments that it needs."""
    if name not in _EXAMPLES:

        @few(1)
        @given(drawn=arguments(name))
        def keep(drawn):
            request: Any = OPERATIONS[name](**drawn)
            _EXAMPLES[name] = request

        keep()
    return _EXAMPLES[name]


def spec(name: str) -> Operation:
    request = example(name)
    return operations()[request.method, request.route]

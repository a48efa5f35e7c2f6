"""
Write tests/public_names.json, what semantic versioning covers: ``make names``.

Public is what stands in ``__all__`` of the modules below; everything else may change in any release. A test compares
the file with the package: a name, an argument or a field that is gone, another default, and a new argument that must be
given are breaks, and to write the file anew is to decide for them. What is new is no break, but a release wants it in
the file.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from typing import Any, is_typeddict

from scripts.local import ROOT

PACKAGE = "airflow_provider_wtschat"
SNAPSHOT = ROOT / "tests" / "public_names.json"
PUBLIC = {
    "api": (
        "agents", "channels", "chatbots", "contacts", "custom_fields", "departments", "exchange", "files", "instants",
        "lookup", "messages", "office_hours", "panels", "phones", "portfolios", "request", "scheduled_messages",
        "sends", "sequences", "sessions", "tags", "templates", "types", "webhook_events", "webhooks",
    ),
    "assets": ("",),
    "campaigns": ("once",),
    "exceptions": ("",),
    "extraction": ("",),
    "hooks": ("wtschat", "wtschat_async"),
    "links": ("",),
    "notifications": ("wtschat",),
    "operators": (
        "approval", "ask", "campaign", "chatbot", "contact", "file", "message", "panel", "scheduled_message",
        "sequence", "session", "session_event", "webhook", "wtschat",
    ),
    "sensors": ("message", "panel", "scheduled_message", "session"),
    "simulator": ("", "pytest_plugin"),
    "transfers": (
        "sql_to_wtschat", "wtschat_account", "wtschat_files_to_object_storage", "wtschat_reconcile",
        "wtschat_to_object_storage", "wtschat_to_sql",
    ),
    "triggers": (
        "approval", "campaign", "message", "panel", "scheduled_message", "session", "session_event",
        "webhook_event",
    ),
    "warehouse": ("merging",),
    "webhooks": ("inbox", "receiver"),
}  # fmt: skip
ONLY = {
    "api.phones": {"person"},
    "extraction": {"RESOURCES", "Batch", "Changes", "Kind", "Reading", "Resource", "read", "read_changes", "windows"},
    "hooks.wtschat": {"WtsChatHook"},
}
"""Of modules whose ``__all__`` also has what other packages of this one share."""
WITH_METHODS = ("hooks", "simulator")
"""Where users call methods; elsewhere they construct, and Airflow calls."""
MODULES = [".".join(filter(None, (PACKAGE, part, name))) for part, names in PUBLIC.items() for name in names]

Names = dict[str, dict[str, str]]
"""Arguments, fields or members by public name, with their defaults; an argument that must be given has none."""


def public_names() -> Names:
    """
    Find what is public.

    :return: by name, without the name of the package
    """
    found: Names = {}
    for name in MODULES:
        module = import_module(name)
        short = name.removeprefix(f"{PACKAGE}.")
        for public in ONLY.get(short, module.__all__):
            found |= dict(_described(f"{short}.{public}", getattr(module, public)))
    return dict(sorted(found.items()))


def breaks(old: Names, new: Names) -> list[str]:
    """
    Compare what was public with what is.

    :param old: what was
    :param new: what is
    :return: what would break users' code, in sentences
    """
    found = [f"{name} is gone" for name in old if name not in new]
    for name in old.keys() & new.keys():
        before, after = old[name], new[name]
        found += [f"{name}: {part} is gone" for part in before if part not in after]
        found += [
            f"{name}: {part} is new and must be given" for part in after if part not in before and not after[part]
        ]
        found += [
            f"{name}: {part} was {before[part] or 'to be given'} by default and is {after[part] or 'to be given'}"
            for part in before.keys() & after.keys()
            if before[part] != after[part]
        ]
    return sorted(found)


def _described(name: str, value: Any) -> Iterator[tuple[str, dict[str, str]]]:
    if is_typeddict(value):
        yield name, dict.fromkeys(sorted(value.__annotations__), "field")
    elif inspect.isclass(value) and issubclass(value, Enum):
        yield name, {member.name: repr(member.value) for member in value}
    elif inspect.isclass(value):
        own = [cls for cls in value.__mro__ if cls.__module__.startswith(PACKAGE)]
        arguments: dict[str, str] = {}
        for cls in own:
            constructor = vars(cls).get("__init__")
            if constructor is not None:
                arguments |= {key: text for key, text in _arguments(constructor).items() if key not in arguments}
        yield name, arguments
        if not name.startswith(WITH_METHODS):
            return
        theirs = {key for cls in value.__mro__ if cls not in own for key in vars(cls)}
        methods = {key: item for cls in reversed(own) for key, item in vars(cls).items()}
        for key, item in sorted(methods.items()):
            function = getattr(item, "__func__", item)
            if not key.startswith("_") and key not in theirs and inspect.isfunction(function):
                yield f"{name}.{key}", _arguments(function)
    elif inspect.isfunction(value):
        yield name, _arguments(value)
    else:
        yield name, {}


def _arguments(function: Any) -> dict[str, str]:
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {
        name: "" if parameter.default is inspect.Parameter.empty else repr(parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in kinds and name not in ("self", "cls")
    }


if __name__ == "__main__":
    LINES = [f"{json.dumps(name)}: {json.dumps(parts)}" for name, parts in public_names().items()]
    SNAPSHOT.write_text("{\n" + ",\n".join(LINES) + "\n}\n")

"""What Airflow is told about the package, held against what is in the package."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jsonschema
import pytest
from airflow.providers.common.io import get_provider_info as common_io
from airflow.providers.common.sql import get_provider_info as common_sql

import airflow_provider_wtschat
from airflow_provider_wtschat.get_provider_info import get_provider_info

PACKAGE = airflow_provider_wtschat.__name__
ROOT = Path(airflow_provider_wtschat.__file__).parent
INFO = get_provider_info()
AIRFLOW = tuple(map(int, importlib.metadata.version("apache-airflow").split(".")[:2]))
HAS_WTFORMS = find_spec("wtforms") is not None


def classes(folder: str, base: type) -> list[type]:
    """Public classes of that base which the package's modules in a folder define."""
    found = []
    for module_info in pkgutil.walk_packages([str(ROOT / folder)], f"{PACKAGE}.{folder}." if folder else f"{PACKAGE}."):
        if module_info.name.endswith(".__main__"):
            continue
        module = import_module(module_info.name)
        found += [
            value
            for name, value in vars(module).items()
            if inspect.isclass(value)
            and issubclass(value, base)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        ]
    return found


def modules(folder: str, base: type) -> list[str]:
    """Modules with a class that users construct: one that is not the base of another module's."""
    found = classes(folder, base)
    leaves = [
        cls
        for cls in found
        if not any(issubclass(other, cls) and other.__module__ != cls.__module__ for other in found)
    ]
    return sorted({cls.__module__ for cls in leaves})


def bases() -> dict[str, type]:
    from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, BaseSensorOperator
    from airflow.triggers.base import BaseTrigger

    return {
        "hooks": BaseHook,
        "operators": BaseOperator,
        "sensors": BaseSensorOperator,
        "triggers": BaseTrigger,
        "transfers": BaseOperator,
    }


def test_package_name_is_that_of_the_distribution():
    assert INFO["package-name"] == importlib.metadata.metadata(INFO["package-name"])["Name"]


def test_airflow_accepts_the_metadata():
    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)
    named = {
        item[name]
        for kind in ("hooks", "operators", "sensors", "triggers", "transfers")
        for item in INFO.get(kind, [])
        for name in ("integration-name", "source-integration-name", "target-integration-name")
        if name in item
    }
    others: tuple[Any, ...] = (common_io, common_sql)
    known = [INFO, *(other.get_provider_info() for other in others)]
    assert named <= {item["integration-name"] for info in known for item in info["integrations"]}


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_modules_are_those_of_the_package(kind):
    told = [module for item in INFO.get(kind, []) for module in item["python-modules"]]
    assert sorted(told) == modules(kind, bases()[kind])


def test_transfers_are_those_of_the_package():
    told = [item["python-module"] for item in INFO.get("transfers", [])]
    assert sorted(set(told)) == modules("transfers", bases()["transfers"])


def test_notifications_are_those_of_the_package():
    from airflow.providers.common.compat.sdk import BaseNotifier

    # A set, since a notifier has a second name, as those of other providers do.
    there = {f"{cls.__module__}.{cls.__name__}" for cls in classes("notifications", BaseNotifier)}
    assert sorted(INFO.get("notifications", [])) == sorted(there)


def test_extra_links_are_those_of_the_package():
    from airflow.providers.common.compat.sdk import BaseOperatorLink

    there = [f"{cls.__module__}.{cls.__name__}" for cls in classes("", BaseOperatorLink)]
    assert sorted(INFO.get("extra-links", [])) == sorted(there)


def test_connection_types_are_those_of_the_hooks():
    told = {
        (item["connection-type"], item["hook-name"], item["hook-class-name"])
        for item in INFO.get("connection-types", [])
    }
    hooks = classes("hooks", bases()["hooks"])
    assert told == {
        (cls.conn_type, cls.hook_name, f"{cls.__module__}.{cls.__name__}") for cls in hooks if "conn_type" in vars(cls)
    }


CONNECTION_TYPE = INFO["connection-types"][0]


@pytest.mark.skipif(not HAS_WTFORMS, reason="only Flask AppBuilder asks the hook")
def test_form_of_the_hook_equals_the_declared_form():
    """Airflow 2.11, and 3.0 where Flask AppBuilder is installed, ask the hook."""
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

    behaviour = CONNECTION_TYPE["ui-field-behaviour"]
    assert WtsChatHook.get_ui_field_behaviour() == {
        "hidden_fields": behaviour["hidden-fields"],
        "relabeling": behaviour["relabeling"],
        "placeholders": behaviour["placeholders"],
    }
    widgets = WtsChatHook.get_connection_form_widgets()
    assert list(widgets) == list(CONNECTION_TYPE["conn-fields"])
    for name, field in CONNECTION_TYPE["conn-fields"].items():
        widget, schema = widgets[name], field["schema"]
        assert str(widget.args[0]) == field["label"]
        assert widget.kwargs["description"] == field["description"]
        assert widget.kwargs["default"] == schema.get("default")
        bounds = [
            (validator.min, validator.max)
            for validator in widget.kwargs.get("validators", [])
            if hasattr(validator, "min")
        ]
        assert bounds == ([(schema["minimum"], schema["maximum"])] if "minimum" in schema else [])
        kinds = {"integer": "IntegerField", "boolean": "BooleanField"}
        text = "PasswordField" if schema.get("format") == "password" else "StringField"
        assert widget.field_class.__name__ == kinds.get(schema["type"][0], text)


@pytest.mark.skipif(AIRFLOW < (3, 1), reason="the API server of Airflow 3.0 has no form for any provider")
def test_form_that_the_api_server_offers():
    """Airflow 3.1 asks the hook through stand-ins for Flask AppBuilder; 3.2 and later read the metadata."""
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    with patch.dict(sys.modules):  # the stand-ins stay there
        forms = HookMetaService.hook_meta_data()
    (form,) = (form for form in forms if form.connection_type == "wtschat")
    assert form.hook_name == "WTS Chat"
    assert form.standard_fields.password.title == "API token"
    assert form.standard_fields.host.placeholder == "https://api.wts.chat"
    assert form.standard_fields.login.hidden
    assert list(form.extra_fields) == list(CONNECTION_TYPE["conn-fields"])
    for name, field in CONNECTION_TYPE["conn-fields"].items():
        offered = form.extra_fields[name]
        assert offered["value"] == field["schema"].get("default")
        assert offered["schema"]["title"] == field["label"]
        assert offered["schema"]["type"] == field["schema"]["type"]
        assert offered["schema"].get("format") == field["schema"].get("format")


def test_options_are_those_that_the_code_reads():
    read = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr.startswith("get")
                and len(node.args) > 1
                and all(isinstance(argument, ast.Constant) for argument in node.args[:2])
                and node.args[0].value == "wtschat"
            ):
                read.add(node.args[1].value)
    assert read == set(INFO["config"]["wtschat"]["options"])


ASK_AIRFLOW = """
import contextlib, io, json
from airflow.cli.cli_parser import get_parser

told = {}
parser = get_parser()
commands = "hooks", "behaviours", "widgets", "links", "notifications", "triggers", "configs"
for command in ("get airflow-provider-wtschat --full", *commands):
    known = next(iter(parser._subparsers._group_actions)).choices["providers"]._subparsers._group_actions
    if command.split()[0] not in known[0].choices:
        continue
    arguments = parser.parse_args(["providers", *command.split(), "--output", "json"])
    with contextlib.redirect_stdout(io.StringIO()) as output:
        arguments.func(arguments)
    told[command.split()[0]] = output.getvalue()

from airflow.providers_manager import ProvidersManager

manager = ProvidersManager()
for name in (
    "asset_factories", "asset_uri_handlers", "dataset_factories", "dataset_uri_handlers", "extra_links_class_names",
    "notification",
):
    told[name] = repr(getattr(manager, name, None))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(airflow_home: Path) -> tuple[dict[str, str], str]:
    """What ``airflow providers ...`` says of the package in a fresh process, and what it complains of."""
    environment = os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING", "COLUMNS": "400"}
    done = subprocess.run([sys.executable, "-c", ASK_AIRFLOW], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *said, told = done.stdout.strip().splitlines()
    return json.loads(told), "\n".join([*said, done.stderr])


def test_airflow_finds_everything(told):
    found, _ = told
    assert "airflow_provider_wtschat.hooks.wtschat.WtsChatHook" in found["get"]
    assert "airflow_provider_wtschat.hooks.wtschat.WtsChatHook" in found["hooks"]
    if HAS_WTFORMS or AIRFLOW >= (3, 2):
        assert "wtschat" in found["behaviours"]
        assert "verify_ssl" in found["widgets"]
    assert "airflow_provider_wtschat.links.WtsChatSessionLink" in found["links"]
    assert "bulk_share" in found["configs"]
    for item in INFO.get("triggers", []):
        for module in item["python-modules"]:
            assert module in found["triggers"]
    for name in INFO.get("notifications", []):
        assert name in found.get("notifications", found["notification"])
    handlers, factories = (
        ("dataset_uri_handlers", "dataset_factories") if AIRFLOW < (3,) else ("asset_uri_handlers", "asset_factories")
    )
    assert "sanitize_uri" in found[handlers]
    assert "'wtschat': <function create_asset" in found[factories]


def test_airflow_complains_of_nothing(told):
    _, complaints = told
    assert "wtschat" not in complaints

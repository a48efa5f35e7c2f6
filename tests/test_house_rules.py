"""Rules that every module keeps, found out from the modules themselves."""

from __future__ import annotations

import ast
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints, is_typeddict

import pytest

import airflow_provider_wtschat
from airflow_provider_wtschat.get_provider_info import get_provider_info
from scripts.names import MODULES, ONLY
from tests.conftest import AIRFLOW_2

PACKAGE = airflow_provider_wtschat.__name__
ROOT = Path(airflow_provider_wtschat.__file__).parent
EXAMPLES = ROOT.parent / "example_dags"

NAMES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages([str(ROOT)], f"{PACKAGE}.")
    if not name.endswith(".__main__") and ".simulator.routes" not in name
)
BUILDING_BLOCKS = ("operators", "sensors", "transfers", "notifications")

BELOW = {"_compat", "api", "exceptions"}
MAY_IMPORT = {
    "_compat": set(),
    "exceptions": {"_compat"},
    "api": {"exceptions"},
    "assets": {"_compat"},
    "links": {"_compat"},
    "get_provider_info": set(),
    "_given": {"_compat", "exceptions"},
    "budget": BELOW,
    "sql": BELOW,
    "hooks": BELOW | {"budget", "get_provider_info"},
    "waiting": BELOW | {"hooks"},
    "extraction": BELOW | {"budget", "hooks"},
    "warehouse": BELOW | {"budget", "extraction", "hooks", "sql"},
    "campaigns": BELOW | {"budget", "hooks", "sql", "webhooks"},
    "page": BELOW | {"budget"},
    "webhooks": BELOW | {"hooks", "page"},
    "triggers": BELOW | {"budget", "hooks", "waiting", "webhooks"},
    "operators": BELOW | {"_given", "campaigns", "hooks", "links", "sql", "triggers", "waiting", "webhooks"},
    "sensors": BELOW | {"_given", "hooks", "links", "triggers", "waiting"},
    "notifications": BELOW | {"hooks"},
    "transfers": BELOW | {"_given", "assets", "campaigns", "extraction", "hooks", "operators", "triggers", "warehouse"},
    "simulator": set(),
    "demo": {"simulator", "transfers"},
}
"""What each part of the package may import of the others. docs/how-it-is-built.md draws it."""


def part(module: str) -> str:
    return module.removeprefix(f"{PACKAGE}.").split(".")[0]


@cache
def modules() -> list[ModuleType]:
    """Import what can be imported; what cannot fails a test of its own."""
    found = []
    for name in NAMES:
        with suppress(Exception):
            found.append(import_module(name))
    return found


def own_classes(*folders: str) -> list[type]:
    return [
        value
        for module in modules()
        if not folders or part(module.__name__) in folders
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]


def shown(value: Any) -> bool:
    """Say whether it is public, so that its documentation is for users: ``make names``."""
    name = value.__qualname__.split(".")[0]
    # A package shows what its modules define.
    for module in (value.__module__, value.__module__.rpartition(".")[0]):
        if module in MODULES and name in ONLY.get(module.removeprefix(f"{PACKAGE}."), import_module(module).__all__):
            return not value.__qualname__.rpartition(".")[2].startswith("_")
    return False


@cache
def bases() -> dict[str, type]:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_wtschat._compat import BaseHook, BaseNotifier, BaseOperator, BaseSensorOperator

    return {
        "sensor": BaseSensorOperator,
        "operator": BaseOperator,
        "trigger": BaseTrigger,
        "hook": BaseHook,
        "notifier": BaseNotifier,
    }


def airflow_classes() -> list[type]:
    """Classes of this package which Airflow users construct, and what those build on."""
    named = [cls for cls in own_classes() if not cls.__name__.startswith("_")]
    return [cls for cls in named if issubclass(cls, tuple(bases().values()))]


def airflow_base(cls: type) -> type:
    return next(base for base in bases().values() if issubclass(cls, base))


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    """Parameters by name, but for ``self``, ``cls``, ``*args`` and ``**kwargs``."""
    skipped = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {
        name: parameter
        for name, parameter in inspect.signature(inspect.unwrap(function)).parameters.items()
        if parameter.kind not in skipped and name not in ("self", "cls")
    }


def name_of(value: Any) -> str:
    return f"{value.__module__.removeprefix(PACKAGE + '.')}.{value.__qualname__}"


def each(values: list[Any]) -> Any:
    return pytest.mark.parametrize("cls", values, ids=name_of)


@cache
def sources() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text(), filename=str(path))) for path in sorted(ROOT.rglob("*.py"))]


@pytest.mark.parametrize("name", NAMES)
def test_module_says_what_it_is_for(name):
    assert import_module(name).__doc__


IMPORT_EACH = """
import importlib.util, json, sys
import airflow.providers.common.sql.hooks.sql  # on Airflow 3.0 it loads aiohttp by itself
from airflow_provider_wtschat._compat import BaseHook, BaseOperator, BaseSensorOperator, Connection

def refused(*args, **kwargs):
    raise RuntimeError("a connection was read while a module was imported")

for cls, name in ((BaseHook, "get_connection"), (Connection, "get"), (Connection, "get_connection_from_secrets")):
    if hasattr(cls, name):
        setattr(cls, name, refused)

heavy = {"aiohttp", "duckdb", "fastapi", "pandas", "pyarrow", "redis", "uvicorn"}
loaded = heavy & set(sys.modules)
found = {}
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
    found[name] = sorted((heavy & set(sys.modules)) - loaded)
    loaded |= set(found[name])
for path in sys.argv[2:]:
    spec = importlib.util.spec_from_file_location("example", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(json.dumps(found))
"""


def test_importing_is_cheap_and_reads_no_connection(airflow_home: Path):
    """Nothing heavy comes with a module that Dags import, and nothing is looked up while they are parsed."""
    names = [name for name in NAMES if part(name) in BUILDING_BLOCKS]
    others = [name for name in NAMES if name not in names]
    examples = sorted(str(path) for path in EXAMPLES.glob("*.py"))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH, json.dumps([*names, *others]), *examples],
        env=os.environ | {"PYTHONPATH": str(ROOT.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name: found[name] for name in names if found[name]} == {}


IMPORT_ALL = """
import importlib, json, sys
from airflow_provider_wtschat import _compat  # what Airflow itself loads is not ours to keep away
from airflow.providers.common.sql.hooks import sql

http = {"requests", "urllib3", "airflow_provider_wtschat.hooks.wtschat"} - set(sys.modules)
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
    assert not (loaded := http & set(sys.modules)), (name, loaded)
"""
DOWNLOADS = f"{PACKAGE}.transfers.wtschat_files_to_object_storage"
"""Fetches files from elsewhere, and what it says of a failure stands beside the code that does."""


def test_parsing_a_dag_loads_nothing_that_speaks_http():
    """A Dag file is parsed every few seconds; who needs the hook to run loads it then."""
    parts = ("operators", "sensors", "transfers", "notifications", "extraction")
    names = [name for name in NAMES if part(name) in parts and name != DOWNLOADS]
    assert len(names) > 30
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, json.dumps(names)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_arrows_point_one_way():
    wrong = []
    for path, tree in sources():
        own = part(".".join((PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)))
        if own == "__init__":
            continue
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
                names = [f"{PACKAGE}.{alias.name}" for alias in node.names if alias.name != "__version__"]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                names = [node.module or ""]
            wrong += [
                f"{path.relative_to(ROOT)}:{node.lineno} imports {name}"
                for name in names
                if name.startswith(f"{PACKAGE}.") and part(name) not in MAY_IMPORT[own] | {own}
            ]
    assert wrong == []


def test_every_part_says_what_it_may_import():
    parts = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__"} == MAY_IMPORT.keys()


def test_the_page_draws_the_arrows_as_they_are():
    """Not all of them, or nobody could read it; but each one drawn is there, and every engine is drawn."""
    page = (ROOT.parent / "docs" / "how-it-is-built.md").read_text()
    arrows = re.findall(r"^    (\w+) --> (\w+)$", page, re.MULTILINE)
    assert [(start, end) for start, end in arrows if end not in MAY_IMPORT[start]] == []
    assert {name for arrow in arrows for name in arrow} >= {
        "campaigns",
        "extraction",
        "waiting",
        "warehouse",
        *BUILDING_BLOCKS,
    }


def test_api_takes_nothing_from_airflow():
    """Only the tree of exceptions, a module of its own, stands on Airflow."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in sources()
        if path.relative_to(ROOT).parts[0] == "api"
        for node in ast.walk(tree)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "airflow")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "airflow" for alias in node.names))
    ]
    assert wrong == []


def test_names_of_airflow_come_from_one_module():
    """Airflow's constraint files pin a common-compat that lacks some of them, and only `_compat` has fall-backs."""
    missing_somewhere = {f"airflow.providers.common.compat.{name}" for name in ("sdk", "connection", "triggers")}
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: import from {PACKAGE}._compat, and add the name there"
        for path, tree in sources()
        if path.name != "_compat.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in missing_somewhere
    ]
    assert wrong == []


def test_what_airflow_is_told_of_is_public():
    info = get_provider_info()
    told = {
        module
        for kind in ("hooks", "operators", "sensors", "triggers", "transfers")
        for item in info[kind]
        for module in (item.get("python-modules") or [item["python-module"]])
    }
    assert told - set(MODULES) == set(), "add it to PUBLIC in scripts/names.py"


def test_what_users_construct_is_public():
    """All but what others build on."""
    forgotten = [
        name_of(cls)
        for cls in airflow_classes()
        if cls.__module__ in MODULES and not cls.__subclasses__() and not shown(cls)
    ]
    assert forgotten == [], "add it to __all__"


def test_no_bare_airflow_exception_is_raised():
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id in ("AirflowException", "Exception")
    ]
    assert wrong == []


KEPT_UNDER_ANOTHER_NAME = {"dry_run": "rehearsal"}
"""Attribute by argument, for an argument with the name of a method of Airflow's that the attribute must not hide."""


@each(airflow_classes())
def test_arguments_shadow_nothing_of_airflow(cls):
    """An argument with the name of one of Airflow's would take that one's value out of ``default_args``."""
    base = airflow_base(cls)
    own = set(parameters(cls.__init__)) if "__init__" in vars(cls) else set()
    own -= KEPT_UNDER_ANOTHER_NAME.keys()
    attributes = set()
    for node in constructor_statements(cls):
        attributes |= {
            target.attr
            for target in ast.walk(node)
            if isinstance(target, ast.Attribute) and isinstance(target.ctx, ast.Store)
        }
    taken = {name for name in dir(base) if not name.startswith("__")} | set(parameters(base.__init__))
    # Airflow 2 has a method of this name, which nothing calls on an operator; default_args cannot hold it either.
    taken.discard("clear")
    if "conn_name_attr" in vars(cls):
        own.discard(cls.conn_name_attr)
    if AIRFLOW_2:
        own.discard("clear")  # a method for consoles, which Airflow itself never calls
    assert sorted(own & taken) == []


@each(airflow_classes())
def test_constructors_are_keyword_only(cls):
    allowed = {"wtschat_conn_id"} if issubclass(cls, bases()["hook"]) else set()
    positional = {
        name
        for name, parameter in parameters(cls.__init__).items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    }
    if cls.__init__ in (base.__init__ for base in bases().values()):
        return
    assert positional - allowed == set()


@each([cls for cls in airflow_classes() if not issubclass(cls, bases()["hook"])])
def test_connections_are_templated(cls):
    if not hasattr(cls, "template_fields"):
        return
    connections = {name for name in parameters(cls.__init__) if name.endswith("conn_id")}
    assert connections <= set(cls.template_fields)


@each([cls for cls in airflow_classes() if hasattr(cls, "template_fields")])
def test_templated_fields_are_arguments(cls):
    known = {
        name for each_class in cls.__mro__ if "__init__" in vars(each_class) for name in parameters(each_class.__init__)
    }
    assert set(cls.template_fields) <= known | {KEPT_UNDER_ANOTHER_NAME.get(name) for name in known}
    assert isinstance(cls.template_fields, tuple | list)


def constructor_statements(cls: type) -> list[ast.stmt]:
    if "__init__" not in vars(cls):
        return []
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls)))
    (definition,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    (constructor,) = (node for node in definition.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    return constructor.body


@each([cls for cls in airflow_classes() if issubclass(cls, bases()["operator"])])
def test_operators_only_assign_in_their_constructors(cls):
    """Mapped and templated arguments are not there yet, so nothing may be made of them."""
    for node in constructor_statements(cls):
        source = ast.unparse(node)
        if source.startswith("super().__init__("):
            continue
        target, _, value = source.partition(" = ")
        assert re.fullmatch(r"self\.\w+(: .+)?", target), source
        assert value in parameters(cls.__init__) or isinstance(ast.parse(value).body[0].value, ast.Constant), source


def documented(docs: list[str], name: str) -> bool:
    return any(re.search(rf":param (\w+ )?{re.escape(name)}:", doc) for doc in docs)


@each([cls for cls in own_classes() if shown(cls)])
def test_constructor_arguments_are_documented(cls):
    if is_typeddict(cls):
        return
    assert cls.__doc__
    if issubclass(cls, tuple):
        return
    own = [base for base in cls.__mro__ if base.__module__.startswith(PACKAGE)]
    constructors = [base.__init__ for base in own if "__init__" in vars(base)]
    docs = [item.__doc__ or "" for item in (*own, *constructors)]
    explained = {item.name for item in fields(cls) if "help" in item.metadata} if is_dataclass(cls) else set()
    names = {name for constructor in constructors for name in parameters(constructor)} - explained
    assert sorted(name for name in names if not documented(docs, name)) == []


def own_functions() -> list[Any]:
    """Public functions, and those public methods that are not an answer to a class of another package."""
    functions = [
        value
        for module in modules()
        for value in vars(module).values()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and shown(value)
    ]
    for cls in own_classes():
        if not shown(cls):
            continue
        theirs = {name for base in cls.__mro__[1:] for name in vars(base)}
        functions += [
            value
            for name, value in ((name, getattr(value, "__func__", value)) for name, value in vars(cls).items())
            if inspect.isfunction(value) and shown(value) and name not in theirs and value.__module__ == cls.__module__
        ]
    return functions


@pytest.mark.parametrize("function", own_functions(), ids=name_of)
def test_parameters_of_functions_are_documented(function):
    assert inspect.getdoc(function)
    assert [name for name in parameters(function) if not documented([function.__doc__ or ""], name)] == []


def test_shared_arguments_are_shown_as_type_checkers_take_them():
    """``@taking(A, B)`` is what signature and reference show, ``Unpack[AB]`` what a type checker reads."""
    sharing = [function for function in own_functions() if "shared" in getattr(function, "__annotations__", {})]
    assert len(sharing) >= 12
    for function in sharing:
        (taken,) = get_args(get_type_hints(function)["shared"])
        own = set(function.__code__.co_varnames[: function.__code__.co_argcount + function.__code__.co_kwonlyargcount])
        assert set(parameters(function)) - own == set(taken.__annotations__), name_of(function)


OF_TEXTS = {"startswith", "endswith", "removeprefix", "removesuffix", "replace", "split", "partition", "find", "lower"}


def messages_read(tree: ast.Module) -> Iterator[int]:
    """Lines that compare, search or split what an error says, where its attributes would tell."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        errors = {node.name for node in ast.walk(function) if isinstance(node, ast.ExceptHandler) and node.name}
        errors |= {
            argument.arg
            for argument in (*function.args.args, *function.args.kwonlyargs)
            if argument.annotation and re.search(r"(Error|Exception)\b", ast.unparse(argument.annotation))
        }
        errors |= {"error", "exception", "raised"}
        said = {"message", "msg", "problem"}

        def a_message(node: ast.AST, errors: set[str] = errors, said: set[str] = said) -> bool:
            if isinstance(node, ast.Call):
                given = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in ("str", "repr"):
                    return isinstance(node.args[0], ast.Name) and node.args[0].id in errors
                return name in OF_TEXTS and any(map(a_message, given))
            return isinstance(node, ast.Name) and node.id in said

        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and a_message(node.value):
                said |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and node.attr == "args":
                wrong = isinstance(node.value, ast.Name) and node.value.id in errors
            elif isinstance(node, ast.Attribute):
                wrong = node.attr in OF_TEXTS and a_message(node.value)
            elif isinstance(node, ast.Compare):
                at_hand = [node.left, *node.comparators]
                to_none = any(isinstance(item, ast.Constant) and item.value is None for item in at_hand)
                wrong = not to_none and any(map(a_message, at_hand))
            elif isinstance(node, ast.Call):
                module = node.func.value if isinstance(node.func, ast.Attribute) else None
                wrong = isinstance(module, ast.Name) and module.id == "re" and any(map(a_message, node.args))
            else:
                wrong = False
            if wrong:
                yield node.lineno


def test_rewording_a_message_changes_no_behaviour():
    """What happened is told by attributes, enums and types; a message is for people."""
    found = {
        str(path.relative_to(ROOT)): len(lines)
        for path, tree in sources()
        if path.relative_to(ROOT).parts[0] != "simulator" and (lines := sorted(set(messages_read(tree))))
    }
    # Drivers of MySQL give an error's number, which is no message, in no other place than the first argument.
    assert found == {"sql/errors.py": 1}


@pytest.mark.parametrize(
    "code",
    [
        "str(error) == 'x'",
        "'x' in str(error)",
        "str(error).startswith('x')",
        "re.match('x', str(error))",
        "error.args[0]",
        "problem.startswith('x')",
        "msg = str(error)\n    msg.split(':')",
        "words = str(error).replace('a', 'b')",
    ],
)
def test_reading_a_message_is_noticed(code):
    assert list(messages_read(ast.parse(f"def f(error: ValueError, problem):\n    {code}")))

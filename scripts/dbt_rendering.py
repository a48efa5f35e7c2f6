"""
The models without dbt: as much of it as they use, for DuckDB, so that the default tests run their SQL.

What dbt itself makes of them is shown where it is there (`make models`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import yaml

from scripts.dbt_sources import PACKAGE

MODELS = {path.stem: path for path in (PACKAGE / "models").rglob("*.sql")}
TESTS = {path.stem: path for path in (PACKAGE / "tests").glob("*.sql")}
_REFERENCE = re.compile(r"ref\('(\w+)'\)")


class _Returned(Exception):  # it is no error
    """How a macro gives back what is no text."""


class _Adapter:
    def __init__(self, macros: Mapping[str, Any], cursor: Any) -> None:
        self._macros = macros
        self._cursor = cursor

    def dispatch(self, name: str, package: str) -> Any:
        return self._macros.get(f"duckdb__{name}") or self._macros[f"default__{name}"]

    def get_relation(self, database: Any, schema: Any, identifier: str) -> str | None:
        self._cursor.execute("SELECT 1 FROM information_schema.tables WHERE table_name = ?", [identifier])
        return identifier if self._cursor.fetchone() else None

    def get_columns_in_relation(self, relation: str) -> list[Any]:
        self._cursor.execute(f"DESCRIBE {relation}")
        return [SimpleNamespace(name=row[0], dtype=row[1]) for row in self._cursor.fetchall()]


def _dbt() -> SimpleNamespace:
    """As much of dbt's own macros for DuckDB as there is need for."""

    def series(number: Any) -> str:
        return f"select generate_series as generated_number from generate_series(1, {number})"  # noqa: S608  # ours

    types = {"string": "varchar", "bigint": "bigint", "int": "int", "float": "float", "numeric": "numeric(28,6)",
             "boolean": "boolean"}  # fmt: skip
    return SimpleNamespace(
        datediff=lambda first, second, part: f"date_diff('{part}', ({first})::timestamp, ({second})::timestamp)",
        dateadd=lambda part, number, start: f"({start} + cast({number} as bigint) * interval 1 {part})",
        generate_series=series,
        string_literal=lambda text: "'{}'".format(str(text).replace("'", "''")),
        **{f"type_{name}": (lambda made=made: made) for name, made in types.items()},
    )


class Project:
    """
    The package, rendered and run on DuckDB.

    :param cursor: cursor of a database with landing tables
    :param variables: variables in place of the package's defaults
    """

    def __init__(self, cursor: Any, **variables: Any) -> None:
        self._cursor = cursor
        told = yaml.safe_load((PACKAGE / "dbt_project.yml").read_text())["vars"]["wtschat"]
        self._variables = {**told, **variables}
        self._sources = {
            name: self._text(found["identifier"]).render(var=self._variables.get)
            for found in yaml.safe_load((PACKAGE / "models" / "staging" / "_sources.yml").read_text())["sources"][0][
                "tables"
            ]
            for name in (found["name"],)
        }
        macros: dict[str, Any] = {}
        self._names = {
            "var": lambda name, default=None: self._variables.get(name, default),
            "ref": str,
            "source": lambda _, name: _Relation(self._sources[name]),
            "config": lambda **_: "",
            "is_incremental": lambda: False,
            "flags": SimpleNamespace(WHICH="run"),
            "execute": True,
            "return": self._give_back,
            "adapter": _Adapter(macros, cursor),
            "dbt": _dbt(),
            "wtschat": SimpleNamespace(),
        }
        for path in sorted((PACKAGE / "macros").glob("*.sql")):
            for name, macro in vars(self._text(path.read_text()).make_module(self._names)).items():
                if isinstance(macro, jinja2.runtime.Macro):
                    macros[name] = self._calling(macro)
        vars(self._names["wtschat"]).update(macros)

    def sql(self, path: Path) -> str:
        """Render a model or a test."""
        return self._text(path.read_text()).render(self._names)

    def build(self) -> None:
        """Make all models, each after those that it reads."""
        for name in ordered():
            kind = "VIEW" if name.startswith("stg_") else "TABLE"
            self._cursor.execute(f"CREATE {kind} {name} AS {self.sql(MODELS[name])}")

    def columns(self, model: str) -> list[str]:
        """Return the names of a built model's columns."""
        return [row[0] for row in self._cursor.execute(f"DESCRIBE {model}").fetchall()]

    @staticmethod
    def _text(text: str) -> jinja2.Template:
        how: dict[str, Any] = {"extensions": ["jinja2.ext.do"], "undefined": jinja2.StrictUndefined}
        return jinja2.Environment(**how).from_string(text)  # noqa: S701  # it makes SQL

    @staticmethod
    def _give_back(value: Any) -> None:
        raise _Returned(value)

    @staticmethod
    def _calling(macro: Any) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return str(macro(*arguments, **named))
            except _Returned as returned:
                return returned.args[0]

        return call


class _Relation(str):
    """Name of a landing table."""

    database = schema = None

    @property
    def identifier(self) -> str:
        """The name."""
        return str(self)


def ordered() -> Iterator[str]:
    """Give the names of the models, each after those that it reads."""
    reads = {name: set(_REFERENCE.findall(path.read_text())) for name, path in MODELS.items()}
    done: set[str] = set()
    while left := [name for name in sorted(reads) if name not in done]:
        ready = [name for name in left if reads[name] <= done]
        if not ready:
            raise ValueError(f"they read each other: {left}")
        yield from ready
        done |= set(ready)

"""The table of everything that can be called, in docs/operators.md; this module run by itself writes it."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_wtschat.api.operations import OPERATIONS
from tests.operators.cases import operators

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
REQUEST = re.compile(r"``((?:GET|POST|PUT|DELETE) /[^`]+)``")
HEAD = "| Action | Function | Operator | Request |\n| --- | --- | --- | --- |\n"


def requests_of(operator: type) -> set[str]:
    """Return the requests that an operator's docstring names."""
    docs = [cls.__doc__ or "" for cls in operator.__mro__ if cls.__module__.startswith("airflow_provider_wtschat")]
    return set(REQUEST.findall("\n".join(docs)))


def table() -> str:
    """Return the table as it has to be."""
    known = {operator.__name__: requests_of(operator) for operator in operators() if hasattr(operator, "operation")}
    rows = []
    for action, function in OPERATIONS.items():
        (request,) = REQUEST.findall(function.__doc__.split(":param")[0])[:1]
        names = sorted(name for name, requests in known.items() if request in requests) or ["WtsChatOperator"]
        module = function.__module__.rpartition(".")[2]
        cells = [
            f"`{action}`",
            f"`{module}.{function.__name__}`",
            ", ".join(f"`{name}`" for name in names),
            f"`{request}`",
        ]
        rows.append(f"| {' | '.join(cells)} |\n")
    return HEAD + "".join(rows)


def test_the_page_holds_the_table():
    assert PAGE.read_text().endswith(table()), "run: python -m tests.operators.test_table"


def test_every_operator_is_in_the_table():
    missing = [operator.__name__ for operator in operators() if f"`{operator.__name__}`" not in table()]
    assert missing == []


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(HEAD)[0] + table())

"""Write what the dbt package knows of the landing tables: ``python -m scripts.dbt_sources``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from airflow_provider_wtschat.warehouse.dictionary import PREFIX, reference, tables
from airflow_provider_wtschat.warehouse.tables import HASH, LOADED_AT, PAYLOAD, table

PACKAGE = Path(__file__).parents[1] / "dbt_wtschat"
_BY_SCRIPT = "Made by `python -m scripts.dbt_sources`"
_VERSIONED = {"session_versions": "sessions", "card_versions": "cards"}
"""Tables with every version that was seen, by the name of their model."""

CAMPAIGN = {
    "campaign": ("text", "the dispatch"),
    "seq": ("integer", "number of the row in the plan"),
    "row_key": ("text", "key of the row"),
    "sender_id": ("text", "id that the message carries"),
    "status": ("text", "planned, claimed, sent, refused, uncertain, suppressed or held_out"),
    "claimed_at": ("written", "when a try took the row to send it"),
    "message_id": ("id", "id of the message"),
    "reason": ("text", "why it was not sent, or failed"),
    "delivery": ("text", "status of the message, once it was followed up"),
    "failed_key": ("text", "key of the error"),
    "contact_id": ("id", "the contact that got it"),
    "session_id": ("id", "the session that it is in"),
    "template_id": ("id", "the template"),
    "sent_at": ("written", "when it was sent"),
    "delivered_at": ("written", "when it arrived"),
    "read_at": ("written", "when it was read"),
    "replied_at": ("written", "when the contact replied"),
}
"""What the models take of the table of dispatches, with the kind of each column; no personal data."""


def landing() -> dict[str, list[tuple[str, str, str]]]:
    """
    List the columns of the landing tables, without payload and hash.

    :return: by name of the table, without the prefix: name, kind and description of each column
    """
    found: dict[str, list[tuple[str, str, str]]] = {}
    for name, made in tables():
        columns = []
        for column in made.stored:
            if column in (PAYLOAD, HASH):
                continue
            points = reference(name, column)
            comment = column.comment + (f"; points at {points[0]}.{points[1]}" if points else "")
            columns.append((column.name, column.kind.value, comment))
        found[name] = columns
    for name, resource in _VERSIONED.items():
        of_history = (*table(resource).loaded, LOADED_AT)
        found[name] = [
            (column.name, column.kind.value, column.comment) for column in of_history if column not in (PAYLOAD, HASH)
        ]
    found["campaign"] = [(name, kind, comment) for name, (kind, comment) in CAMPAIGN.items()]
    return found


def files() -> Mapping[Path, str]:
    """
    Write the files.

    :return: what is in each, by its path
    """
    tables_ = landing()
    staging = PACKAGE / "models" / "staging"
    made = {
        PACKAGE / "macros" / "landing.sql": _macro(tables_),
        staging / "_sources.yml": "\n".join(_sources(tables_)) + "\n",
        staging / "_staging.yml": "\n".join(_models(tables_)) + "\n",
    }
    for name in tables_:
        made[staging / f"stg_wtschat__{name}.sql"] = f"{{{{ wtschat.staged('{name}') }}}}\n"
    return made


def _macro(tables_: Mapping[str, list[tuple[str, str, str]]]) -> str:
    lines = [
        f"{{# {_BY_SCRIPT}. #}}",
        "{% macro landing_columns(table) %}",
        "  {% set columns = {",
    ]
    for name, columns in tables_.items():
        lines.append(f"    '{name}': [")
        lines += [f"      ('{column}', '{kind}')," for column, kind, _ in columns]
        lines.append("    ],")
    return "\n".join([*lines, "  } %}", "  {{ return(columns[table]) }}", "{% endmacro %}", ""])


def _sources(tables_: Mapping[str, list[tuple[str, str, str]]]) -> Iterator[str]:
    yield from (
        f"# {_BY_SCRIPT}.",
        "version: 2",
        "sources:",
        "  - name: wtschat",
        "    description: What the loads of airflow-provider-wtschat write",
        "    database: \"{{ var('wtschat_database') or target.database }}\"",
        "    schema: \"{{ var('wtschat_schema') or target.schema }}\"",
        "    config:",
        '      loaded_at_field: "loaded_at"',
        "    tables:",
    )
    for name, columns in tables_.items():
        landing = f"{_VERSIONED[name]}_history" if name in _VERSIONED else name
        identifier = f"{{{{ var('wtschat_prefix', '{PREFIX}') }}}}{landing}"
        if name == "campaign":
            identifier = "{{ var('wtschat_campaign_table', 'wtschat_campaign') }}"
        # OpenLineage, and so Cosmos, takes a source's name for that of the table, whatever the identifier is.
        yield f"      - name: {PREFIX}{landing}"
        yield f'        identifier: "{identifier}"'
        yield "        columns:"
        for column, _, comment in columns:
            yield f"          - {{name: {column}, description: {json.dumps(comment)}}}"


def _models(tables_: Mapping[str, list[tuple[str, str, str]]]) -> Iterator[str]:
    yield from (f"# {_BY_SCRIPT}.", "version: 2", "models:")
    for name, columns in tables_.items():
        of = f"versions of {_VERSIONED[name]} that loads have seen" if name in _VERSIONED else f"`{PREFIX}{name}`"
        yield f"  - name: stg_wtschat__{name}"
        yield f'    description: "{of}, with one type for each column on every database; instants in UTC"'
        if name == "campaign":
            yield "    data_tests:"
            yield "      - wtschat.unique_together: {arguments: {columns: [campaign, seq]}}"
        yield "    columns:"
        for column, _, comment in columns:
            shown = "deleted_at" if column == "missing_since" else column
            tests = ""
            if name == "campaign" and column in ("campaign", "seq", "sender_id"):
                tests = ", data_tests: [not_null]"
            if column == "id":
                tests = ", data_tests: [not_null]" if name in _VERSIONED else ", data_tests: [unique, not_null]"
            yield f"      - {{name: {shown}, description: {json.dumps(comment)}{tests}}}"


if __name__ == "__main__":
    wanted = files()
    for path in (PACKAGE / "models" / "staging").glob("*"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.write_text(text)

"""The data dictionary: all tables, their columns, and how they point at each other."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_wtschat.extraction import RESOURCES
from airflow_provider_wtschat.warehouse.tables import CHILDREN, PARTS, Column, Kinds, Table, child_table, table

PREFIX = "wtschat_"
"""What the default names of tables begin with."""

REFERENCES = {
    "agent_id": ("agents", "id"),
    "bot_id": ("chatbots", "id"),
    "card_id": ("cards", "id"),
    "channel_id": ("channels", "id"),
    "company_id": ("company", "id"),
    "contact_id": ("contacts", "id"),
    "department_id": ("departments", "id"),
    "default_department_id": ("departments", "id"),
    "lost_reason_id": ("lost_reasons", "id"),
    "message_id": ("messages", "id"),
    "panel_id": ("panels", "id"),
    "portfolio_id": ("portfolios", "id"),
    "responsible_user_id": ("agents", "user_id"),
    "sequence_id": ("sequences", "id"),
    "session_id": ("sessions", "id"),
    "step_id": ("panels_steps", "id"),
    "tag_id": ("tags", "id"),
    "template_id": ("templates", "id"),
    "user_id": ("agents", "user_id"),
}
"""By column with an id: the table and the column that it points at."""

_ELSEWHERE = {("cards_tags", "tag_id")}
"""Columns that point at something that has no table: tags of cards are those of their panel."""


def tables() -> Iterator[tuple[str, Table]]:
    """Give all tables by their default names, without the prefix."""
    for resource in RESOURCES:
        yield resource, table(resource)
        for part, field in PARTS.get(resource, {}).items():
            yield f"{resource}_{field}", table(part)
        for child in CHILDREN.get(resource, ()):
            yield f"{resource}_{child.name}", child_table(resource, child)


def reference(name: str, column: Column) -> tuple[str, str] | None:
    """
    Return the table and the column that a column points at.

    :param name: name of its table, without the prefix
    """
    found = REFERENCES.get(column.name)
    if found is None or (name, column.name) in _ELSEWHERE or (name, column.name) == found:
        return None
    return found


def markdown() -> str:
    """Write the data dictionary as Markdown, with a diagram."""
    lines = [
        "# Data dictionary",
        "",
        "The tables that `WtsChatToSqlOperator` makes, by their default names. This page is made by",
        "`python -m scripts.dictionary`. Types of each database are in [warehouse.md](warehouse.md). There is one row",
        "for each `id`.",
        "",
        "<!-- diagram: tables: The tables of a warehouse, and which columns point from one to another -->",
        "",
        "```mermaid",
        "erDiagram",
    ]
    drawn: set[tuple[str, str, str]] = set()
    for name, made in tables():
        for column in made.columns:
            found = reference(name, column)
            # Nearly every table has the company's id.
            clutter = found == REFERENCES["company_id"] and name != "office_hours"
            if found is not None and not clutter and (found[0], name, column.name) not in drawn:
                drawn.add((found[0], name, column.name))
                lines.append(f"    {PREFIX}{found[0]} |o--o{{ {PREFIX}{name} : {column.name}")
    lines.append("```")
    for name, made in tables():
        lines += ["", f"## {PREFIX}{name}", "", "| Column | Type | |", "| --- | --- | --- |"]
        for column in made.stored:
            found = reference(name, column)
            points = f"; `{PREFIX}{found[0]}.{found[1]}`" if found else ""
            index = "; indexed" if column.name in made.indexes else ""
            lines.append(f"| `{column.name}` | {_TYPES[column.kind]} | {column.comment}{points}{index} |")
    return "\n".join(lines) + "\n"


_TYPES = {
    Kinds.ID: "id",
    Kinds.TEXT: "text",
    Kinds.INSTANT: "instant",
    Kinds.INTEGER: "integer",
    Kinds.NUMBER: "number",
    Kinds.MONEY: "decimal(18, 4)",
    Kinds.BOOLEAN: "boolean",
    Kinds.JSON: "JSON",
    Kinds.HASH: "text of 64 letters",
}

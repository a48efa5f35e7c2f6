"""Portfolios and who belongs to them."""

from __future__ import annotations

from typing import Any

from airflow_provider_wtschat.simulator import views
from airflow_provider_wtschat.simulator.errors import form_error, not_found
from airflow_provider_wtschat.simulator.records import Contact, Record, member_id
from airflow_provider_wtschat.simulator.routes.call import (
    DEFAULT_PAGE_SIZE,
    Call,
    Paging,
    by_id,
    handles,
    list_page,
    page,
    query_bounds,
)
from airflow_provider_wtschat.simulator.routes.contacts import join_portfolio
from airflow_provider_wtschat.simulator.routes.sequences import many_contacts, one_contact
from airflow_provider_wtschat.simulator.world import World


@handles("GET /core/v1/portfolio")
def list_portfolios(call: Call) -> Any:
    """List portfolios."""
    world, details = call.world, call.query.many("IncludeDetails")

    def view(row: Record) -> dict[str, Any]:
        return {
            **views.record(row),
            "contactsCount": len(_members(world, row)) if "ContactCount" in details else 0,
            "departments": row["_departments"] if "Departments" in details else None,
        }

    return list_page(call, world.portfolios, view)


@handles("GET /core/v1/portfolio/{id}/contact")
def list_contacts(call: Call) -> Any:
    """List the contacts of a portfolio, whose paging has names of its own."""
    world, query = call.world, call.query
    wanted = frozenset(query.many("ContactIds"))
    rows = [row for row in _members(world, _portfolio(call)) if not wanted or row["contactId"] in wanted]
    if query.get("CreatedAt.IsNull") or query.get("UpdatedAt.IsNull"):
        rows = []  # no row lacks these instants
    descending = query.get("OrderByDesc")
    token = query.get("NextPageToken")
    if token and not token.isdecimal():
        raise form_error("Página inválida")
    number = int(token or query.get("Page", 1))
    direction = "DESCENDING" if descending else "ASCENDING" if query.get("OrderBy") else None
    result = page(
        world,
        rows,
        lambda row: views.portfolio_contact(world, row),
        paging=Paging(number, query.get("PageSize", DEFAULT_PAGE_SIZE), descending or query.get("OrderBy"), direction),
        bounds=query_bounds(query, ("CreatedAt", "UpdatedAt")),
    )
    if query.get("SkipCount"):
        result |= {"totalItems": 0, "totalPages": 0}
    return result


@handles("POST /core/v1/portfolio/{id}/contact")
def add_contact(call: Call) -> Any:
    """Put one contact into a portfolio."""
    return views.portfolio_contact(call.world, _add(call, one_contact(call.world, call.body)))


@handles("POST /core/v1/portfolio/{id}/contact/batch")
def add_contacts(call: Call) -> Any:
    """Put many contacts into a portfolio; unknown phones are left out."""
    world = call.world
    rows = [_add(call, contact) for contact in many_contacts(world, call.body, create=False)]
    return page(world, rows, lambda row: views.portfolio_contact(world, row))


@handles("DELETE /core/v1/portfolio/{id}/contact")
def remove_contact(call: Call) -> Any:
    """Take one contact out of a portfolio."""
    if not _remove(call, one_contact(call.world, call.body)):
        raise not_found("O contato não está na carteira")


@handles("DELETE /core/v1/portfolio/{id}/contact/batch")
def remove_contacts(call: Call) -> Any:
    """Take many contacts out of a portfolio."""
    for contact in many_contacts(call.world, call.body, create=False):
        _remove(call, contact)


def _portfolio(call: Call) -> Record:
    return by_id(call.world.portfolios, call.path["id"], "Carteira não encontrada")


def _members(world: World, portfolio: Record) -> list[Record]:
    return [row for row in world.portfolio_contacts if row["portfolioId"] == portfolio.id]


def _add(call: Call, contact: Contact) -> Record:
    portfolio = _portfolio(call)
    join_portfolio(call.world, portfolio, contact)
    row_id = member_id(portfolio.id, contact.id)
    call.touched(row_id)
    return by_id(call.world.portfolio_contacts, row_id, "Contato não encontrado")


def _remove(call: Call, contact: Contact) -> bool:
    world, portfolio = call.world, _portfolio(call)
    row = world.portfolio_contacts.delete(member_id(portfolio.id, contact.id))
    if row is None:
        return False
    rest = tuple(one for one in contact.portfolio_ids if one != portfolio.id)
    world.change_contact(contact.id, portfolio_ids=rest)
    call.touched(row.id)
    return True

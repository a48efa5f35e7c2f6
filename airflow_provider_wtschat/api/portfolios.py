"""Portfolios: groups of contacts that agents look after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from airflow_provider_wtschat.api import _bodies
from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api._shared import Listed, ManyContacts, OneContact, taking
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.request import Page, PagedRequest, Paging, Request
from airflow_provider_wtschat.api.types import Portfolio, PortfolioContact, PortfolioDetail, PortfolioPageType
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

__all__ = ["add_contact", "add_contacts", "list_", "list_contacts", "remove_contact", "remove_contacts"]


@taking(Listed)
def list_(
    *,
    include_details: Sequence[str] | str | None = None,
    **shared: Unpack[Listed],
) -> PagedRequest[Portfolio]:
    """
    List portfolios: ``GET /core/v1/portfolio``.

    :param include_details: what to add, see :class:`~airflow_provider_wtschat.api.types.PortfolioDetail`
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.Portfolio`
    :raises WtsChatArgumentError: if an argument is refused
    """
    return build.listing(
        "/core/v1/portfolio",
        Portfolio,
        shared,
        query=convert.query(IncludeDetails=convert.choices("include_details", include_details, PortfolioDetail)),
    )


def list_contacts(
    portfolio_id: str,
    *,
    contact_ids: Sequence[str] | str | None = None,
    created_after: When | None = None,
    created_before: When | None = None,
    created_apply_company_timezone: bool | None = None,
    created_is_null: bool | None = None,
    updated_after: When | None = None,
    updated_before: When | None = None,
    updated_apply_company_timezone: bool | None = None,
    updated_is_null: bool | None = None,
    timestamp_field: str | None = None,
    timestamp_filter: When | None = None,
    next_page_token: str | None = None,
    page_type: str | None = None,
    skip_count: bool | None = None,
    timezone: str = "UTC",
    order_by: str | None = None,
    order_direction: str | None = None,
) -> PagedRequest[PortfolioContact]:
    """
    List the contacts of a portfolio: ``GET /core/v1/portfolio/{id}/contact``.

    This list pages by parameters of its own and is read by page number: rows that change meanwhile can slip from one
    page to another. ``timestamp_field`` to ``skip_count`` are for reading single pages.

    :param portfolio_id: id of the portfolio
    :param contact_ids: ids of contacts
    :param created_after: lower bound of the creation
    :param created_before: upper bound of the creation
    :param created_apply_company_timezone: the API's ``CreatedAt.ApplyCompanyTimezone``: whether it reads the bounds in
        the company's time zone
    :param created_is_null: the API's ``CreatedAt.IsNull``
    :param updated_after: lower bound of the last change
    :param updated_before: upper bound of the last change
    :param updated_apply_company_timezone: the API's ``UpdatedAt.ApplyCompanyTimezone``
    :param updated_is_null: the API's ``UpdatedAt.IsNull``
    :param timestamp_field: the API's ``TimestampField``, for paging by timestamp
    :param timestamp_filter: the API's ``TimestampFilter``, for paging by timestamp
    :param next_page_token: the API's ``NextPageToken``, for paging by token
    :param page_type: how the API pages: ``PageNumber``, ``Timestamp`` or ``Token``
    :param skip_count: do not count the rows. Default: count them
    :param timezone: IANA time zone of dates that have none. Default: UTC
    :param order_by: name of the field to sort by
    :param order_direction: ``ASCENDING`` or ``DESCENDING``, with ``order_by`` only
    :return: the request; its rows are :class:`~airflow_provider_wtschat.api.types.PortfolioContact`
    :raises WtsChatArgumentError: if an argument is refused
    """
    path_params = _id(portfolio_id)
    contacts = convert.some("contact_ids", convert.uuids("contact_ids", contact_ids))
    order = convert.order(order_by, order_direction)
    if order["order_direction"] and not order["order_by"]:
        msg = "this list takes a direction only together with order_by"
        raise WtsChatArgumentError("order_direction", msg)
    return PagedRequest(
        method="GET",
        route="/core/v1/portfolio/{id}/contact",
        path_params=path_params,
        query=convert.query(
            CreatedAt__ApplyCompanyTimezone=convert.boolean(
                "created_apply_company_timezone", created_apply_company_timezone
            ),
            CreatedAt__IsNull=convert.boolean("created_is_null", created_is_null),
            UpdatedAt__ApplyCompanyTimezone=convert.boolean(
                "updated_apply_company_timezone", updated_apply_company_timezone
            ),
            UpdatedAt__IsNull=convert.boolean("updated_is_null", updated_is_null),
            ContactIds=contacts,
            TimestampField=convert.text("timestamp_field", timestamp_field),
            TimestampFilter=convert.instant("timestamp_filter", timestamp_filter, timezone),
            NextPageToken=convert.text("next_page_token", next_page_token),
            Type=convert.choice("page_type", page_type, PortfolioPageType, never=(PortfolioPageType.UNDEFINED,)),
            SkipCount=convert.boolean("skip_count", skip_count),
        )
        + convert.period(created_after, created_before, updated_after, updated_before, timezone),
        result=PortfolioContact,
        safe_to_repeat=True,
        paging=Paging.PORTFOLIO,
        bounds=("CreatedAt", "UpdatedAt"),
        filters=convert.filters(portfolioId=path_params["id"], contactId=contacts),
        **order,
    )


@taking(OneContact)
def add_contact(portfolio_id: str, **shared: Unpack[OneContact]) -> Request[PortfolioContact]:
    """
    Add a contact to a portfolio: ``POST /core/v1/portfolio/{id}/contact``.

    :param portfolio_id: id of the portfolio
    :raises WtsChatArgumentError: if an argument is refused, or not exactly one of contact and phone number is given
    """
    return build.post(
        "/core/v1/portfolio/{id}/contact",
        PortfolioContact,
        _id(portfolio_id),
        body=_bodies.contact(**shared),
        # Who is in a portfolio stays in it: a second time adds nobody and writes to nobody.
        safe_to_repeat=True,
    )


@taking(OneContact)
def remove_contact(portfolio_id: str, **shared: Unpack[OneContact]) -> Request[None]:
    """
    Remove a contact from a portfolio: ``DELETE /core/v1/portfolio/{id}/contact``.

    :param portfolio_id: id of the portfolio
    :raises WtsChatArgumentError: if an argument is refused, or not exactly one of contact and phone number is given
    """
    return build.delete(
        "/core/v1/portfolio/{id}/contact",
        type(None),
        _id(portfolio_id),
        body=_bodies.contact(**shared),
    )


@taking(ManyContacts)
def add_contacts(portfolio_id: str, **shared: Unpack[ManyContacts]) -> Request[Page[PortfolioContact]]:
    """
    Add contacts to a portfolio: ``POST /core/v1/portfolio/{id}/contact/batch``.

    :param portfolio_id: id of the portfolio
    :return: the request; its answer is the envelope of a page
    :raises WtsChatArgumentError: if an argument is refused, or no contacts are given
    """
    return build.post(
        "/core/v1/portfolio/{id}/contact/batch",
        Page,
        _id(portfolio_id),
        body=_bodies.contacts(**shared),
        # Who is in a portfolio stays in it: a second time adds nobody and writes to nobody.
        safe_to_repeat=True,
    )


@taking(ManyContacts)
def remove_contacts(portfolio_id: str, **shared: Unpack[ManyContacts]) -> Request[None]:
    """
    Remove contacts from a portfolio: ``DELETE /core/v1/portfolio/{id}/contact/batch``.

    :param portfolio_id: id of the portfolio
    :raises WtsChatArgumentError: if an argument is refused, or no contacts are given
    """
    return build.delete(
        "/core/v1/portfolio/{id}/contact/batch",
        type(None),
        _id(portfolio_id),
        body=_bodies.contacts(**shared),
    )


def _id(portfolio_id: str) -> dict[str, str]:
    return {"id": convert.required_uuid("portfolio_id", portfolio_id)}

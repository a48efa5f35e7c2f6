"""Office hours of the account."""

from __future__ import annotations

from airflow_provider_wtschat.api import _build as build
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import OfficeHours

__all__ = ["get"]


def get() -> Request[OfficeHours]:
    """Get the office hours: ``GET /core/v1/company/officehours``."""
    return build.get("/core/v1/company/officehours", OfficeHours)

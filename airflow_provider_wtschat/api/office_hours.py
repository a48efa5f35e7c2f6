"""Office hours of the account."""

from __future__ import annotations

from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import OfficeHours

__all__ = ["get"]


def get() -> Request[OfficeHours]:
    """Get the office hours: ``GET /core/v1/company/officehours``."""
    return Request(method="GET", route="/core/v1/company/officehours", result=OfficeHours, safe_to_repeat=True)

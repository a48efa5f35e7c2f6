"""
The provider's page in Airflow's UI, Airflow 3.1 and later: loads, the request budget, campaigns and waits.

The page is static. What it shows of Dags it asks Airflow's public REST API for in the browser, as the user who looks,
so that their permissions hold. Only what no Dag knows (the budget, the inbox of webhooks) is served from here.
"""

from __future__ import annotations

from airflow_provider_wtschat.page._app import PREFIX, Page

__all__ = ["PREFIX", "Page"]

"""What Airflow is told about this package."""

from __future__ import annotations

from typing import Any

__all__ = ["CONN_FIELDS", "INTEGRATION", "UI_FIELD_BEHAVIOUR", "get_provider_info"]

INTEGRATION = "WTS Chat"

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["login", "extra"],
    "relabeling": {
        "password": "API token",
        "host": "Base URL",
        "schema": "Scheme",
    },
    "placeholders": {
        "password": "pn_..., with or without Bearer",
        "host": "https://api.wts.chat",
        "port": "443",
        "schema": "https",
    },
}
"""The standard fields of the connection form. The hook shows the same to the releases that ask it (before 3.2)."""

CONN_FIELDS: dict[str, dict[str, Any]] = {
    "timeout": {
        "label": "Read timeout",
        "description": "Seconds to wait for an answer. A synchronous send can take 25.",
        "schema": {"type": ["integer", "null"], "default": 60, "minimum": 1, "maximum": 600},
    },
    "max_retries": {
        "label": "Retries",
        "description": "How often a request is repeated when that can help and cannot harm.",
        "schema": {"type": ["integer", "null"], "default": 5, "minimum": 0, "maximum": 20},
    },
    "page_size": {
        "label": "Page size",
        "description": "Rows per request when lists are read. The API refuses more than 100.",
        "schema": {"type": ["integer", "null"], "default": 100, "minimum": 1, "maximum": 100},
    },
    "account": {
        "label": "Account",
        "description": (
            "Any name, the same for all connections of one account: they share its request limit. "
            "Without a name, connections with the same token share it."
        ),
        "schema": {"type": ["string", "null"], "maxLength": 200},
    },
    "verify_ssl": {
        "label": "Verify TLS",
        "description": "Whether to check the server's certificate.",
        "schema": {"type": ["boolean", "null"], "default": True},
    },
    "proxies": {
        "label": "Proxies",
        "description": 'Proxy by scheme, as JSON: {"https": "http://proxy.example:3128"}.',
        "schema": {"type": ["string", "null"], "format": "password"},
    },
}
"""The connection's extras, with the bounds that hold for them. Each may be left empty."""

_ASSET_URIS = [
    {
        "schemes": ["wtschat"],
        "handler": "airflow_provider_wtschat.assets.sanitize_uri",
        "factory": "airflow_provider_wtschat.assets.create_asset",
        "to_openlineage_converter": "airflow_provider_wtschat.assets.convert_asset_to_openlineage",
    }
]


def _option(*description: str, example: str | None = None, **facts: str | bool) -> dict[str, Any]:
    lines = "".join(f"{line}\n" for line in description)
    return {"description": lines, "example": example, "version_added": "0.1.0", **facts}


_CONFIG = {
    "wtschat": {
        "description": "How this deployment shares the limits of a WTS Chat account, and what it adds to Airflow.",
        "options": {
            "budget": _option(
                "Where the processes of this deployment count their requests together: a directory on this",
                "machine (``$AIRFLOW_HOME/wtschat`` if empty), a ``redis://`` URL for several machines, or",
                "``process`` for each process by itself.",
                type="string",
                default="",
                example="redis://redis.example:6379/0",
                sensitive=True,
            ),
            "share": _option(
                "The share of the account's limits that the processes which count together may take: with a",
                "directory the part of this machine, such as ``0.25`` for one of four machines without Redis.",
                type="float",
                default="1.0",
                example="0.25",
            ),
            "bulk_share": _option(
                "The share of the account's 5-minute limit that bulk reads may take, so that sends, chatbots and",
                "people find room beside them.",
                type="float",
                default="0.8",
            ),
            "ui_page": _option(
                "Whether the UI of Airflow 3.1 and later has a page of the provider, under Browse.",
                type="boolean",
                default="True",
            ),
            "webhook_secret": _option(
                "Long random text from which the secret addresses of webhooks are made, or several separated by",
                "commas: the first makes new addresses, all are believed. Without one no webhooks are received.",
                type="string",
                default="",
                sensitive=True,
            ),
            "webhook_inbox": _option(
                "Where webhook events are kept: a directory that the API server and the triggerer share",
                "(``$AIRFLOW_HOME/wtschat`` if empty), or a ``redis://`` URL for several machines.",
                type="string",
                default="",
                example="redis://redis.example:6379/0",
                sensitive=True,
            ),
            "webhook_base_url": _option(
                "The URL at which WTS Chat reaches the receiver from outside (``[api] base_url`` if empty).",
                type="string",
                default="",
                example="https://airflow.example",
            ),
            "webhook_keep_hours": _option(
                "How many hours webhook events are kept, and redeliveries are recognized.",
                type="float",
                default="168",
            ),
        },
    },
}


def _modules(folder: str, *names: str) -> list[dict[str, Any]]:
    modules = [f"airflow_provider_wtschat.{folder}.{name}" for name in names]
    return [{"integration-name": INTEGRATION, "python-modules": modules}]


def _transfer(name: str, source: str, target: str) -> dict[str, str]:
    return {
        "source-integration-name": source,
        "target-integration-name": target,
        "python-module": f"airflow_provider_wtschat.transfers.{name}",
    }


def get_provider_info() -> dict[str, Any]:
    """Describe the package to Airflow's provider manager.

    ``dataset-uris`` says to Airflow 2 what ``asset-uris`` says to Airflow 3.

    :return: the metadata that Airflow finds through the entry point ``apache_airflow_provider``.
    """
    return {
        "package-name": "airflow-provider-wtschat",
        "name": "WTS Chat",
        "description": "WTS Chat: sessions, messages, contacts, panels, chatbots and sequences.",
        "integrations": [
            {"integration-name": INTEGRATION, "external-doc-url": "https://wts.chat", "tags": ["service"]},
        ],
        "hooks": _modules("hooks", "wtschat", "wtschat_async"),
        "operators": _modules(
            "operators",
            "approval",
            "ask",
            "campaign",
            "chatbot",
            "contact",
            "file",
            "message",
            "panel",
            "scheduled_message",
            "sequence",
            "session",
            "session_event",
            "webhook",
            "wtschat",
        ),
        "sensors": _modules("sensors", "message", "panel", "scheduled_message", "session"),
        "triggers": _modules(
            "triggers",
            "approval",
            "campaign",
            "message",
            "panel",
            "scheduled_message",
            "session",
            "session_event",
            "webhook_event",
        ),
        "transfers": [
            _transfer("sql_to_wtschat", "Common SQL", INTEGRATION),
            _transfer("wtschat_account", INTEGRATION, "Common SQL"),
            _transfer("wtschat_files_to_object_storage", INTEGRATION, "Common IO"),
            _transfer("wtschat_reconcile", INTEGRATION, "Common SQL"),
            _transfer("wtschat_to_object_storage", INTEGRATION, "Common IO"),
            _transfer("wtschat_to_sql", INTEGRATION, "Common SQL"),
        ],
        "notifications": ["airflow_provider_wtschat.notifications.wtschat.WtsChatNotifier"],
        "extra-links": ["airflow_provider_wtschat.links.WtsChatSessionLink"],
        "connection-types": [
            {
                "connection-type": "wtschat",
                "hook-class-name": "airflow_provider_wtschat.hooks.wtschat.WtsChatHook",
                "hook-name": "WTS Chat",
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
                "conn-fields": CONN_FIELDS,
            },
        ],
        "plugins": [{"name": "wtschat", "plugin-class": "airflow_provider_wtschat.webhooks.plugin.WtsChatPlugin"}],
        "asset-uris": _ASSET_URIS,
        "dataset-uris": _ASSET_URIS,
        "config": _CONFIG,
    }

"""What the connection forms of Airflow send, read as a connection."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_wtschat.get_provider_info import CONN_FIELDS
from airflow_provider_wtschat.hooks.connection import EXTRAS, ConnectionSettings


def read(extra: dict) -> ConnectionSettings:
    connection = Connection(conn_id="form", conn_type="wtschat", password="Bearer pn_form", extra=json.dumps(extra))
    return ConnectionSettings.read("form", connection, connection.extra_dejson)


def test_form_has_a_field_for_every_extra():
    assert tuple(CONN_FIELDS) == EXTRAS


@pytest.mark.parametrize(
    "extra",
    [
        # Saved by Airflow 3, with every field as it was offered
        {"timeout": 60, "max_retries": 5, "page_size": 100, "account": None, "verify_ssl": True, "proxies": None},
        # Saved by Airflow 2.11
        {"timeout": 60, "max_retries": 5, "page_size": 100, "account": "", "verify_ssl": True, "proxies": ""},
        # Tried by the Test button of Airflow 2.11
        {"timeout": "60", "max_retries": "5", "page_size": "100", "account": "", "verify_ssl": "y", "proxies": ""},
    ],
)
def test_untouched_form_means_the_defaults(extra):
    assert read(extra) == read({})


def test_filled_form():
    extra = {
        "account": "sales",
        "verify_ssl": False,
        "proxies": '{"https": "http://proxy.example:3128"}',
        "timeout": "5",
    }
    settings = read(extra)
    assert (settings.account, settings.verify_ssl, settings.timeout) == ("sales", False, 5)
    assert settings.proxies == {"https": "http://proxy.example:3128"}


@pytest.mark.parametrize("name", [name for name, field in CONN_FIELDS.items() if "minimum" in field["schema"]])
def test_bounds_of_the_form_are_those_of_the_reader(name):
    schema = CONN_FIELDS[name]["schema"]
    for allowed in (schema["minimum"], schema["maximum"]):
        assert getattr(read({name: allowed}), name) == allowed
    for refused in (schema["minimum"] - 1, schema["maximum"] + 1):
        with pytest.raises(ValueError, match=name):
            read({name: refused})

"""The spelling of asset URIs."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_provider_wtschat.assets import convert_asset_to_openlineage, create_asset, sanitize_uri


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("wtschat://api.wts.chat/sessions", "wtschat://api.wts.chat/sessions"),
        ("wtschat://API.wts.chat:443/sessions/", "wtschat://api.wts.chat/sessions"),
        ("wtschat://127.0.0.1:8080/core/tags", "wtschat://127.0.0.1:8080/core/tags"),
    ],
)
def test_one_spelling(written, uri):
    assert sanitize_uri(urlsplit(written)).geturl() == uri
    assert Asset(uri=written).uri == uri


@pytest.mark.parametrize("written", ["wtschat://api.wts.chat", "wtschat:///sessions", "wtschat://host:port/sessions"])
def test_a_host_and_a_resource_are_needed(written):
    with pytest.raises(ValueError):
        sanitize_uri(urlsplit(written))


def test_factory_and_lineage():
    asset = create_asset(host="api.wts.chat", resource="contacts", extra={"rows": 3})
    assert (asset.uri, asset.extra) == ("wtschat://api.wts.chat/contacts", {"rows": 3})
    pytest.importorskip("openlineage.client")
    dataset = convert_asset_to_openlineage(asset, None)
    assert (dataset.namespace, dataset.name) == ("wtschat://api.wts.chat", "contacts")

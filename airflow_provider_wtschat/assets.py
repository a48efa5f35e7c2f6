"""Assets of WTS Chat: ``wtschat://host/resource``, for example ``wtschat://api.wts.chat/sessions``.

Airflow finds the functions of this module through the provider's metadata; a Dag names an asset by its URI::

    Asset("wtschat://api.wts.chat/sessions")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from airflow_provider_wtschat._compat import Asset

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset

__all__ = ["convert_asset_to_openlineage", "create_asset", "sanitize_uri"]

SCHEME = "wtschat"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Bring the URI of an asset into its one spelling.

    The host is lower-cased, the standard port and a trailing slash are dropped.

    :param uri: the URI's parts.
    :return: the parts in their one spelling.
    :raises ValueError: if the host or the resource is missing.
    """
    try:
        port = uri.port
    except ValueError as error:
        msg = f"The port of a {SCHEME} URI must be a number: {uri.netloc!r}."
        raise ValueError(msg) from error
    path = uri.path.strip("/")
    if not uri.hostname or not path or "//" in path:
        msg = f"A {SCHEME} URI names a host and a resource, as in {SCHEME}://api.wts.chat/sessions."
        raise ValueError(msg)
    host = uri.hostname if port in (None, 443) else f"{uri.hostname}:{port}"
    return SplitResult(SCHEME, host, f"/{path}", "", "")


def create_asset(*, host: str, resource: str, extra: dict[str, Any] | None = None) -> Asset:
    """Make the asset of a resource, as hook lineage asks for it.

    :param host: host of the API, e.g. ``api.wts.chat``.
    :param resource: name of the resource, e.g. ``sessions``.
    :param extra: further facts, stored with the asset.
    :return: the asset.
    """
    return Asset(uri=f"{SCHEME}://{host}/{resource}", extra=extra)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> OpenLineageDataset:
    """Name an asset in OpenLineage's terms.

    :param asset: the asset.
    :param lineage_context: the hook that reported the asset; not needed here.
    :return: the data set, with the host as its namespace and the resource as its name.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset

    uri = urlsplit(asset.uri)
    return OpenLineageDataset(namespace=f"{SCHEME}://{uri.netloc}", name=uri.path.strip("/"))

"""Loading a whole account: every resource in the right order, and a comparison behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat._compat import Asset, TaskGroup
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import PagedRequest
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.extraction import RESOURCES, Kind, find
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.transfers.outbound import WtsChatReadingBaseOperator
from airflow_provider_wtschat.transfers.wtschat_reconcile import WtsChatReconcileOperator
from airflow_provider_wtschat.transfers.wtschat_to_object_storage import WtsChatToObjectStorageOperator
from airflow_provider_wtschat.transfers.wtschat_to_sql import WtsChatToSqlOperator
from airflow_provider_wtschat.warehouse.dictionary import PREFIX
from airflow_provider_wtschat.warehouse.tables import table

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["WtsChatEstimateOperator", "wtschat_account"]

HISTORY = ("sessions", "cards")
COMPARED = ("sessions", "contacts", "cards")
_LATER = ("sessions", "contacts"), ("cards",)
"""What is loaded after the names that it points at, and what after that; the children of both come last."""
_PER_MINUTE = 200
"""Requests that the account allows."""


class WtsChatEstimateOperator(WtsChatReadingBaseOperator):
    """
    Count what a first load of resources would read, and say what it would cost at the account's limit.

    It takes a request or two for each list; a load that goes on where another ended costs less.

    Returns requests by resource, at least.

    .. code-block:: python

        WtsChatEstimateOperator(task_id="estimate", resource_names=["sessions", "messages"])

    :param resource_names: names of resources (templated)
    :return: requests by resource, at least
    """

    template_fields: Sequence[str] = (
        *(name for name in WtsChatReadingBaseOperator.template_fields if name != "resource"),
        "resource_names",
    )

    def __init__(self, *, resource_names: Sequence[str] | str, **kwargs: Any) -> None:
        # One stands for all: what counts is resource_names.
        super().__init__(resource="sessions", **kwargs)
        self.resource_names = resource_names

    def act(self, context: Context) -> dict[str, int]:
        """
        Count.

        :return: requests by resource, at least
        """
        names = convert.texts("resource_names", self.resource_names) or []
        found = [find(name) for name in names]
        counted: dict[str, tuple[int, int]] = {}
        for name in dict.fromkeys([*(one.parent or one.name for one in found), *names]):
            if find(name).kind is not Kind.CHILDREN:
                counted[name] = self._count(name)
        cost = {}
        for resource in found:
            if resource.kind is Kind.CHILDREN:
                cost[resource.name] = counted[resource.parent or ""][0]
            else:
                cost[resource.name] = counted[resource.name][1]
        total = sum(cost.values())
        self.log.info(
            "A first load takes %d requests at least, about %.0f minutes at the account's limit: %s",
            total, total / _PER_MINUTE, ", ".join(f"{name} {number}" for name, number in cost.items()),
        )  # fmt: skip
        return cost

    def _count(self, name: str) -> tuple[int, int]:
        """Return the rows of a resource, and the requests that read them."""
        rows = requests = 0
        size = self.hook.resolve().page_size
        for request in find(name).requests(self.hook):
            if not isinstance(request, PagedRequest):
                requests += 1
                continue
            total = int(self.hook.answer(request.page(1, 1), bulk=True).value.get("totalItems") or 0)
            rows += total
            requests += max(1, -(-total // size))
        return rows, requests


def wtschat_account(
    destination: str,
    *,
    wtschat_conn_id: Any = DEFAULT_CONN_ID,
    resources: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    history: Iterable[str] = HISTORY,
    compare: Iterable[str] = COMPARED,
    prefix: str = PREFIX,
    asset_prefix: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    per_resource: Mapping[str, Mapping[str, Any]] | None = None,
    group_id: str = "wtschat",
    **task_arguments: Any,
) -> TaskGroup:
    """
    Make the tasks that load a whole account, as a group of tasks of the Dag that is being made.

    Names come first (agents, departments, channels, tags, ...), then sessions and contacts, then cards, then what is
    read by session or card. Directly behind their loads into a database stand the comparisons. The first task tells
    what a first load costs. Each resource keeps its own watermark::

        with DAG("support_chat", schedule="@hourly", catchup=False, max_active_runs=1):
            wtschat_account("warehouse")

    For many accounts map a group over their connections::

        @task_group
        def account(wtschat_conn_id):
            wtschat_account("warehouse", wtschat_conn_id=wtschat_conn_id)

        account.expand(wtschat_conn_id=["wtschat_shop", "wtschat_clinic"])

    :param destination: id of the connection of a database, or the folder of an object storage, such as
        ``s3://aws_default@lake/wtschat``
    :param wtschat_conn_id: id of the connection of the account, or what a mapped group is given for it
    :param resources: what to load. Default: everything
    :param exclude: what to leave out, such as ``["messages"]``, which take a request for each session
    :param history: resources of which every version is kept, in a database. Default: sessions and cards
    :param compare: resources to compare with the account behind the load, in a database. Default: sessions, contacts
        and cards
    :param prefix: what names of tables begin with, with a schema where it is not the connection's own. Default:
        ``wtschat_``
    :param asset_prefix: what the URIs of assets begin with, as the tools behind spell tables, such as
        ``postgres://db.example:5432/analytics/public``: each load has ``<asset_prefix>/<table>`` as an outlet.
        Default: none
    :param arguments: further arguments of all loads and comparisons that know them, such as ``personal_data``
    :param per_resource: further arguments of the load of a resource, such as ``{"messages": {"max_requests": 9000}}``
    :param group_id: id of the group
    :param task_arguments: arguments of all tasks that Airflow knows, such as ``retries`` or ``pool``
    :return: the group
    :raises WtsChatArgumentError: if there is no resource of a name
    """
    left_out = [find(name).name for name in exclude]
    chosen = [find(name).name for name in (RESOURCES if resources is None else resources)]
    chosen = [name for name in chosen if name not in left_out]
    if not chosen:
        raise WtsChatArgumentError("resources", "nothing is left to load")
    kept, compared = set(history), [name for name in compare if name in chosen]
    of_all = dict(arguments or {})
    of_each = {name: dict(given) for name, given in (per_resource or {}).items()}
    lake = "://" in destination
    common = {"wtschat_conn_id": wtschat_conn_id, **task_arguments}

    def load(name: str) -> Any:
        given = {"task_id": name, "resource": name, **common, **of_all, **of_each.get(name, {})}
        if asset_prefix is not None:
            given.setdefault("outlets", [Asset(f"{asset_prefix.rstrip('/')}/{prefix.rpartition('.')[2]}{name}")])
        if table(name).dimension:
            # These have no window.
            given = {key: value for key, value in given.items() if key not in ("since", "until", "initial_since")}
        if lake:
            return WtsChatToObjectStorageOperator(path=f"{destination.rstrip('/')}/{name}", **given)
        return WtsChatToSqlOperator(
            sql_conn_id=destination, table=f"{prefix}{name}", **{"history": name in kept, **given}
        )

    def comparison(name: str) -> WtsChatReconcileOperator:
        known = ("personal_data", "personal_data_conn_id", "exclude", "workers", "lock_timeout", "max_rejects")
        given = {key: value for key, value in of_all.items() if key in known}
        return WtsChatReconcileOperator(
            task_id=f"compare_{name}", resource=name, sql_conn_id=destination, table=f"{prefix}{name}", **common,
            **given,
        )  # fmt: skip

    with TaskGroup(group_id) as group:
        before: list[Any] = [WtsChatEstimateOperator(task_id="estimate", resource_names=chosen, **common)]
        for stage in _stages(chosen):
            loads = {name: load(name) for name in stage}
            for upstream in before:
                upstream >> list(loads.values())
            before = list(loads.values())
            for name, loaded in loads.items():
                if name in compared and not lake:
                    # Beside the loads of children, which take longest.
                    loaded >> comparison(name)
    return group


def _stages(chosen: Sequence[str]) -> list[list[str]]:
    """Put resources into the order in which they are loaded."""
    later = [[name for name in stage if name in chosen] for stage in _LATER]
    children = [name for name in chosen if RESOURCES[name].kind is Kind.CHILDREN]
    last = {name for stage in later for name in stage} | set(children)
    stages = [[name for name in chosen if name not in last], *later, children]
    return [stage for stage in stages if stage]

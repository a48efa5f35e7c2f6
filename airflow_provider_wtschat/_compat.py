"""
What the package takes of Airflow, found on every release series and with every common-compat.

``apache-airflow-providers-common-compat`` knows where a name lives on each Airflow. Airflow's own constraint files pin
old releases of it that lack some of these names; those for 2.11.0 and 3.0.6 lack its whole ``sdk`` module. So each name
has a fall-back here, and other modules import from here.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import (  # isort: skip
        AirflowException as AirflowException,
        AirflowFailException as AirflowFailException,
        AirflowOptionalProviderFeatureException as AirflowOptionalProviderFeatureException,
        AirflowSensorTimeout as AirflowSensorTimeout,
        AirflowSkipException as AirflowSkipException,
        Asset as Asset,
        BaseHook as BaseHook,
        BaseNotifier as BaseNotifier,
        BaseOperator as BaseOperator,
        BaseOperatorLink as BaseOperatorLink,
        BaseSensorOperator as BaseSensorOperator,
        BranchMixIn as BranchMixIn,
        Connection as Connection,
        Context as Context,
        ObjectStoragePath as ObjectStoragePath,
        PokeReturnValue as PokeReturnValue,
        Stats as Stats,
        TaskGroup as TaskGroup,
        TaskInstanceKey as TaskInstanceKey,
        Variable as Variable,
        XCom as XCom,
        conf as conf,
        mask_secret as mask_secret,
        redact as redact,
    )
    from airflow.providers.common.compat.triggers import BaseEventTrigger as BaseEventTrigger

_EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")
_MASKING = ("airflow.sdk.log", "airflow.sdk.execution_time.secrets_masker", "airflow.utils.log.secrets_masker")
_PLACES: dict[str, tuple[str, ...]] = {
    "AirflowException": _EXCEPTIONS,
    "AirflowFailException": _EXCEPTIONS,
    "AirflowOptionalProviderFeatureException": _EXCEPTIONS,
    "AirflowSensorTimeout": _EXCEPTIONS,
    "AirflowSkipException": _EXCEPTIONS,
    "Asset": ("airflow.sdk", "airflow.datasets:Dataset"),
    "BaseEventTrigger": ("airflow.triggers.base", "airflow.triggers.base:BaseTrigger"),
    "BaseHook": ("airflow.sdk", "airflow.hooks.base"),
    "BaseNotifier": ("airflow.sdk", "airflow.notifications.basenotifier"),
    "BaseOperator": ("airflow.sdk", "airflow.models.baseoperator"),
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),
    "BaseSensorOperator": ("airflow.sdk", "airflow.sensors.base"),
    "BranchMixIn": (
        "airflow.sdk.bases.branch",
        "airflow.providers.standard.operators.branch",
        "airflow.operators.branch",
    ),
    "Connection": ("airflow.sdk", "airflow.models.connection"),
    "Context": ("airflow.sdk", "airflow.utils.context"),
    "ObjectStoragePath": ("airflow.sdk", "airflow.io.path"),
    "PokeReturnValue": ("airflow.sdk", "airflow.sensors.base"),
    "Stats": ("airflow.sdk.observability.stats", "airflow.observability.stats", "airflow.stats"),
    "TaskGroup": ("airflow.sdk", "airflow.utils.task_group"),
    "TaskInstanceKey": ("airflow.sdk.types", "airflow.models.taskinstancekey"),
    "Variable": ("airflow.sdk", "airflow.models.variable"),
    "XCom": ("airflow.sdk.execution_time.xcom", "airflow.models.xcom"),
    "conf": ("airflow.sdk.configuration", "airflow.configuration"),
    "mask_secret": _MASKING,
    "redact": _MASKING,
}
"""Where to look for a name that the installed common-compat does not have, newest Airflow first."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Find a name on first use, because some of what stands here takes long to import."""
        if name not in _PLACES:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = _find(name)
        globals()[name] = value
        return value


def _find(name: str) -> Any:
    for place in ("airflow.providers.common.compat.sdk", *_PLACES[name]):
        module, _, other_name = place.partition(":")
        try:
            return getattr(import_module(module), other_name or name)
        except (ImportError, AttributeError):
            continue
    msg = f"This Airflow has no {name}; looked in {', '.join(_PLACES[name])}"
    raise ImportError(msg)


_EXTRAS = {"postgres": "PostgreSQL", "mysql": "MySQL", "sqlite": "SQLite"}
"""Databases whose provider comes with an extra of the same name as the connection's type."""


def get_database_hook(conn_id: str) -> Any:
    """
    Return the hook of a connection to a database.

    :return: the hook
    :raises AirflowOptionalProviderFeatureException: if the provider of the connection's type is not installed
    """
    connection = _find("BaseHook").get_connection(conn_id)
    kind = connection.conn_type
    if kind in _EXTRAS and find_spec(f"airflow.providers.{kind}") is None:
        msg = (
            f"The connection {conn_id!r} leads to {_EXTRAS[kind]}, whose provider is not installed: "
            f"pip install 'airflow-provider-wtschat[{kind}]'"
        )
        raise _find("AirflowOptionalProviderFeatureException")(msg)
    return connection.get_hook()


async def get_async_connection(conn_id: str) -> Connection:
    """
    Return a connection without blocking the event loop.

    Before Airflow 3.3.2 ``aget_connection`` masks secrets with a call that fails while another call to the supervisor
    is under way, so there the connection is read in a thread.

    :return: the connection
    """
    from asgiref.sync import sync_to_async

    hook: type[BaseHook] = _find("BaseHook")
    if hasattr(_find("Connection"), "aextra_dejson"):
        return await hook.aget_connection(conn_id)
    return await sync_to_async(hook.get_connection)(conn_id)


async def get_async_extra_dejson(connection: Connection) -> dict[str, Any]:
    """
    Return a connection's extras without blocking the event loop, their secrets masked.

    :return: the extras
    """
    from asgiref.sync import sync_to_async

    if hasattr(connection, "aextra_dejson"):
        return dict(await connection.aextra_dejson())
    return await sync_to_async(lambda: connection.extra_dejson)()

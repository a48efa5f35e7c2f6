"""What the sensors share: the same outcomes in every mode and on every version of Airflow."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_wtschat import waiting
from airflow_provider_wtschat._compat import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)
from airflow_provider_wtschat._given import CheckedOperator
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.exceptions import WtsChatError, WtsChatFailedError
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.triggers.base import ENDED_BY_AIRFLOW, NET, WtsChatBaseTrigger

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_wtschat._compat import Context
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

_SHORTEST_MAX_WAIT = 60.0
_TOOK_TOO_LONG = ("Trigger timeout", "Trigger/execution timeout")
"""What Airflow gives as the ``error`` of a deferral that took too long: version 3, and 2.11."""


class WtsChatBaseSensor(CheckedOperator, BaseSensorOperator):
    """
    Wait for something in WTS Chat.

    A subclass names its trigger, which names the condition: the sensor's own arguments are the condition's, and all are
    templated.

    In every mode, and on every version of Airflow:

    - ``timeout`` fails the task without retries, after a last look, and so does a failure status; ``soft_fail`` makes
      either a skip.
    - A wrong token, a refused argument and anything else that no retry can mend fails the task without retries, and is
      never a skip.
    - Passing faults are tolerated, a few in a row; then the task fails and Airflow retries it as usual.

    :param wtschat_conn_id: id of the connection (templated). Default: ``wtschat_default``
    :param deferrable: wait in the triggerer, which holds no worker, after a first look in the worker.
        ``exponential_backoff`` does not apply there. Default: ``[operators] default_deferrable``
    """

    trigger_class: ClassVar[type[WtsChatBaseTrigger]]
    template_fields: Sequence[str] = ("wtschat_conn_id",)

    def __init__(
        self,
        *,
        wtschat_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wtschat_conn_id = wtschat_conn_id
        self.deferrable = deferrable

    @cached_property
    def hook(self) -> WtsChatHook:
        """The hook of the task's connection."""
        # What speaks HTTP is loaded by the task, and not each time that a Dag file is parsed.
        from airflow_provider_wtschat.hooks.transport import DEFAULT_MAX_WAIT
        from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

        return WtsChatHook(
            self.wtschat_conn_id, max_wait=min(DEFAULT_MAX_WAIT, max(_SHORTEST_MAX_WAIT, float(self.timeout)))
        )

    def condition(self, context: Context) -> waiting.Condition[Any]:
        """Build what is waited for from the rendered arguments."""
        # A filter without a value would be left out, and anything would end the wait.
        self.check_given()
        condition = self.trigger_class.waits_for
        arguments = {name: getattr(self, name) for name in condition.argument_names()}
        if "since" in arguments:
            arguments["since"] = _since(arguments["since"], getattr(self, "timezone", "UTC"), context)
        return condition(**arguments)

    def trigger(self, condition: waiting.Condition[Any], since: str, timeout_at: str) -> BaseTrigger:
        """
        Build what waits in the triggerer.

        :param condition: what is waited for
        :param since: when the worker began to look
        :param timeout_at: when time is up
        """
        arguments = condition.arguments()
        if "since" in inspect.signature(self.trigger_class).parameters:
            arguments.setdefault("since", since)
        return self.trigger_class(
            wtschat_conn_id=self.wtschat_conn_id,
            poll_interval=self.poke_interval,
            timeout_at=timeout_at,
            **arguments,
        )

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        outcome = self._poller(context).look()
        if outcome is None:
            return PokeReturnValue(is_done=False)
        if not outcome.reached:
            raise waiting.failed(self._poller(context).condition, outcome)
        return PokeReturnValue(is_done=True, xcom_value=self._result(context))

    def execute(self, context: Context) -> Any:
        """
        Wait.

        :return: what was waited for
        :raises WtsChatFailedError: if it cannot come about any more, or the API cannot be asked
        :raises AirflowSensorTimeout: if time runs out
        :raises AirflowSkipException: in place of a timeout or failure status under ``soft_fail``
        """
        with self._outcome():
            return self._defer(context) if self.deferrable else self._wait(context)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """
        Go on after the trigger.

        :param event: the trigger's event
        :return: what was waited for
        """
        condition = self.condition(context)
        result = waiting.complete(self.hook, condition, event, timeout=float(self.timeout))
        self._succeeded(context, result)
        return result

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Go on after a deferral, or fail if Airflow ended it.

        Airflow's own makes a skip of some errors under ``soft_fail``, of other ones in each version.

        :param next_method: name of the method to call
        :param next_kwargs: its arguments
        """
        with self._outcome():
            if next_method == ENDED_BY_AIRFLOW:
                if (next_kwargs or {}).get("error") in _TOOK_TOO_LONG:
                    raise waiting.timed_out(self.condition(context), float(self.timeout))
                self.log.error("The trigger crashed:\n%s", "".join((next_kwargs or {}).get("traceback") or ()))
                msg = f"Waiting for {self.condition(context).describe()}: the trigger crashed, see the log above"
                raise WtsChatError(msg, retryable=True)
            return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)

    def _poller(self, context: Context) -> waiting.Poller:
        poller: waiting.Poller | None = getattr(self, "_own_poller", None)
        if poller is None:
            poller = self._own_poller = waiting.Poller(self.hook, self.condition(context))
        return poller

    def _result(self, context: Context) -> Any:
        result = self.hook.perform(self._poller(context).condition.read())
        self._succeeded(context, result)
        return result

    def _succeeded(self, context: Context, result: Any) -> None:
        """Do what else there is to do with the result."""

    def _wait(self, context: Context) -> Any:
        try:
            return super().execute(context)
        except (AirflowSensorTimeout, AirflowSkipException) as error:
            if error.__cause__ is not None:
                raise
            # Time ran out; if the last look could not ask the API, nobody knows how things stand, and it is no skip.
            poller = self._poller(context)
            raise poller.fault or waiting.timed_out(poller.condition, float(self.timeout)) from error

    def _defer(self, context: Context) -> Any:
        # A minute early, for a worker whose clock is ahead of the server's.
        since = instants.write(datetime.now(UTC) - timedelta(minutes=1))
        timeout_at = waiting.deadline(float(self.timeout))
        found = self.poke(context)
        if found.is_done:
            return found.xcom_value
        condition = self._poller(context).condition
        if self.timeout <= 0:
            raise waiting.timed_out(condition, float(self.timeout))
        if self.exponential_backoff:
            self.log.warning("exponential_backoff does not apply while deferred: the triggerer looks at its own pace")
        self.defer(
            trigger=self.trigger(condition, since, timeout_at),
            method_name=self.execute_complete.__name__,
            timeout=timedelta(seconds=float(self.timeout)) + NET,
        )

    @contextmanager
    def _outcome(self) -> Iterator[None]:
        try:
            yield
        except (AirflowSensorTimeout, WtsChatFailedError) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        except WtsChatError as error:
            if self.never_fail:
                raise AirflowSkipException(str(error)) from error
            # Airflow's UI shows an error's message, and not the note that it carries.
            if error.help_url:
                self.log.error("What it means, and what to do: %s", error.help_url)
            if not error.retryable:
                # Not raised inside, where soft_fail would make it a skip.
                raise error.retold(str(error), WtsChatFailedError) from error
            raise


def _since(value: When | None, zone: str, context: Context) -> datetime:
    if value is not None:
        return instants.parse("since", value, zone)
    return instants.parse("since", convert.required("since", context["dag_run"].start_date))

"""Doing at most once what must not be done twice: sends, and whatever creates something."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow_provider_wtschat import waiting
from airflow_provider_wtschat._compat import AirflowException, AirflowFailException, conf
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatError,
    WtsChatFailedError,
    WtsChatUncertainError,
)
from airflow_provider_wtschat.operators.base import (
    ANY_ID,
    WtsChatBaseOperator,
    WtsChatSessionBaseOperator,
    failing_for_good,
)
from airflow_provider_wtschat.triggers.message import MessageStatusTrigger

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

T = TypeVar("T")

log = logging.getLogger(__name__)

_NET = timedelta(minutes=10)
"""How much later than the trigger itself Airflow ends a deferral."""

STATE_KEY = "wtschat_request"
"""Key of the task's state, Airflow 3.3 and later; the requests of a batch have their number behind it."""


def remembers(context: Context) -> bool:
    """
    Tell whether this Airflow lets a try of a task know what earlier tries did.

    :param context: context of the task
    """
    return context.get("task_state_store") is not None


def at_most_once(
    context: Context, do: Callable[[], T], *, may_repeat: bool, key: str = STATE_KEY, about: str = ""
) -> T:
    """
    Do something, unless an earlier try of the same task may have done it.

    From Airflow 3.3 on the task remembers what it did, so a later try returns what an earlier one was answered with,
    and does it only if that one is known to have done nothing. Earlier lines forget it all, so there a later try
    does nothing.

    :param context: context of the task
    :param do: sends a request that is not safe to repeat, and returns the answer
    :param may_repeat: whether the user allows that it is done twice
    :param key: what the task's state knows it by
    :param about: what it is about, where that may change from one try to the next
    :return: the answer, of this try or of the earlier one that did it
    :raises WtsChatFailedError: if an earlier try may have done it, or was about something else
    """
    store: Any = context.get("task_state_store")
    try_number = context["ti"].try_number
    if store is None:
        if try_number > 1 and not may_repeat:
            reason = f"This is try {try_number}, and Airflow before 3.3 keeps no memory of the earlier ones"
            raise _refusal(reason)
        return do()
    state = store.get(key) or {}
    if state and state["about"] != about and not may_repeat:
        reason = f"What is to be sent is something else than in try {state['try_number']}"
        raise _refusal(reason)
    if state.get("state") == "done" and state["about"] == about:
        return state["answer"]  # type: ignore[no-any-return]  # what do returned, through JSON
    if state.get("state") == "doing" and not may_repeat:
        reason = f"Try {state['try_number']} was cut off between sending the request and hearing what became of it"
        raise _refusal(reason)
    now = {"try_number": try_number, "about": about}
    store.set(key, {"state": "doing", **now})
    try:
        answer = do()
    except WtsChatUncertainError:
        raise
    except WtsChatError:
        # Every other error says that nothing was done.
        store.delete(key)
        raise
    try:
        store.set(key, {"state": "done", **now, "answer": answer})
    except Exception:
        # It is done all the same; the state stays "doing", with which no later try does it again.
        log.warning("The answer could not be kept for later tries of the task", exc_info=True)
    return answer


def is_settled(context: Context, *, may_repeat: bool) -> bool:
    """
    Tell whether :func:`at_most_once` will send nothing, since an earlier try of the task may have.

    :param context: context of the task
    :param may_repeat: whether the user allows that it is done twice
    """
    store: Any = context.get("task_state_store")
    if store is None:
        return context["ti"].try_number > 1 and not may_repeat
    state = (store.get(STATE_KEY) or {}).get("state")
    return state == "done" or (state == "doing" and not may_repeat)


def _refusal(reason: str) -> WtsChatFailedError:
    return WtsChatFailedError(
        f"The request was not sent now, because it may have been acted on already. {reason}. Look in WTS Chat whether "
        "it was, and if it may happen twice, set may_repeat=True"
    )


class WtsChatOnceOperator(WtsChatBaseOperator):
    """
    Send one request, at most once if doing it twice would do harm.

    The docs have a table of what holds on which version of Airflow.

    :param may_repeat: do it in a later try too, although an earlier one may have done it, so that it may happen twice
        (templated). Default: false
    """

    def __init__(self, *, may_repeat: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.may_repeat = may_repeat

    def execute(self, context: Context) -> Any:
        """
        Send the request, unless an earlier try of the task may have.

        :param context: context of the task
        :return: the answer, as the API sent it, to this try or to an earlier one
        :raises WtsChatFailedError: if it failed in a way that a retry cannot mend, or an earlier try may have done it
        :raises WtsChatError: if a retry may help
        """
        with failing_for_good():
            request = self.checked()
            # What was sent needs no names and no files any more, and these may be gone by now.
            if request.safe_to_repeat or not is_settled(context, may_repeat=self._may_repeat()):
                request = self.request()
            return self.act(context, request)

    def once(
        self, context: Context, request: Request[Any], do: Callable[[], T], *, key: str = STATE_KEY, about: str = ""
    ) -> T:
        """
        Do what a request is for: at most once if it is not safe to repeat.

        :param context: context of the task
        :param request: the request
        :param do: sends it, and returns the answer
        :param key: what the task's state knows it by
        :param about: what it is about, where that may change from one try to the next
        :raises WtsChatFailedError: if an earlier try may have done it, or was about something else
        """
        may_repeat = self._may_repeat()
        if request.safe_to_repeat:
            return do()
        return at_most_once(context, do, may_repeat=may_repeat, key=key, about=about)

    def _may_repeat(self) -> bool:
        return convert.required("may_repeat", convert.boolean("may_repeat", self.may_repeat))

    def act(self, context: Context, request: Request[Any]) -> Any:
        """
        Send the request, at most once if it is not safe to repeat.

        :param context: context of the task
        :param request: the request
        :return: the answer, as the API sent it
        """
        act = super().act
        return self.once(context, request, lambda: act(context, request))


class WtsChatSendOperator(WtsChatSessionBaseOperator, WtsChatOnceOperator):
    """
    Send a message to a customer, at most once, and wait for what becomes of it if that is wanted.

    The wait begins when the message is out, so nothing that goes wrong in it sends the message again: the task fails
    without retries. The message's id is in the XCom ``message_id`` before the wait begins.

    :param wait_for_status: status, or statuses, to wait for: ``SENT``, ``DELIVERED`` or ``READ``; a later one will do
        as well, and ``FAILED`` fails the task with the API's reason (templated). Default: do not wait
    :param wait_timeout: seconds to wait at most (templated). Default: 600
    :param poll_interval: seconds between two looks (templated). Default: 10
    :param deferrable: wait in the triggerer, which holds no worker (templated).
        Default: ``[operators] default_deferrable``
    """

    def __init__(
        self,
        *,
        wait_for_status: Sequence[str] | str | None = None,
        wait_timeout: float = 600,
        poll_interval: float = 10,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_status = wait_for_status
        self.wait_timeout = wait_timeout
        self.poll_interval = poll_interval
        self.deferrable = deferrable

    def act(self, context: Context, request: Request[Any]) -> Any:
        """
        Send the message, and wait.

        :param context: context of the task
        :param request: the request
        :return: the answer, as the API sent it; after a wait the status, as the API sent it
        """
        if self.wait_for_status is None:
            return super().act(context, request)
        # Before the message is out, so that a mistake in these sends nothing.
        self._condition(ANY_ID)
        poll_interval, timeout = self._seconds("poll_interval"), self._seconds("wait_timeout")
        deferrable = convert.required("deferrable", convert.boolean("deferrable", self.deferrable))
        message_id = super().act(context, request)["id"]
        context["ti"].xcom_push(key="message_id", value=message_id)
        if not deferrable:
            with self._sent_already(message_id):
                return waiting.wait(
                    self.hook, self._condition(message_id), poll_interval=poll_interval, timeout=timeout
                )
        self.defer(
            trigger=MessageStatusTrigger(
                wtschat_conn_id=self.wtschat_conn_id,
                poll_interval=poll_interval,
                timeout_at=waiting.deadline(timeout),
                **self._condition(message_id).arguments(),
            ),
            method_name=self.execute_complete.__name__,
            timeout=timedelta(seconds=timeout) + _NET,
        )

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """
        Go on after the trigger.

        :param context: context of the task
        :param event: the trigger's event
        :return: the status, as the API sent it
        """
        message_id = _message_id(context)
        with self._sent_already(message_id):
            timeout = self._seconds("wait_timeout")
            return waiting.complete(self.hook, self._condition(message_id), event, timeout=timeout)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Go on after a deferral, or fail for good if Airflow ended it: its own error would make a retry send again.

        :param next_method: name of the method to call
        :param next_kwargs: its arguments
        :param context: context of the task
        """
        with self._sent_already(_message_id(context)):
            return super().resume_execution(next_method, next_kwargs, context)

    def _condition(self, message_id: str) -> waiting.MessageHasStatus:
        try:
            return waiting.MessageHasStatus(message_id=message_id, target_statuses=self.wait_for_status)
        except WtsChatArgumentError as error:
            msg = str(error).replace("target_statuses", "wait_for_status")
            raise error.retold(msg, WtsChatArgumentError) from None

    def _seconds(self, argument: str) -> float:
        return convert.required(argument, convert.seconds(argument, getattr(self, argument)))

    @contextmanager
    def _sent_already(self, message_id: str) -> Iterator[None]:
        try:
            yield
        except AirflowFailException:
            raise
        except AirflowException as error:
            # A retry would send again, or refuse to.
            msg = f"The message {message_id} was sent, and will not be sent again. {error}"
            if isinstance(error, WtsChatError):
                raise error.retold(msg, WtsChatFailedError) from error
            raise WtsChatFailedError(msg) from error


def _message_id(context: Context) -> str:
    ti = context["ti"]
    # Not an argument of the deferral, since `airflow dags test` loses those.
    return str(ti.xcom_pull(task_ids=ti.task_id, key="message_id", map_indexes=ti.map_index))


class WtsChatFileOperator(WtsChatBaseOperator):
    """
    Take a file in one of three ways.

    :param file_url: public URL of the file (templated)
    :param file_id: id of an uploaded file (templated)
    :param file_path: path of a file on the worker, or on any object storage that Airflow knows, such as
        ``s3://conn@bucket/report.pdf``; it is uploaded first (templated)
    """

    file_required: ClassVar[bool] = False

    def __init__(
        self,
        *,
        file_url: str | None = None,
        file_id: str | None = None,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file_url = file_url
        self.file_id = file_id
        self.file_path = file_path

    def given(self) -> dict[str, Any]:
        """Return the operation's values, with any id in place of that of a file that is not uploaded yet."""
        ways = [name for name in ("file_url", "file_id", "file_path") if getattr(self, name) is not None]
        if len(ways) > 1 or (self.file_required and not ways):
            msg = f"file_url, file_id, file_path: give one of them; {' and '.join(ways) or 'none'} was given"
            raise WtsChatArgumentError(msg)
        files = {"file_url": self.file_url, "file_id": self.file_id if self.file_path is None else ANY_ID}
        return super().given() | files

    def found(self) -> dict[str, Any]:
        """Return the values that take requests to find, with the id of the file that was uploaded."""
        found = super().found()
        if self.file_path is not None:
            found["file_id"] = self.hook.upload(self.file_path)["id"]
        return found


class WtsChatBatchOperator(WtsChatOnceOperator):
    """
    Send any number of things, a hundred per request.

    All requests are built before the first is sent, so a mistake in one thing sends none. A failure says how far it
    got, and the XCom ``partial_results`` holds the results until there. An empty list is nothing to do.
    """

    batch: ClassVar[str]
    """The argument that takes the things, which is the operation's parameter too."""

    def things(self) -> list[dict[str, Any]]:
        """
        Take the things.

        :raises WtsChatArgumentError: if they are no list of mappings
        """
        given = convert.listing(self.batch, convert.required(self.batch, getattr(self, self.batch)))
        return [
            convert.required(f"{self.batch}[{i}]", convert.mapping(f"{self.batch}[{i}]", thing))
            for i, thing in enumerate(given or ())
        ]

    def results(self, things: Sequence[dict[str, Any]], answer: Any) -> list[Any]:
        """
        Return a result for each thing.

        :param things: the things of one request
        :param answer: what the request was answered with
        """
        return list(answer)

    def parts(self, values: dict[str, Any]) -> list[tuple[list[dict[str, Any]], Request[Any]]]:
        """
        Build the requests, each with its things.

        :param values: values by the names of the operation's parameters
        :raises WtsChatArgumentError: if one is refused, with the number of the thing among all of them
        """
        things = values[self.batch]
        starts = range(0, len(things), convert.MAX_BATCH)
        return [(things[start : start + convert.MAX_BATCH], self._part(values, start)) for start in starts]

    def execute(self, context: Context) -> list[Any]:
        """
        Send the requests.

        :param context: context of the task
        :return: a result for each thing, in their order
        :raises WtsChatFailedError: if a request failed in a way that a retry cannot mend
        :raises WtsChatError: if a retry may help, which goes on where this try stopped
        """
        with failing_for_good():
            given = self.given() | {self.batch: self.things()}
            parts = self.parts(given)
            if parts and (found := self.found()):
                parts = self.parts(given | found)
            results: list[Any] = []
            for number, (things, request) in enumerate(parts):
                try:
                    results += self.once(
                        context,
                        request,
                        partial(self._send, things, request),
                        key=f"{STATE_KEY}_{number}",
                        about=_digest(things),
                    )
                except WtsChatError as error:
                    raise self._stopped(context, error, parts, number, results) from error
                self.log.info("%d of %d requests done", number + 1, len(parts))
            return results

    def _part(self, values: dict[str, Any], start: int) -> Request[Any]:
        part = {self.batch: values[self.batch][start : start + convert.MAX_BATCH]}
        try:
            return self.build(**values | part)
        except WtsChatArgumentError as error:
            # The operation counts within the request, the user within all of them.
            counted = re.sub(rf"\b{self.batch}\[(\d+)\]", lambda m: f"{self.batch}[{int(m[1]) + start}]", str(error))
            raise WtsChatArgumentError(counted) from error

    def _send(self, things: Sequence[dict[str, Any]], request: Request[Any]) -> list[Any]:
        return self.results(things, self.hook.run(request))

    def _stopped(
        self,
        context: Context,
        error: WtsChatError,
        parts: Sequence[tuple[Sequence[Any], Request[Any]]],
        number: int,
        results: list[Any],
    ) -> WtsChatError:
        start = number * convert.MAX_BATCH
        end = start + len(parts[number][0])
        total = sum(len(things) for things, _ in parts)
        safe = parts[number][1].safe_to_repeat
        begins = number == 0 and bool(convert.boolean("may_repeat", self.may_repeat))
        goes_on = error.retryable and (safe or remembers(context) or begins)
        if results:
            context["ti"].xcom_push(key="partial_results", value=results)
        done, this, rest = (f"{self.batch}[{a}:{b}]" for a, b in ((0, start), (start, end), (end, total)))
        perhaps = isinstance(error, WtsChatUncertainError | WtsChatFailedError)
        said = [f"{error}. Of {total} {self.batch}:"]
        if start:
            said.append(f"{done} are done, with their results in the XCom partial_results;")
        said.append(f"{this} may be done; look in WTS Chat;" if perhaps else f"{this} are not done;")
        if end < total:
            said.append(f"{rest} were not tried;")
        if goes_on:
            said.append("a retry goes on from there")
        elif safe:
            said.append("the task may be run again when the reason is mended")
        else:
            said.append("do not clear this task, which would begin anew: run what is not done in a new one")
        return error.retold(" ".join(said), type(error) if goes_on else WtsChatFailedError)


def _digest(things: Sequence[Mapping[str, Any]]) -> str:
    # Recipients are who they are, although a text to them may hold the time.
    who = [str(thing.get("to", thing)) for thing in things]
    return hashlib.sha256(json.dumps(who).encode()).hexdigest()

"""Doing at most once what must not be done twice: sends, and whatever creates something."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_wtschat import waiting
from airflow_provider_wtschat._compat import AirflowException, AirflowFailException, ObjectStoragePath, conf
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import FileType
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
)
from airflow_provider_wtschat.operators.memory import STATE_KEY, Content, Memory
from airflow_provider_wtschat.triggers.base import NET
from airflow_provider_wtschat.triggers.message import MessageStatusTrigger

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context


class WtsChatOnceOperator(WtsChatBaseOperator):
    """
    Send one request, at most once if sending it twice would do harm.

    What was sent is remembered on Airflow 3.3 and later. The page ``docs/sending.md`` has a table of what holds on
    which release series.

    :param may_repeat: send it in a later try too, although an earlier one may have sent it, so that it may be sent
        twice (templated). Default: false
    """

    def __init__(self, *, may_repeat: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.may_repeat = may_repeat

    def execute(self, context: Context) -> Any:
        """
        Send the request, unless an earlier try of the task may have.

        :return: the answer, as the API sent it, to this try or to an earlier one that sent the same
        :raises WtsChatFailedError: if it failed in a way that a retry cannot mend, or an earlier try may have sent it
        :raises WtsChatError: if a retry may help
        """
        # Before all that can fail, so that a later try can tell a memory that was emptied from one of nothing sent.
        Memory(context).begin()
        return super().execute(context)

    def answer(self, context: Context, checked: Request[Any]) -> Any:
        """
        Send the request, at most once if it is not safe to repeat.

        :raises WtsChatFailedError: if an earlier try may have sent it, or has sent something else
        """
        may_repeat = self.repeats()
        if checked.safe_to_repeat:
            return super().answer(context, checked)
        return Memory(context).once(
            lambda: self.content(checked), lambda: self.prepared(checked), self.send, may_repeat=may_repeat
        )

    def prepared(self, checked: Request[Any]) -> Request[Any]:
        """Do all that comes before the sending, so that what fails in it is known to have sent nothing."""
        self.hook.resolve()
        return self.complete(checked)

    def content(self, checked: Request[Any]) -> Content:
        """Return what tells a request from another one: recipient and content, before anything is looked up."""
        request = [self.wtschat_conn_id, checked.method, checked.path, checked.query, checked.body]
        return Content([*request, self.looked_up()])

    def repeats(self) -> bool:
        """
        Return ``may_repeat`` as a truth value.

        :raises WtsChatArgumentError: if it is not one
        """
        return convert.required("may_repeat", convert.boolean("may_repeat", self.may_repeat))


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

    def act(self, context: Context) -> Any:
        """
        Send the message, and wait.

        :return: the answer, as the API sent it; after a wait the status, as the API sent it
        """
        if self.wait_for_status is None:
            return super().act(context)
        # Before the message is out, so that a mistake in these sends nothing.
        self._condition(ANY_ID)
        poll_interval, timeout = self._seconds("poll_interval"), self._seconds("wait_timeout")
        deferrable = convert.required("deferrable", convert.boolean("deferrable", self.deferrable))
        message_id = super().act(context)["id"]
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
            timeout=timedelta(seconds=timeout) + NET,
        )

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """
        Go on after the trigger.

        :param event: the trigger's event
        :return: the status, as the API sent it
        """
        message_id = _message_id(context)
        with self._sent_already(message_id):
            timeout = self._seconds("wait_timeout")
            return waiting.complete(self.hook, self._condition(message_id), event, timeout=timeout)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral, or fail for good if Airflow ended it: its own error would make a retry send again."""
        with self._sent_already(_message_id(context)):
            return super().resume_execution(next_method, next_kwargs, context)

    def _condition(self, message_id: str) -> waiting.MessageHasStatus:
        try:
            return waiting.MessageHasStatus(message_id=message_id, target_statuses=self.wait_for_status)
        except WtsChatArgumentError as error:
            if error.names != ("target_statuses",):
                raise
            raise error.renamed("wait_for_status") from None

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


class WtsChatFileOperator(WtsChatOnceOperator):
    """
    Send or store a file, which is given in one of three ways.

    :param file_url: public URL of the file (templated)
    :param file_id: id of an uploaded file (templated)
    :param file_path: path of a file on the worker, or on any object storage that Airflow knows, such as
        ``s3://conn@bucket/report.pdf``; it is uploaded first (templated)
    :param file_type: what the file of ``file_path`` is uploaded as: ``PDF``, ``EXCEL``, ``WORD``, ``IMAGE``, ``AUDIO``,
        ``VIDEO`` or ``DOCUMENT``, as which an image or a video is kept as it is (templated). Default: the API finds out
    """

    file_required: ClassVar[bool] = False

    def __init__(
        self,
        *,
        file_url: str | None = None,
        file_id: str | None = None,
        file_path: str | None = None,
        file_type: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file_url = file_url
        self.file_id = file_id
        self.file_path = file_path
        self.file_type = file_type

    def given(self) -> dict[str, Any]:
        """Return the operation's values, with any id in place of that of a file that is not uploaded yet."""
        ways = [name for name in ("file_url", "file_id", "file_path") if getattr(self, name) is not None]
        if len(ways) > 1 or (self.file_required and not ways):
            reason = f"give one of them; {' and '.join(ways) or 'none'} was given"
            raise WtsChatArgumentError("file_url, file_id, file_path", reason)
        if convert.choice("file_type", self.file_type, FileType) is not None and self.file_path is None:
            msg = "is how a file is uploaded; give it with file_path"
            raise WtsChatArgumentError("file_type", msg)
        files = {"file_url": self.file_url, "file_id": self.file_id if self.file_path is None else ANY_ID}
        return super().given() | files

    def content(self, checked: Request[Any]) -> Content:
        """Return what tells a request from another one, with a digest of the file that is uploaded for it."""
        return super().content(checked)._replace(file=None if self.file_path is None else _digest(self.file_path))

    def looked_up(self) -> dict[str, Any]:
        """Return what :meth:`found` takes requests for, with the path of the file."""
        return super().looked_up() | {"file_path": self.file_path, "file_type": self.file_type}

    def found(self) -> dict[str, Any]:
        """Return the values that take requests to find, with the id of the file that was uploaded."""
        found = super().found()
        if self.file_path is not None:
            found["file_id"] = self.hook.upload(
                self.file_path, file_type=convert.choice("file_type", self.file_type, FileType)
            )["id"]
        return found


def _digest(path: str) -> str | None:
    source = ObjectStoragePath(path)
    if not source.is_file():
        return None
    with source.open("rb") as file:  # type: ignore[no-untyped-call]
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        Return the things that were given.

        :raises WtsChatArgumentError: if they are no list of mappings
        """
        given = convert.listing(self.batch, convert.required(self.batch, getattr(self, self.batch)))
        return [
            convert.required(f"{self.batch}[{i}]", convert.mapping(f"{self.batch}[{i}]", thing))
            for i, thing in enumerate(given or ())
        ]

    def results(self, things: Sequence[dict[str, Any]], answer: Any) -> list[Any]:
        """Return a result for each thing of one request."""
        return list(answer)

    def parts(self, values: dict[str, Any]) -> list[tuple[list[dict[str, Any]], Request[Any]]]:
        """
        Build the requests, each with its things.

        :raises WtsChatArgumentError: if one is refused, with the number of the thing among all of them
        """
        things = values[self.batch]
        starts = range(0, len(things), convert.MAX_BATCH)
        return [(things[start : start + convert.MAX_BATCH], self._part(values, start)) for start in starts]

    def act(self, context: Context) -> list[Any]:
        """
        Send the requests.

        :return: a result for each thing, in their order
        """
        given = self.given() | {self.batch: self.things()}
        checked = self.parts(given)
        may_repeat, memory = self.repeats(), Memory(context)
        keys = [f"{STATE_KEY}_{number}" for number in range(len(checked))]
        if may_repeat:
            memory.begin_round(keys)

        @cache
        def complete() -> list[tuple[list[dict[str, Any]], Request[Any]]]:
            # What was sent needs no names any more, so these are looked up before the first request that is sent.
            self.hook.resolve()
            found = self.found()
            return self.parts(given | found) if found else checked

        def prepared(number: int) -> tuple[list[dict[str, Any]], Request[Any]]:
            return complete()[number]

        results: list[Any] = []
        for number, (key, (_, request)) in enumerate(zip(keys, checked, strict=True)):
            try:
                if request.safe_to_repeat:
                    results += self._send(prepared(number))
                else:
                    results += memory.once(
                        partial(self.content, request),
                        partial(prepared, number),
                        self._send,
                        may_repeat=may_repeat,
                        key=key,
                        go_on=True,
                    )
            except WtsChatError as error:
                raise self._stopped(context, error, checked, number, results) from error
            self.log.info("%d of %d requests done", number + 1, len(checked))
        return results

    def _part(self, values: dict[str, Any], start: int) -> Request[Any]:
        part = {self.batch: values[self.batch][start : start + convert.MAX_BATCH]}
        try:
            return self.build(**values | part)
        except WtsChatArgumentError as error:
            # The operation counts within the request, the user within all of them.
            match error.position:
                case (int(number), *rest) if error.names == (self.batch,):
                    raise error.renamed(self.batch, position=(number + start, *rest)) from error
            raise

    def _send(self, part: tuple[list[dict[str, Any]], Request[Any]]) -> list[Any]:
        things, request = part
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
        goes_on = error.retryable and (safe or Memory(context).lasts or begins)
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
            said.append("run what is not done in a task of its own")
        return error.retold(" ".join(said), type(error) if goes_on else WtsChatFailedError)

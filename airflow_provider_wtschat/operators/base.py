"""What the operators share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.paging import Walk
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE, PagedRequest, Request
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatError, WtsChatFailedError
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.hooks.wtschat import WtsChatHook
from airflow_provider_wtschat.links import WtsChatSessionLink, push_session_url
from airflow_provider_wtschat.names import Names

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

R = TypeVar("R")

DEFAULT_MAX_ROWS = 1000


@contextmanager
def failing_for_good() -> Iterator[None]:
    """
    Turn an error that no retry can mend into a failure without retries.

    :raises WtsChatFailedError: in place of an error of the provider that is not retryable
    """
    try:
        yield
    except WtsChatFailedError:
        raise
    except WtsChatError as error:
        if error.retryable:
            raise
        raise WtsChatFailedError(
            str(error), status=error.status, key=error.key, text=error.text, short_id=error.short_id,
            method=error.method, path=error.path,
        ) from error  # fmt: skip


class WtsChatBaseOperator(BaseOperator):
    """
    Send one request and return what it was answered with.

    A subclass names the function of :mod:`airflow_provider_wtschat.api` that builds the request, and has a templated
    argument for each of the function's. Arguments are checked when the request is built, after rendering.

    :param wtschat_conn_id: id of the connection (templated). Default: ``wtschat_default``
    """

    operation: ClassVar[Callable[..., Request[Any]]]
    named: ClassVar[Mapping[str, str]] = {}
    """By argument that takes an id, the method of :class:`~airflow_provider_wtschat.names.Names` that finds it."""
    template_fields: Sequence[str] = ("wtschat_conn_id",)
    ui_color = "#d9f2e3"

    def __init__(self, *, wtschat_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wtschat_conn_id = wtschat_conn_id

    @cached_property
    def hook(self) -> WtsChatHook:
        """The hook of the task's connection."""
        return WtsChatHook(self.wtschat_conn_id)

    @cached_property
    def names(self) -> Names:
        """Ids by name, looked up once per task."""
        return Names(self.hook)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the request, by the names of the operation's parameters."""
        parameters = inspect.signature(type(self).operation).parameters
        arguments = {name: getattr(self, name) for name in parameters if name in self.template_fields}
        return {**arguments, **{argument: self.resolved(argument) for argument in self.named}}

    def resolved(self, argument: str) -> Any:
        """
        Return an id that may be given by name.

        :param argument: the argument that takes the id; its twin ends with ``_name``
        :raises WtsChatArgumentError: if both are given, or the name stands for nothing or for several things
        """
        name_argument = argument.removesuffix("_id") + "_name"
        value, name = getattr(self, argument), getattr(self, name_argument)
        if name is None:
            return value
        if value is not None:
            msg = f"{argument}, {name_argument}: both were given; give one of them"
            raise WtsChatArgumentError(msg)
        return getattr(self.names, self.named[argument])(name)

    def request(self) -> Request[Any]:
        """
        Build the request.

        :raises WtsChatArgumentError: if an argument is refused, or a name stands for nothing or for several things
        """
        return type(self).operation(**self.arguments())

    def act(self, context: Context) -> Any:
        """
        Do what the operator is for.

        :param context: context of the task
        """
        return self.hook.run(self.request())

    def execute(self, context: Context) -> Any:
        """
        Send the request.

        :param context: context of the task
        :return: the answer, as the API sent it
        :raises WtsChatFailedError: if it failed in a way that a retry cannot mend
        :raises WtsChatError: if a retry may help
        """
        with failing_for_good():
            return self.act(context)


class WtsChatSessionBaseOperator(WtsChatBaseOperator):
    """Send one request that is answered with a session, and link to it."""

    operator_extra_links = (WtsChatSessionLink(),)

    def act(self, context: Context) -> Any:
        """
        Send the request, and remember the address of the session.

        :param context: context of the task
        """
        answer = super().act(context)
        push_session_url(context, answer)
        return answer


class WtsChatListOperator(WtsChatBaseOperator, Generic[R]):
    """
    Read a list and return its rows.

    :param page_number: read this one page only, from 1 (templated). Default: all pages
    :param page_size: rows per page, 1 to 100 (templated). Default: 100
    :param max_rows: refuse, judged by the first page and before reading on, to put more rows than this into XCom
        (templated). Default: 1000
    :param max_pages: stop after so many pages; a line in the log and the XCom ``truncated`` say so (templated).
        Default: read all
    :param fields: keep only these fields of a row, such as ``["id"]`` (templated). Default: all
    """

    operation: ClassVar[Callable[..., PagedRequest[Any]]]
    template_fields: Sequence[str] = (
        "page_number",
        "page_size",
        "max_rows",
        "max_pages",
        "fields",
        *WtsChatBaseOperator.template_fields,
    )

    def __init__(
        self,
        *,
        page_number: int | None = None,
        page_size: int | None = None,
        max_rows: int = DEFAULT_MAX_ROWS,
        max_pages: int | None = None,
        fields: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.page_number = page_number
        self.page_size = page_size
        self.max_rows = max_rows
        self.max_pages = max_pages
        self.fields = fields

    def act(self, context: Context) -> list[dict[str, Any]]:
        """
        Read the rows.

        :param context: context of the task
        :return: the rows, as the API sent them
        """
        request = self.list_request()
        page_number = convert.integer("page_number", self.page_number, minimum=1)
        page_size = convert.integer("page_size", self.page_size, minimum=1, maximum=MAX_PAGE_SIZE)
        max_rows = convert.required("max_rows", convert.integer("max_rows", self.max_rows, minimum=1))
        max_pages = convert.integer("max_pages", self.max_pages, minimum=1)
        fields = convert.texts("fields", self.fields)
        if page_number is not None and max_pages is not None:
            msg = "page_number, max_pages: give one of them; page_number reads one page only"
            raise WtsChatArgumentError(msg)
        if page_number is not None:
            rows = self.hook.run(request.page(page_number, page_size or self.hook.resolve().page_size)).get("items")
            return [_kept(row, fields) for row in rows or []]

        walk = Walk(request, page_size=page_size or self.hook.resolve().page_size)
        result: list[dict[str, Any]] = []
        truncated = False
        for number, rows in enumerate(self.hook.walk(walk), start=1):
            result.extend(_kept(row, fields) for row in rows)
            expected = max(walk.total or 0, len(result))
            if max_pages is not None:
                expected = min(expected, max_pages * walk.page_size)
            if expected > max_rows:
                raise _too_many(expected, max_rows)
            if number == max_pages:
                truncated = expected < (walk.total or 0)
                break
        if truncated:
            self.log.warning(
                "Read %d of %s rows, because max_pages is %s: the rest was not read", len(result), walk.total, max_pages
            )
        context["ti"].xcom_push(key="truncated", value=truncated)
        self.log.info("Read %d rows", len(result))
        return result

    def list_request(self) -> PagedRequest[Any]:
        """
        Build the request for the list.

        :raises WtsChatArgumentError: if an argument is refused, or a name stands for nothing or for several things
        """
        return type(self).operation(**self.arguments())


def _kept(row: dict[str, Any], fields: list[str] | None) -> dict[str, Any]:
    return row if fields is None else {name: row.get(name) for name in fields}


def _too_many(rows: int, max_rows: int) -> WtsChatArgumentError:
    return WtsChatArgumentError(
        f"max_rows: the list has {rows} rows and at most {max_rows} may go into XCom, which Airflow keeps in its "
        "database. Filter more, cut with max_pages, or raise max_rows, best with fields such as ['id']. For more rows "
        "read them with WtsChatHook.iterate in a @task, or copy them with WtsChatToSqlOperator or "
        "WtsChatToObjectStorageOperator"
    )

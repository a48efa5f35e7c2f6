"""What the operators share."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from airflow_provider_wtschat._compat import AirflowFailException
from airflow_provider_wtschat._given import CheckedOperator
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import lookup
from airflow_provider_wtschat.api.exchange import Exchange
from airflow_provider_wtschat.api.instants import When
from airflow_provider_wtschat.api.paging import Paginator
from airflow_provider_wtschat.api.request import MAX_PAGE_SIZE, PagedRequest, Request
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatError,
    WtsChatFailedError,
    WtsChatNotFoundError,
    WtsChatServerError,
)
from airflow_provider_wtschat.hooks.connection import DEFAULT_CONN_ID
from airflow_provider_wtschat.links import WtsChatSessionLink, push_session_url

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context
    from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

R = TypeVar("R")
log = logging.getLogger(__name__)

DEFAULT_MAX_ROWS = 1000
ANY_ID = "00000000-0000-4000-8000-000000000000"
"""Stands for an id that is not known yet, while the other arguments are checked."""


@contextmanager
def failing_for_good() -> Iterator[None]:
    """
    Turn an error that no retry can mend into a failure without retries.

    :raises WtsChatFailedError: in place of an error of the provider that is not retryable
    """
    try:
        yield
    except WtsChatError as error:
        # Airflow's UI shows an error's message, and not the note that it carries.
        if error.help_url:
            log.error("What it means, and what to do: %s", error.help_url)
        if error.retryable or isinstance(error, AirflowFailException):
            raise
        raise error.retold(str(error), WtsChatFailedError) from error


class ActingOperator(CheckedOperator):
    """Do one thing, :meth:`act`, after a look at the arguments; what no retry can mend fails for good."""

    def act(self, context: Context) -> Any:
        """Do what the operator is for."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """
        Do what the operator is for.

        :raises WtsChatFailedError: if it failed in a way that a retry cannot mend
        :raises WtsChatError: if a retry may help
        """
        with failing_for_good():
            self.check_given()
            return self.act(context)


class ConnectedOperator(ActingOperator):
    """An operator with a connection to WTS Chat."""

    wtschat_conn_id: str

    @cached_property
    def hook(self) -> WtsChatHook:
        """The hook of the task's connection."""
        # What speaks HTTP is loaded by the task, and not each time that a Dag file is parsed.
        from airflow_provider_wtschat.hooks.wtschat import WtsChatHook

        return WtsChatHook(self.wtschat_conn_id)


class WtsChatBaseOperator(ConnectedOperator):
    """
    Send one request and return what it was answered with.

    A subclass names the function of :mod:`airflow_provider_wtschat.api` that builds the request, and has an argument
    for each of the function's. Arguments are checked after rendering, when the request is built.

    :param wtschat_conn_id: id of the connection (templated). Default: ``wtschat_default``
    """

    operation: ClassVar[Callable[..., Any]]
    """Builds the request: a :class:`~airflow_provider_wtschat.api.request.PagedRequest` for a list."""
    named: ClassVar[Mapping[str, str]] = {}
    """By argument that takes an id, the function of :mod:`airflow_provider_wtschat.api.lookup` that finds it."""
    named_lists: ClassVar[Mapping[str, str]] = {}
    """The same for arguments that take a list of ids."""
    renamed: ClassVar[Mapping[str, str]] = {}
    """By parameter of the operation, the argument that stands for it where it has another name."""
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            "arguments", "classification", "contact_metadata", "contacts", "custom_fields", "messages", "metadata",
            "session_metadata", "template_parameters", "utm",
        ),
        "json",
    )  # fmt: skip

    def __init__(self, *, wtschat_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wtschat_conn_id = wtschat_conn_id

    def build(self, **values: Any) -> Request[Any]:
        """Build the request."""
        request: Request[Any] = self.checking(type(self).operation, **values)
        return request

    def checking(self, operation: Callable[..., R], /, **values: Any) -> R:
        """
        Build the request of an operation; a refusal names the arguments as the user knows them.

        :param operation: builds the request
        """
        try:
            return operation(**values)
        except WtsChatArgumentError as error:
            known = self.known_as(*error.names, whole=not error.position)
            if known == error.names:
                raise
            raise error.renamed(*known) from error

    def known_as(self, *parameters: str, whole: bool = True) -> tuple[str, ...]:
        """
        Return what the user knows refused parameters by: the arguments, or two where a name will do for an id.

        :param parameters: parameters of the operation, such as ``tag_ids`` and ``tag_names``
        :param whole: whether they were refused as a whole, and not something inside of them
        """
        known = [self.renamed.get(name, name) for name in parameters]
        for argument in [argument for argument in known if argument in self.named and whole]:
            twin = name_argument(argument)
            if twin not in known and getattr(self, argument) is None:
                known.insert(known.index(argument) + 1, twin)
        return tuple(known)

    def given(self) -> dict[str, Any]:
        """
        Return the operation's values as they were given. An id that is given by name is any id until it is found.

        :raises WtsChatArgumentError: if an id and a name are given for the same thing, or a name says nothing
        """
        ids = {**dict.fromkeys(self.named, ANY_ID), **{key: [ANY_ID] for key in self.named_lists}}
        twins = {name_argument(argument) for argument in ids}
        values = {}
        for parameter in inspect.signature(type(self).operation).parameters:
            argument = self.renamed.get(parameter, parameter)
            if argument in self.template_fields and argument not in twins:
                values[parameter] = getattr(self, argument)
        for argument, any_id in ids.items():
            name = name_argument(argument)
            # A name that says nothing is refused here, before anything is asked.
            take = convert.texts if argument in self.named_lists else convert.text
            if take(name, getattr(self, name)) is None:
                continue
            if getattr(self, argument) is not None:
                both = f"{argument}, {name}"
                raise WtsChatArgumentError(both, "both were given; give one of them")
            values[argument] = any_id
        return values

    def found(self) -> dict[str, Any]:
        """
        Return those of the operation's values which take requests to find: ids by name.

        :raises WtsChatArgumentError: if a name stands for nothing or for several things
        """
        found: dict[str, Any] = {}
        for argument, thing in {**self.named, **self.named_lists}.items():
            given = getattr(self, name_argument(argument))
            if given is None:
                continue
            names = convert.texts(name_argument(argument), given) if argument in self.named_lists else [given]
            ids = [
                self.hook.perform(self.by_name(thing, name, argument=name_argument(argument), found=found))
                for name in names or ()
            ]
            found[argument] = ids if argument in self.named_lists else ids[0]
        return found

    def by_name(self, thing: str, name: str, *, argument: str, found: Mapping[str, Any]) -> Exchange[str]:
        """
        Return the look-up of an id by a name.

        :param thing: what has the name, as in :attr:`named`
        :param found: what was found before
        """
        exchange: Exchange[str] = getattr(lookup, thing)(name, argument=argument)
        return exchange

    def looked_up(self) -> dict[str, Any]:
        """Return what :meth:`found` takes requests for, by argument: names, and files to upload."""
        return {name: getattr(self, name) for name in map(name_argument, [*self.named, *self.named_lists])}

    def checked(self) -> Request[Any]:
        """Build the request from what is given, to check it; any id stands for what takes requests to find."""
        return self.build(**self.given())

    def complete(self, checked: Request[Any]) -> Request[Any]:
        """Find what takes requests to find, and build the request that is sent."""
        found = self.found()
        return self.build(**self.given() | found) if found else checked

    def send(self, request: Request[Any]) -> Any:
        """
        Send the request.

        :return: the answer, as the API sent it; ``None`` for a deletion of what is not there
        """
        try:
            return self.hook.run(request)
        except WtsChatNotFoundError:
            if request.method != "DELETE":
                raise
            self.log.info("%s: it is not there, or not any more", request.label)
            return None

    def answer(self, context: Context, checked: Request[Any]) -> Any:
        """Find what is missing, and send the request."""
        return self.send(self.complete(checked))

    def act(self, context: Context) -> Any:
        """Send the request, and return the answer; ``None`` for a deletion of what is not there."""
        answer = self.answer(context, self.checked())
        push_session_url(context, answer)
        return answer


def name_argument(argument: str) -> str:
    """Return the argument that takes a name, by the one that takes the id, such as ``department_id`` or ``bot_key``."""
    if argument.endswith("_ids"):
        return argument.removesuffix("_ids") + "_names"
    return argument.removesuffix("_id").removesuffix("_key") + "_name"


class WtsChatSessionBaseOperator(WtsChatBaseOperator):
    """Send one request about a session, and link to the session if the answer tells its address."""

    operator_extra_links = (WtsChatSessionLink(),)


class WtsChatListOperator(WtsChatBaseOperator, Generic[R]):
    """
    Read a list and return its rows, ready for ``.expand()``.

    Besides the rows, the XCom ``truncated`` says whether the list has more, and ``total_items`` how many it has, where
    the API says so.

    :param page_number: read this one page only, from 1 (templated). Default: all pages
    :param page_size: rows per page, 1 to 100 (templated). Default: the connection's ``page_size``, else 100
    :param max_rows: refuse, judged by the first page and before reading on, to put more rows than this into XCom
        (templated). Default: 1000
    :param max_pages: stop after so many pages; a line in the log says so (templated). Default: read all
    :param fields: keep only these fields of a row, such as ``["id"]`` (templated). Default: all
    """

    def __init__(
        self,
        *,
        page_number: int | None = None,
        page_size: int | None = None,
        max_rows: int = DEFAULT_MAX_ROWS,
        max_pages: int | None = None,
        fields: Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.page_number = page_number
        self.page_size = page_size
        self.max_rows = max_rows
        self.max_pages = max_pages
        self.fields = fields

    def act(self, context: Context) -> Any:
        """Read the rows."""
        return self.read(context, self.checked())

    def read(self, context: Context, checked: Request[Any]) -> Any:
        """
        Read the rows, and push ``truncated`` and ``total_items`` to XCom.

        :param checked: the request for the list, with any id in place of those that take requests to find
        """
        page_number = convert.integer("page_number", self.page_number, minimum=1)
        page_size = convert.integer("page_size", self.page_size, minimum=1, maximum=MAX_PAGE_SIZE)
        max_rows = convert.required("max_rows", convert.integer("max_rows", self.max_rows, minimum=1))
        max_pages = convert.integer("max_pages", self.max_pages, minimum=1)
        fields = convert.texts("fields", self.fields)
        if page_number is not None and max_pages is not None:
            raise WtsChatArgumentError("page_number, max_pages", "give one of them; page_number reads one page only")
        request = self.complete(checked)
        if not isinstance(request, PagedRequest):
            msg = f"{request.label} is not a list with pages"
            raise TypeError(msg)
        page_size = page_size or self.hook.resolve().page_size
        if page_number is not None:
            rows, total, truncated = self._page(request, page_number, page_size)
        else:
            rows, total, truncated = self._pages(request, page_size, max_rows, max_pages)
        context["ti"].xcom_push(key="truncated", value=truncated)
        context["ti"].xcom_push(key="total_items", value=total)
        self.log.info("Read %d rows%s", len(rows), f" of {total}" if total is not None else "")
        return kept(rows, fields)

    def _page(self, request: PagedRequest[Any], number: int, size: int) -> tuple[list[Any], int | None, bool]:
        """Read one page; return its rows, how many the list has, and whether it has more."""
        answer = self.hook.run(request.page(number, size))
        rows = list(answer.get("items") or ())
        if mismatch := request.mismatch(rows):
            msg = f"{request.label}: the server ignored the filter on {mismatch}; check the value of the filter"
            raise WtsChatServerError(msg, method=request.method, path=request.shown_path)
        total, more = answer.get("totalItems"), answer.get("hasMorePages")
        truncated = bool(more) or number > 1 or (total or 0) > len(rows) or (total is None and len(rows) >= size)
        return rows, total, truncated

    def _pages(
        self, request: PagedRequest[Any], size: int, max_rows: int, max_pages: int | None
    ) -> tuple[list[Any], int | None, bool]:
        """Read all pages that are allowed; return the rows, how many the list has, and whether it has more."""
        paginator = Paginator(request, page_size=size)
        rows: list[Any] = []
        for number, page in enumerate(self.hook.paginate(paginator), start=1):
            rows += page
            expected = max(paginator.total or 0, len(rows))
            if max_pages is not None:
                expected = min(expected, max_pages * paginator.page_size)
            if expected > max_rows:
                raise _too_many(expected, max_rows)
            # By key some rows come twice, so pages times their size would not tell.
            if number == max_pages and (paginator.next() is not None and len(rows) < (paginator.total or expected + 1)):
                self.log.warning(
                    "Read %d of %s rows, because max_pages is %s: the rest was not read",
                    len(rows), paginator.total, max_pages,
                )  # fmt: skip
                return rows, paginator.total, True
            if number == max_pages:
                break
        return rows, paginator.total, False


class WtsChatPeriodListOperator(WtsChatListOperator[R]):
    """
    Read a list that takes a period of time and an order.

    All pages are read by key, so that rows which change meanwhile are not lost; with an ``order_by`` of your own they
    are read by page number, where they can be.

    :param created_after: lower bound of the creation (templated)
    :param created_before: upper bound of the creation (templated)
    :param updated_after: lower bound of the last change (templated)
    :param updated_before: upper bound of the last change (templated)
    :param timezone: IANA time zone of dates that have none (templated). Default: UTC
    :param order_by: order of your own, such as ``CreatedAt`` (templated). Default: by key
    :param order_direction: ``ASCENDING`` or ``DESCENDING`` (templated)
    """

    def __init__(
        self,
        *,
        created_after: When | None = None,
        created_before: When | None = None,
        updated_after: When | None = None,
        updated_before: When | None = None,
        timezone: str = "UTC",
        order_by: str | None = None,
        order_direction: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.created_after = created_after
        self.created_before = created_before
        self.updated_after = updated_after
        self.updated_before = updated_before
        self.timezone = timezone
        self.order_by = order_by
        self.order_direction = order_direction


def kept(rows: Iterable[Any], fields: Collection[str] | None) -> list[Any]:
    """Keep some fields of rows, or all of them."""
    return list(rows) if fields is None else [{name: row.get(name) for name in fields} for row in rows]


def _too_many(rows: int, max_rows: int) -> WtsChatArgumentError:
    return WtsChatArgumentError(
        "max_rows",
        f"the list has {rows} rows and at most {max_rows} may go into XCom, which Airflow keeps in its "
        "database. Filter more, cut with max_pages, or raise max_rows, best with fields such as ['id']. For more rows "
        "read them with WtsChatHook.iterate in a @task, or copy them with WtsChatToSqlOperator or "
        "WtsChatToObjectStorageOperator",
    )

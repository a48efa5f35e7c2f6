"""The operator for whatever has none of its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from airflow_provider_wtschat._given import refuse_empty
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.operations import OPERATIONS
from airflow_provider_wtschat.api.request import PagedRequest, Request
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.operators._arguments import ListOnceArguments
from airflow_provider_wtschat.operators.base import WtsChatListOperator
from airflow_provider_wtschat.operators.sending import WtsChatOnceOperator

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import Context

__all__ = ["WtsChatOperator"]


class WtsChatOperator(WtsChatListOperator[Any], WtsChatOnceOperator):
    """
    Run any operation of the API.

    A list is read as the list operators read theirs; what must not be done twice is done at most once; a deletion of
    what is not there is done already. The docs have a table of all actions.

    Returns the answer, as the API sent it, and the rows of a list.

    .. code-block:: python

        WtsChatOperator(task_id="department", action="departments.create", arguments={"name": "Vendas"})

    :param action: name of the operation, such as ``departments.create`` (templated)
    :param arguments: its arguments by name, as the function of the action takes them (templated)
    """

    def __init__(
        self, *, action: str, arguments: Mapping[str, Any] | str | None = None, **kwargs: Unpack[ListOnceArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.arguments = arguments

    def act(self, context: Context) -> Any:
        """
        Run the operation.

        :param context: context of the task
        :return: the answer, as the API sent it; the rows of a list
        """
        checked = self.checked()
        if isinstance(checked, PagedRequest):
            return self.read(context, checked)
        return self.answer(context, checked)

    def checked(self) -> Request[Any]:
        """
        Build the request.

        :raises WtsChatArgumentError: if there is no such action, or an argument is refused
        """
        function = _function(convert.required_text("action", self.action).strip())
        given = convert.mapping("arguments", self.arguments) or {}
        parameters = inspect.signature(function).parameters
        for name, value in given.items():
            refuse_empty(name, value, path=f"arguments[{name!r}]")
        unknown = [name for name in given if name not in parameters]
        missing = [
            name for name, parameter in parameters.items() if parameter.default is parameter.empty and name not in given
        ]
        if unknown or missing:
            wrong = f"{', '.join(unknown)} is unknown" if unknown else f"{', '.join(missing)} is missing"
            reason = f"{wrong}; {self.action} takes {', '.join(parameters) or 'none'}"
            raise WtsChatArgumentError("arguments", reason)
        request: Request[Any] = function(**given)
        return request


def _function(action: str) -> Callable[..., Any]:
    if action in OPERATIONS:
        return OPERATIONS[action]
    module = action.partition(".")[0]
    known = [name for name in OPERATIONS if name.startswith(f"{module}.")] or list(OPERATIONS)
    convert.refuse("action", action, f"one of these is wanted: {', '.join(known)}")

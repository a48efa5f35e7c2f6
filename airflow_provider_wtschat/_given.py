"""Which arguments a task was given, so that one without a value at run time is not taken for one that was left out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat._compat import BaseOperator
from airflow_provider_wtschat.exceptions import WtsChatArgumentError

_GIVEN = "_wtschat_given"
_MAY_BE_EMPTY = frozenset(
    ("arguments", "clear", "contact_metadata", "contacts", "exclude", "failure_statuses", "files", "include_details",
     "messages", "parameter_columns", "parameters", "session_metadata", "template_parameters")
)  # fmt: skip
"""Arguments of which an empty list or mapping says that there is nothing to add or to do."""
_NONE_IS_A_VALUE = frozenset(("failure_statuses", "retention", "settle", "unchanged_for"))
"""Arguments with a default for which ``None`` is something else."""


class CheckedOperator(BaseOperator):
    """
    Know which arguments were given.

    ``None`` in the text of a Dag is how one says "not given"; a template, or the output of a task, that has no value
    when the task runs is a mistake.

    Every argument is templated: ``template_fields`` are the constructor's arguments, unless a class sets its own.
    """

    ui_color = "#d9f2e3"

    if TYPE_CHECKING:

        @property
        def output(self) -> Any:
            """The task's result, which stands for any argument of another task."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own: dict[str, Any] = {}
        if "__init__" in vars(cls):
            own = _arguments(cls.__init__)
            cls.__init__ = _recording(cls.__init__, own)  # type: ignore[method-assign]
        if "template_fields" not in vars(cls):
            inherited = (name for base in cls.__bases__ for name in getattr(base, "template_fields", ()))
            cls.template_fields = tuple(dict.fromkeys([*own, *inherited]))

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """
        Set the arguments that all mapped tasks share.

        :param kwargs: arguments by name; ``None`` is not given, as in the constructor
        """
        given = {
            name: value
            for name, value in kwargs.items()
            if value is not None or name not in cls.template_fields or name in _NONE_IS_A_VALUE
        }
        return super().partial(**given)

    def check_given(self) -> None:
        """
        Refuse an argument that was given and has no value now.

        :raises WtsChatArgumentError: if there is one
        """
        given = vars(self).get(_GIVEN, {"wtschat_conn_id"})
        for name in self.template_fields:
            if name in given:
                refuse_empty(name, getattr(self, name))


def refuse_empty(name: str, value: Any, *, path: str = "") -> None:
    """
    Refuse a value that is nothing: ``None``, a blank text, the text "None", and an empty list or mapping.

    :param value: its value, after rendering
    :param path: how the user names the argument, where it lies within another one. Default: its name
    :raises WtsChatArgumentError: if it is nothing
    """
    if isinstance(value, str):
        empty = value.strip() in ("", "None")
    else:
        empty = value is None or (isinstance(value, Collection) and not value and name not in _MAY_BE_EMPTY)
    if empty:
        reason = (
            f"was given, and its value is {value!r} when the task runs. Without a value it would be left out of the "
            "request, which may then apply to everything. See what its template or the task that it comes from "
            "returned; leave the argument out where it is not wanted"
        )
        raise WtsChatArgumentError(path or name, reason)


def _arguments(constructor: Callable[..., None]) -> dict[str, Any]:
    """Return a constructor's own arguments, with their defaults."""
    parameters = inspect.signature(constructor).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def _recording(constructor: Callable[..., None], own: Mapping[str, Any]) -> Callable[..., None]:
    """Let a constructor record which of its own arguments were given, since rendering replaces their values."""

    @wraps(constructor)
    def recording(self: CheckedOperator, **kwargs: Any) -> None:
        # What is mapped is resolved by now, so there None was given; elsewhere it is how one says "not given".
        mapped = getattr(self, "_BaseOperator__from_mapped", False)
        vars(self).setdefault(_GIVEN, {"wtschat_conn_id"}).update(
            name
            for name, default in own.items()
            if kwargs.get(name, default) is not None
            or (name not in _NONE_IS_A_VALUE and (default is not None or (mapped and name in kwargs)))
        )
        constructor(self, **kwargs)

    return recording

"""Sending at most once: what the operators that reach a customer share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.exceptions import WtsChatError, WtsChatFailedError, WtsChatUncertainError
from airflow_provider_wtschat.links import WtsChatSessionLink
from airflow_provider_wtschat.operators.base import WtsChatBaseOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

T = TypeVar("T")

STATE_KEY = "wtschat_send"


def send_once(context: Context, send: Callable[[], T], *, may_repeat: bool) -> T:
    """
    Send, unless an earlier try of the same task may have.

    From Airflow 3.3 on the task remembers what it did, so a later try returns what an earlier one sent, and sends only
    if that one is known to have sent nothing. Earlier lines forget it all, so there a later try sends nothing.

    :param context: context of the task
    :param send: sends, and returns the answer
    :param may_repeat: whether the user allows that the customer gets the message twice
    :return: the answer, of this try or of the earlier one that sent
    :raises WtsChatFailedError: if an earlier try may have sent
    """
    store: Any = context.get("task_state_store")
    try_number = context["ti"].try_number
    if store is None:
        if try_number > 1 and not may_repeat:
            _refuse(f"This is try {try_number}, and Airflow before 3.3 keeps no memory of the earlier ones")
        return send()
    state = store.get(STATE_KEY) or {}
    if state.get("state") == "sent":
        return state["answer"]  # type: ignore[no-any-return]  # what send returned, through JSON
    if state.get("state") == "sending" and not may_repeat:
        _refuse(f"Try {state['try_number']} was cut off between sending and hearing what became of it")
    store.set(STATE_KEY, {"state": "sending", "try_number": try_number})
    try:
        answer = send()
    except WtsChatUncertainError:
        raise
    except WtsChatError:
        # Every other error says that nothing was sent.
        store.delete(STATE_KEY)
        raise
    store.set(STATE_KEY, {"state": "sent", "try_number": try_number, "answer": answer})
    return answer


def _refuse(reason: str) -> NoReturn:
    msg = (
        f"Nothing was sent now, because the message may be out already. {reason}. Look in WTS Chat whether it is, and "
        "if the customer may get it twice, set may_repeat=True"
    )
    raise WtsChatFailedError(msg)


class WtsChatSendOperator(WtsChatBaseOperator):
    """
    Send something to a customer, at most once.

    The docs have a table of what holds on which version of Airflow.

    :param may_repeat: send in a later try too, although an earlier one may have sent: the customer may get it twice
        (templated). Default: false
    """

    template_fields: Sequence[str] = ("may_repeat", *WtsChatBaseOperator.template_fields)
    operator_extra_links = (WtsChatSessionLink(),)

    def __init__(self, *, may_repeat: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.may_repeat = may_repeat

    def act(self, context: Context) -> Any:
        """
        Send, once.

        :param context: context of the task
        :return: the answer, as the API sent it
        """
        may_repeat = convert.required("may_repeat", convert.boolean("may_repeat", self.may_repeat))
        # Built before: a refused argument must not look like a send.
        request = self.request()
        return send_once(context, lambda: self.hook.run(request), may_repeat=may_repeat)

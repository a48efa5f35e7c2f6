"""Links from a task to WTS Chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_wtschat._compat import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow_provider_wtschat._compat import BaseOperator, Context, TaskInstanceKey

__all__ = ["WtsChatSessionLink"]

SESSION_URL_KEY = "wtschat_session_url"


class WtsChatSessionLink(BaseOperatorLink):
    """Opens the session that a task worked on, where the API said its address (``previewUrl``)."""

    name = "Open in WTS Chat"

    @property
    def xcom_key(self) -> str:
        """The XCom that Airflow 3 reads the address from."""
        return SESSION_URL_KEY

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the address of the session, empty where none is known.

        :param operator: the operator of the task
        :param ti_key: the task instance
        """
        return XCom.get_value(key=SESSION_URL_KEY, ti_key=ti_key) or ""


def push_session_url(context: Context, answer: Any) -> None:
    """
    Remember the address of the session that an answer names, so that the link works from now on.

    :param answer: a session, as the API sent it; anything else is passed over
    """
    url = answer.get("previewUrl") if isinstance(answer, dict) else None
    if url:
        context["ti"].xcom_push(key=SESSION_URL_KEY, value=url)

"""The trigger of a question that is answered on WhatsApp or in Airflow's UI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow.triggers.base import TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.api.types import Message
from airflow_provider_wtschat.triggers.session import ContactReplyTrigger
from airflow_provider_wtschat.waiting.answers import Options
from airflow_provider_wtschat.waiting.events import Ended, Event

if TYPE_CHECKING:
    from airflow.sdk.api.datamodels._generated import HITLDetailResponse

__all__ = ["WhatsAppApprovalTrigger"]

UNCLEAR = "unclear"
"""Status of the event for an answer that means none of the options."""


class WhatsAppApprovalTrigger(ContactReplyTrigger):
    """
    Wait for an answer on WhatsApp or in Airflow's UI, whichever comes first.

    Airflow keeps the one answer of a task instance. A clear answer on WhatsApp is written there, which Airflow refuses
    if somebody has answered in the UI meanwhile, and then the answer of the UI is the answer. Only a triggerer may
    write it, so this reads what the contact wrote; the event says which option was chosen, and no text. To run it again
    after a restart does no harm.

    :param ti_id: id of the task instance
    :param options: the options
    :param synonyms: by option, further texts that mean it
    :param defaults: the option that is taken when time has run out. Default: none
    """

    def __init__(
        self,
        *,
        ti_id: str,
        options: Sequence[str],
        synonyms: Mapping[str, Sequence[str]] | None = None,
        defaults: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.arguments |= {"ti_id": ti_id, "options": options, "synonyms": synonyms, "defaults": defaults}
        self.ti_id = ti_id
        self._closing = False

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield how it ended."""
        told = [asyncio.ensure_future(self._on_whatsapp()), asyncio.ensure_future(self._in_airflow())]
        try:
            done, _ = await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
            event = done.pop().result()
        finally:
            for one in told:
                one.cancel()
            await asyncio.gather(*told, return_exceptions=True)
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow has no types for it

    async def _in_airflow(self) -> Event:
        while True:
            answer = _answer_of(await _detail(self.ti_id))
            # What is just being written from WhatsApp is told by what writes it, with the id of the message.
            if answer is not None and not self._closing:
                return answer
            await asyncio.sleep(self.poll_interval)

    async def _on_whatsapp(self) -> Event:
        event = await self._wait()
        if event["status"] == Ended.TIMEOUT and self.arguments["defaults"] is not None:
            return await self._close(self.arguments["defaults"], timedout=True)
        if event["status"] != Ended.REACHED:
            return event
        replies = sorted(await self._replies(), key=lambda reply: instants.read(reply["createdAt"]))
        options = Options(self.arguments["options"], self.arguments["synonyms"])
        for reply in replies:
            if (option := options.meant_by(reply.get("text"))) is not None:
                return await self._close([option], message_id=reply["id"])
        if not replies:
            return {"status": Ended.ERROR.value, "error": "WtsChatServerError", "http_status": None, "retryable": True}
        return {"status": UNCLEAR, "since": replies[-1]["createdAt"], "session_id": replies[-1].get("sessionId")}

    async def _replies(self) -> list[Message]:
        # Workers import this module to defer, and must not load aiohttp for it.
        from airflow_provider_wtschat.hooks.wtschat_async import WtsChatAsyncHook

        found: list[Message] = await WtsChatAsyncHook(self.wtschat_conn_id).perform(self.condition().read())
        return found

    async def _close(self, chosen: Sequence[str], **more: Any) -> Event:
        """Write the answer where the UI sees it, and return the one that counts."""
        from airflow.sdk.execution_time.hitl import update_hitl_detail_response

        self._closing = True
        failure: Exception | None = None
        try:
            # In the event loop's own thread for such calls: another one ends a whole triggerer of Airflow 3.1.
            await sync_to_async(update_hitl_detail_response)(
                ti_id=UUID(self.ti_id), chosen_options=list(chosen), params_input={}
            )
        except Exception as error:
            # Somebody may have been quicker in the UI.
            failure = error
        answer = _answer_of(await _detail(self.ti_id))
        if answer is None:
            raise failure or RuntimeError("Airflow did not keep the answer")
        return answer if failure is not None else answer | more


async def _detail(ti_id: str) -> HITLDetailResponse:
    from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail

    return await sync_to_async(get_hitl_detail_content_detail)(ti_id=UUID(ti_id))


def _answer_of(detail: HITLDetailResponse) -> Event | None:
    """Return the answer in the words of Airflow's own event, which the UI of 3.3 resumes a task with."""
    if not (detail.response_received and detail.chosen_options):
        return None
    user = detail.responded_by_user
    return {
        "chosen_options": list(detail.chosen_options),
        "responded_at": instants.write_or_none(detail.responded_at),
        "responded_by_user": None if user is None else {"id": user.id, "name": user.name},
        "timedout": False,
    }

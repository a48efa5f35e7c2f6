"""Asking for an approval that is given on WhatsApp or in Airflow's UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self, Unpack

from airflow_provider_wtschat._compat import AirflowOptionalProviderFeatureException, BranchMixIn
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import instants
from airflow_provider_wtschat.exceptions import WtsChatArgumentError, WtsChatFailedError
from airflow_provider_wtschat.operators._arguments import ApprovalArguments
from airflow_provider_wtschat.operators.ask import AskContactOperator, answer_of
from airflow_provider_wtschat.triggers.approval import UNCLEAR, WhatsAppApprovalTrigger
from airflow_provider_wtschat.waiting.answers import Options

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_wtschat._compat import Context

__all__ = ["WhatsAppApprovalOperator"]

APPROVE, REJECT = "Approve", "Reject"
_SYNONYMS = {
    APPROVE: ["Approved", "Yes", "OK", "Sim", "Aprovar", "Aprovo", "Aprovado"],
    REJECT: ["Rejected", "No", "Não", "Rejeitar", "Rejeito", "Rejeitado"],
}
"""What means the usual options, beside their own texts."""


class WhatsAppApprovalOperator(AskContactOperator, BranchMixIn):
    """
    Ask somebody of your own to approve, on WhatsApp and in Airflow's UI at once: ``POST /chat/v1/send/text``.

    Needs Airflow 3.1 or later, whose UI shows the question under "Required Actions"; a Dag that uses it on an earlier
    one fails to import, and says so. The first answer counts, wherever it is given, and closes the question in the
    other place: an answer in the UI ends the wait, and one on WhatsApp shows in the UI as the answer. After an approval
    the Dag goes on; after a rejection the tasks that follow are skipped, as by Airflow's ``ApprovalOperator``, or the
    task fails with ``fail_on_reject=True``.

    On WhatsApp whoever writes from the number that was asked answers; ``assigned_users`` says who may answer in the UI,
    and only there. It waits in the triggerer. If an answer is not clear it asks again, ``attempts`` times in all, and
    then still waits for a clear one. In other respects it is like
    :class:`~airflow_provider_wtschat.operators.ask.AskContactOperator`.

    Returns what Airflow's ``ApprovalOperator`` returns: ``chosen_options``, ``params_input`` (empty), ``responded_at``,
    ``responded_by_user`` (who answered in the UI, or the contact's ``id``; ``None`` if ``defaults`` were taken); and
    ``message_id`` of an answer on WhatsApp. After a rejection that is in the XCom ``answer`` too.

    .. code-block:: python

        WhatsAppApprovalOperator(
            task_id="approve", to="+55 11 90000-0001", from_channel_name="Matriz", subject="Send 900 reminders?"
        )

    :param options: the two options, the one that approves first (templated). Default: ``Approve`` and ``Reject``, for
        which yes, no, sim and não will do, too
    :param fail_on_reject: fail, without retries, if it is rejected (templated). Default: skip the tasks that follow
    :param ignore_downstream_trigger_rules: skip all tasks downstream, whatever their trigger rules, and not only those
        that follow at once (templated). Default: false
    :param assigned_users: who may answer in the UI, each ``{"id": ..., "name": ...}`` (templated). Default: whoever may
        run the Dag
    """

    inherits_from_skipmixin = True

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Refuse where Airflow has no such questions: when the Dag is read, not when somebody waits for an answer."""
        if find_spec("airflow.sdk") is None or find_spec("airflow.sdk.execution_time.hitl") is None:
            msg = (
                "WhatsAppApprovalOperator needs Airflow 3.1 or later, whose UI can take answers. On earlier ones use "
                "AskContactOperator or AskContactBranchOperator, which ask on WhatsApp alone"
            )
            raise AirflowOptionalProviderFeatureException(msg)
        return super().__new__(cls)

    def __init__(
        self,
        *,
        options: Sequence[str] | str = (APPROVE, REJECT),
        fail_on_reject: bool = False,
        ignore_downstream_trigger_rules: bool = False,
        assigned_users: Sequence[Mapping[str, str]] | None = None,
        **kwargs: Unpack[ApprovalArguments],
    ) -> None:
        super().__init__(options=options, **kwargs)
        self.fail_on_reject = fail_on_reject
        self.ignore_downstream_trigger_rules = ignore_downstream_trigger_rules
        self.assigned_users = assigned_users

    def check_answer(self, options: Options) -> None:
        """
        Check what is to be done with an answer, before the question is asked.

        :param options: the options
        """
        if len(options.options) != 2:
            raise WtsChatArgumentError("options", "give two, the one that approves first")
        if not convert.boolean("deferrable", self.deferrable):
            raise WtsChatArgumentError("deferrable", "an approval is waited for in the triggerer; leave this out")
        convert.boolean("fail_on_reject", self.fail_on_reject)
        convert.boolean("ignore_downstream_trigger_rules", self.ignore_downstream_trigger_rules)

    def answer(self, context: Context, checked: Any) -> Any:
        """
        Put the question where the UI shows it, and ask it on WhatsApp.

        :param context: context of the task
        :param checked: the request
        """
        from airflow.sdk.execution_time.hitl import HITLUser, upsert_hitl_detail

        options = self._options()
        users = convert.listing("assigned_users", self.assigned_users) or ()
        # Before the message, since it does no harm to do it twice.
        upsert_hitl_detail(
            ti_id=context["ti"].id,
            options=list(options.options),
            subject=convert.required_text("subject", self.subject),
            body=convert.text("body", self.body),
            defaults=options.among("defaults", self.defaults),
            multiple=False,
            params={},
            assigned_users=[HITLUser(id=str(user["id"]), name=str(user["name"])) for user in users] or None,
        )
        return super().answer(context, checked)

    def trigger(self, context: Context, **arguments: Any) -> BaseTrigger:
        """
        Return what waits for the answer.

        :param context: context of the task
        :param arguments: arguments of :class:`~airflow_provider_wtschat.triggers.session.ContactReplyTrigger`
        """
        options = self._options()
        return WhatsAppApprovalTrigger(
            ti_id=str(context["ti"].id),
            options=list(options.options),
            synonyms=self._synonyms(),
            defaults=options.among("defaults", self.defaults),
            **arguments,
        )

    def resumed(self, context: Context, question: dict[str, Any], event: Mapping[str, Any] | None) -> Any:
        """
        Judge what the trigger says, or Airflow itself: from 3.3 on the UI resumes the task with its answer.

        :param context: context of the task
        :param question: what was asked
        :param event: the event
        """
        said = event or {}
        if "chosen_options" in said:
            return self.answered(context, self._in_airflows_words(question, said))
        if said.get("status") != UNCLEAR:
            return super().resumed(context, question, event)
        question = {
            **question,
            "session_id": said.get("session_id") or question["session_id"],
            "since": said["since"],
            "faults": 0,
        }
        if question["attempt"] < convert.required("attempts", convert.integer("attempts", self.attempts)):
            self._ask_again(context, question, self._options())
            question["attempt"] += 1
        return self._wait(context, question)

    def answered(self, context: Context, answer: dict[str, Any]) -> Any:
        """
        Go on after an approval, and skip what follows after a rejection.

        :param context: context of the task
        :param answer: the answer
        :raises WtsChatFailedError: if it was rejected, and ``fail_on_reject`` is set
        """
        context["ti"].xcom_push(key="answer", value=answer)
        if answer["chosen_options"][0] == self._options().options[0]:
            return answer
        if convert.boolean("fail_on_reject", self.fail_on_reject):
            raise WtsChatFailedError("It was rejected")
        task: Any = context["task"]
        all_of_them = convert.boolean("ignore_downstream_trigger_rules", self.ignore_downstream_trigger_rules)
        following = (
            task.get_flat_relatives(upstream=False) if all_of_them else task.get_direct_relatives(upstream=False)
        )
        if skipped := [each for each in following if not each.is_teardown]:
            self.log.info("It was rejected: the tasks that follow are skipped")
            self.skip(ti=context["ti"], tasks=skipped)
        return answer

    def _options(self) -> Options:
        options = super()._options()
        return Options(options.options, self._synonyms())

    def _synonyms(self) -> dict[str, list[str]] | None:
        usual = self.synonyms is None and list(convert.texts("options", self.options) or ()) == [APPROVE, REJECT]
        return _SYNONYMS if usual else convert.mapping("synonyms", self.synonyms)

    def _in_airflows_words(self, question: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
        chosen = list(said["chosen_options"])
        if len(chosen) != 1 or chosen[0] not in self._options().options:
            # Before 3.3 the UI's API takes anything.
            msg = f"{chosen} was answered in Airflow, which is none of the options"
            raise WtsChatFailedError(msg)
        moment, user = said.get("responded_at"), said.get("responded_by_user")
        if user is None and not said.get("timedout"):
            user = {"id": question["contact_id"]}
        text = instants.write(moment) if isinstance(moment, datetime) else moment
        return answer_of(chosen, text, user, said.get("message_id"))

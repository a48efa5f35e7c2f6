"""Asking a contact, and waiting for the answer."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from airflow_provider_wtschat import waiting
from airflow_provider_wtschat._compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    BranchMixIn,
    Variable,
)
from airflow_provider_wtschat.api import contacts, instants, messages, phones, sends, sessions
from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api.request import Request
from airflow_provider_wtschat.api.types import Message
from airflow_provider_wtschat.exceptions import (
    WtsChatArgumentError,
    WtsChatError,
    WtsChatFailedError,
    WtsChatRefusedError,
)
from airflow_provider_wtschat.operators import _claims
from airflow_provider_wtschat.operators._arguments import AskArguments, OpeningOnceArguments
from airflow_provider_wtschat.operators.base import WtsChatSessionBaseOperator
from airflow_provider_wtschat.operators.memory import STATE_KEY, Content, Memory
from airflow_provider_wtschat.operators.message import WtsChatOpeningOperator
from airflow_provider_wtschat.operators.sending import WtsChatOnceOperator
from airflow_provider_wtschat.triggers.base import ENDED_BY_AIRFLOW, NET
from airflow_provider_wtschat.triggers.session import ContactReplyTrigger
from airflow_provider_wtschat.waiting.answers import Options, plain_mapping

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_wtschat._compat import Context

log = logging.getLogger(__name__)

__all__ = ["QUESTION_KEY", "AskContactBranchOperator", "AskContactOperator"]

_MOST_FAULTS = 5
"""So often in a row the wait is begun anew when the trigger could not go on."""
_SETTLING = 0.5
"""Seconds for a task that looked at the same time to announce itself, so that one of the two asks."""
_ITERATIONS = 100_000
"""Makes each guess at a phone number's digest cost some 50 ms, since numbers are few enough to try them all."""
_SESSION_WAIT = 30.0
"""Seconds for the API to say in which session a message went out."""
QUESTION_KEY = "question"


class AskContactOperator(WtsChatOpeningOperator, WtsChatSessionBaseOperator, WtsChatOnceOperator):
    """
    Ask a contact a question on WhatsApp, and wait for the answer: ``POST /chat/v1/send/text``.

    The arguments have the names of Airflow's ``HITLOperator``, and it returns what that one returns:
    ``chosen_options`` (a list with one option), ``params_input`` (empty), ``responded_at``, ``responded_by_user`` (the
    contact's ``id``), and besides ``message_id`` of the answer, ``None`` if ``defaults`` were taken.

    Each question is asked at most once, see ``docs/sending.md``. The answer may be the text of an option, its number,
    a synonym or the button of a template; case, accents and punctuation do not matter. If it is not clear, the question
    is asked again. While it waits, it is deferred on the feed that all triggers of the connection share. What the
    contact writes stays in WTS Chat: it is in no event, XCom or log, only the option is.

    Whoever writes from the contact's number answers, in the session in which the question was asked, or in another
    one on the same channel. A contact is asked one question at a time: a second one, of any task of this Airflow, is
    refused while the first is open, however the two are timed. Of two that begin in the same moment one asks, or
    neither if one of them was held up just then.

    A text reaches the contact only while WhatsApp's 24 h window is open; give a template to ask at any time. The API
    sends buttons only as part of an approved template.

    .. code-block:: python

        AskContactOperator(
            task_id="ask", to="+55 11 90000-0001", subject="Does Tuesday at 10 suit you?", options=["Yes", "No"]
        )

    :param subject: the question (templated)
    :param options: the options, such as ``["Sim", "Não"]`` (templated)
    :param body: what is to be known to answer it (templated). Default: nothing
    :param defaults: the option that is taken if no clear answer comes in time (templated). Default: the task fails
    :param response_timeout: how long to wait for an answer, as a timedelta or in seconds (templated). Default: a day
    :param to: phone number of the contact, in any spelling (templated)
    :param session_id: id of a session to ask in, in place of ``to`` (templated)
    :param template_id: id of a template that asks the question, in place of a text (templated)
    :param template_name: name of that template, in place of its id (templated)
    :param template_parameters: parameters of the template by name, or a list for parameters named 1, 2, 3 (templated)
    :param synonyms: by option, further answers that mean it, such as ``{"Sim": ["claro", "ok"]}`` (templated)
    :param attempts: how often to ask, if the answer is not clear (templated). Default: 2
    :param unclear_text: what to write before the options when asking again (templated). Default: a sentence in
        Portuguese
    :param poll_interval: seconds between two looks, 5 at least (templated). Default: 10
    :param deferrable: wait in the triggerer, which holds no worker (templated). Default: true
    """

    operation = staticmethod(sends.send_text)
    named: ClassVar = {**WtsChatOpeningOperator.named, "template_id": "template"}

    def __init__(
        self,
        *,
        subject: str,
        options: Sequence[str] | str,
        body: str | None = None,
        defaults: Sequence[str] | str | None = None,
        response_timeout: timedelta | float | str = timedelta(days=1),
        to: str | None = None,
        session_id: str | None = None,
        template_id: str | None = None,
        template_name: str | None = None,
        template_parameters: Mapping[str, Any] | Sequence[Any] | str | None = None,
        synonyms: Mapping[str, Sequence[str]] | None = None,
        attempts: int = 2,
        unclear_text: str = "Não entendi. Por favor, responda com uma destas opções:",
        poll_interval: float = 10,
        deferrable: bool = True,
        **kwargs: Unpack[OpeningOnceArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.subject = subject
        self.options = options
        self.body = body
        self.defaults = defaults
        self.response_timeout = response_timeout
        self.to = to
        self.session_id = session_id
        self.template_id = template_id
        self.template_name = template_name
        self.template_parameters = template_parameters
        self.synonyms = synonyms
        self.attempts = attempts
        self.unclear_text = unclear_text
        self.poll_interval = poll_interval
        self.deferrable = deferrable

    def given(self) -> dict[str, Any]:
        """Return the operation's values, with the template, which only one of the two ways to ask takes."""
        return {"template_id": self.template_id, **super().given()}

    def build(self, *, template_id: Any = None, **values: Any) -> Request[Any]:
        """
        Build the request that asks, by text or template, to a number or in a session.

        :param template_id: id of the template
        :param values: values by the names of the parameters of :func:`~airflow_provider_wtschat.api.sends.send_text`
        """
        if template_id is None:
            options = Options(self.options, self.synonyms).listed()
            parts = [convert.required_text("subject", self.subject), convert.text("body", self.body), options]
            content: dict[str, Any] = {"text": "\n\n".join(filter(None, parts))}
        else:
            content = {"template_id": template_id, "template_parameters": self.template_parameters}
        if (self.to is None) == (self.session_id is None):
            raise WtsChatArgumentError(argument="to, session_id", reason="give one of them, to say who is asked")
        if self.session_id is not None:
            return self.checking(sessions.send, session_id=self.session_id, **content)
        values.pop("session_id", None)
        return self.checking(sends.send_text if template_id is None else sends.send_template, **values, **content)

    def act(self, context: Context) -> Any:
        """
        Ask, and wait.

        :param context: context of the task
        :return: the answer, in the words of Airflow's ``HITLOperator``
        """
        options = self._options()
        timeout = convert.required("response_timeout", convert.seconds("response_timeout", self.response_timeout))
        convert.required("attempts", convert.integer("attempts", self.attempts, minimum=1))
        convert.required("poll_interval", convert.seconds("poll_interval", self.poll_interval))
        convert.required("deferrable", convert.boolean("deferrable", self.deferrable))
        convert.required_text("unclear_text", self.unclear_text)
        self.check_answer(options)
        checked = self.checked()
        until = instants.write(datetime.now(UTC) + timedelta(seconds=timeout))
        self._held: list[_claims.Claim] = []
        try:
            contact_id = self._claim_contact(context, until)
            sent = self.answer(context, checked)
            context["ti"].xcom_push(key="message_id", value=sent["id"])
            with self._asked_already():
                session_id = self._session_of(sent)
                session = self.hook.run(sessions.get(session_id))
                if contact_id is None and (contact_id := session.get("contactId")) is not None:
                    # Whose number was not known before the question went out is known now, to other tasks, too.
                    self._claim(context, contact_id, until)
        except BaseException:
            self._release(*self._held)
            raise
        question = {
            "session_id": session_id,
            "contact_id": contact_id,
            "claimed": [claim.key for claim in self._held],
            "channel_id": session.get("channelId"),
            "since": sent["createdAt"],
            "until": until,
            "attempt": 1,
            "faults": 0,
        }
        with self._asked_already(), self._claimed(context, question):
            return self._wait(context, question)

    def check_answer(self, options: Options) -> None:
        """
        Check what is to be done with an answer, before the question is asked.

        :param options: the options
        """

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """
        Go on after the trigger.

        :param context: context of the task
        :param event: the trigger's event
        :return: the answer
        """
        ti = context["ti"]
        # Not an argument of the deferral, since `airflow dags test` loses those.
        question = dict(ti.xcom_pull(task_ids=ti.task_id, key=QUESTION_KEY, map_indexes=ti.map_index))
        with self._asked_already(), self._claimed(context, question):
            return self.resumed(context, question, event)

    def resumed(self, context: Context, question: dict[str, Any], event: Mapping[str, Any] | None) -> Any:
        """
        Judge what the trigger says.

        :param context: context of the task
        :param question: what was asked
        :param event: the trigger's event
        """
        try:
            replies = waiting.complete(self.hook, _condition(question), event, timeout=_seconds_left(question))
        except AirflowSensorTimeout:
            return self._unanswered(context, "no answer came in time")
        except WtsChatError as error:
            return self._go_on(context, question, error)
        return self._judge(context, {**question, "faults": 0}, replies)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Go on after a deferral, also if Airflow ended it: the question is out, and the wait begins anew.

        :param next_method: name of the method to call
        :param next_kwargs: its arguments
        :param context: context of the task
        """
        if next_method == ENDED_BY_AIRFLOW:
            self.log.error("The trigger ended:\n%s", "".join((next_kwargs or {}).get("traceback") or ()))
            return self.execute_complete(context, None)
        return super().resume_execution(next_method, next_kwargs, context)

    def _options(self) -> Options:
        options = Options(self.options, self.synonyms)
        defaults = options.among("defaults", self.defaults)
        if defaults is not None and len(defaults) != 1:
            raise WtsChatArgumentError(argument="defaults", reason="give one option; a question has one answer")
        return options

    def _wait(self, context: Context, question: dict[str, Any]) -> Any:
        context["ti"].xcom_push(key=QUESTION_KEY, value=question)
        left = _seconds_left(question)
        poll_interval = convert.required("poll_interval", convert.seconds("poll_interval", self.poll_interval))
        if convert.boolean("deferrable", self.deferrable):
            self.defer(
                trigger=self.trigger(
                    context,
                    wtschat_conn_id=self.wtschat_conn_id,
                    poll_interval=poll_interval,
                    timeout_at=question["until"],
                    **_condition(question).arguments(),
                ),
                method_name=self.execute_complete.__name__,
                timeout=timedelta(seconds=left) + NET,
            )
        try:
            replies = waiting.wait(self.hook, _condition(question), poll_interval=poll_interval, timeout=left)
        except AirflowSensorTimeout:
            return self._unanswered(context, "no answer came in time")
        except WtsChatError as error:
            return self._go_on(context, question, error)
        return self._judge(context, question, replies)

    def trigger(self, context: Context, **arguments: Any) -> BaseTrigger:
        """
        Return what waits for the answer.

        :param context: context of the task
        :param arguments: arguments of :class:`~airflow_provider_wtschat.triggers.session.ContactReplyTrigger`
        """
        return ContactReplyTrigger(**arguments)

    def _go_on(self, context: Context, question: dict[str, Any], error: WtsChatError) -> Any:
        faults = question["faults"] + 1
        if not error.retryable or faults > _MOST_FAULTS:
            raise error
        self.log.warning("Waiting for the answer: %s; waiting on", type(error).__name__)
        return self._wait(context, {**question, "faults": faults})

    def _judge(self, context: Context, question: dict[str, Any], replies: Sequence[Message]) -> Any:
        options = self._options()
        replies = sorted(replies, key=lambda reply: instants.read(reply["createdAt"]))
        for reply in replies:
            if (option := options.meant_by(reply.get("text"))) is not None:
                moment = instants.write(instants.read(reply["createdAt"]))
                answer = answer_of([option], moment, {"id": question["contact_id"]}, reply["id"])
                return self.answered(context, answer)
        if replies:
            if question["attempt"] >= convert.required("attempts", convert.integer("attempts", self.attempts)):
                return self._unanswered(context, f"the answer was not clear, {question['attempt']} times")
            # The session of the question may be concluded, and the contact have begun another one.
            question = {**question, "session_id": replies[-1].get("sessionId") or question["session_id"]}
            self._ask_again(context, question, options)
            question = {**question, "attempt": question["attempt"] + 1, "since": replies[-1]["createdAt"]}
        return self._wait(context, question)

    def _ask_again(self, context: Context, question: dict[str, Any], options: Options) -> None:
        text = f"{convert.required_text('unclear_text', self.unclear_text)}\n\n{options.listed()}"
        request = sessions.send(question["session_id"], text=text)
        Memory(context).once(
            partial(Content, [self.wtschat_conn_id, request.path, request.body]),
            lambda: request,
            self.send,
            may_repeat=self.repeats(),
            key=f"{STATE_KEY}_again_{question['attempt']}",
        )
        self.log.info("The answer was not clear: asked again")

    def _unanswered(self, context: Context, reason: str) -> Any:
        defaults = self._options().among("defaults", self.defaults)
        if defaults is None:
            msg = f"The contact was asked, but {reason}. Give defaults to go on with one of the options then"
            raise WtsChatFailedError(msg)
        self.log.info("The default is taken, because %s", reason)
        return self.answered(context, answer_of(defaults, instants.write(datetime.now(UTC)), None, None))

    def answered(self, context: Context, answer: dict[str, Any]) -> Any:
        """
        Return the answer.

        :param context: context of the task
        :param answer: the answer, in the words of Airflow's ``HITLOperator``
        """
        return answer

    def prepared(self, checked: Request[Any]) -> Request[Any]:
        """Do all that comes before the sending; the last look is whether the contact may still be asked."""
        request = super().prepared(checked)
        for claim in self._held:
            self._perform(claim.check())
        return request

    def _session_of(self, sent: Mapping[str, Any]) -> str:
        deadline = time.monotonic() + _SESSION_WAIT
        session_id = self.session_id or sent.get("sessionId")
        while not session_id:
            if time.monotonic() > deadline:
                msg = f"The API does not say in which session the message {sent['id']} went out"
                raise WtsChatFailedError(msg)
            time.sleep(0.5)
            session_id = self.hook.run(messages.get_status(sent["id"])).get("sessionId")
        return str(session_id)

    def _claim_contact(self, context: Context, until: str) -> str | None:
        """
        Claim whoever is to be asked, by the number and by the contact.

        A number comes first: whoever is no contact yet is made one by the question, and then others find the contact.

        :return: id of the contact, ``None`` if the question makes it
        """
        if self.session_id is not None:
            session = self.hook.run(sessions.get(self.session_id, include_details=["ContactDetails"]))
            contact_id = session.get("contactId")
            if contact_id is None:
                self._claim(context, str(self.session_id), until)
                return None
            number = (session.get("contactDetails") or {}).get("phonenumber")
        else:
            contact_id, number = None, convert.required("to", self.to)
        # Who has no number, such as somebody on Instagram, cannot be asked by one.
        with suppress(WtsChatArgumentError):
            self._claim(context, self._digest(phones.person("to", number or "", self.phone_country)), until)
        if self.session_id is None:
            contact_id = self._contact_id()
        if contact_id is not None:
            self._claim(context, contact_id, until)
        return contact_id

    def _contact_id(self) -> str | None:
        try:
            request = contacts.get_by_phone(convert.required("to", self.to), phone_country=self.phone_country)
            return str(self.hook.run(request)["id"])
        except WtsChatRefusedError:
            return None  # The question makes the contact.

    def _digest(self, who: str) -> str:
        """Return what stands for a number in the name of a Variable, for this account."""
        salt = self.hook.resolve().account.encode()
        return hashlib.pbkdf2_hmac("sha256", who.encode(), salt, _ITERATIONS).hex()[:32]

    def _claim(self, context: Context, key: str, until: str) -> None:
        claim = _claims.Claim(key, _task_of(context), until)
        self._perform(claim.steps())
        self._held.append(claim)

    def _perform(self, steps: _claims.Steps) -> None:
        """
        Do the steps of a claim.

        :raises WtsChatFailedError: if somebody else has the claim
        """
        value = None
        while True:
            try:
                match steps.send(value):
                    case _claims.Read(name):
                        value = Variable.get(name, None, deserialize_json=True)
                    case _claims.Write(name, None):
                        Variable.delete(name)
                    case _claims.Write(name, written):
                        _write(name, written)
                    case _claims.Pause():
                        time.sleep(_SETTLING)
            except StopIteration as done:
                refusal: _claims.Refusal | None = done.value
                break
        if refusal is not None and refusal.by is None:
            msg = f"The question was not asked: its response_timeout was over at {refusal.until}, before it could be"
            raise WtsChatFailedError(msg)
        if refusal is not None:
            msg = (
                f"The question was not asked: the contact has another one to answer, of {refusal.by}, until "
                f"{refusal.until}. Ask after that; if nobody waits any more, delete the Airflow Variable "
                f"{refusal.variable}"
            )
            raise WtsChatFailedError(msg)

    def _release(self, *claims: _claims.Claim) -> None:
        for claim in claims:
            self._perform(claim.release())

    @contextmanager
    def _claimed(self, context: Context, question: Mapping[str, Any]) -> Iterator[None]:
        # A task that was waiting while this package was upgraded knows its contact only.
        keys = question.get("claimed") or [question["contact_id"]]
        by, until = _task_of(context), question["until"]
        claims = [_claims.Claim(key, by, until) for key in keys if key is not None]
        try:
            yield
        except Exception:
            self._release(*claims)
            raise
        except BaseException:
            raise  # A deferral keeps it, and so does a worker that is killed, until the time is up.
        else:
            self._release(*claims)

    @contextmanager
    def _asked_already(self) -> Iterator[None]:
        try:
            yield
        except AirflowFailException:
            raise
        except WtsChatError as error:
            # A retry would ask again, or refuse to.
            msg = f"The question was asked, and will not be asked again. {error}"
            raise error.retold(msg, WtsChatFailedError) from error


class AskContactBranchOperator(AskContactOperator, BranchMixIn):
    """
    Ask a contact, and go on with the task that the answer stands for: ``POST /chat/v1/send/text``.

    The other tasks that follow are skipped. The answer is in the XCom ``answer``, in the words of
    :class:`AskContactOperator`.

    Returns the ids of the tasks that it goes on with, as Airflow's branch operators do.

    .. code-block:: python

        AskContactBranchOperator(
            task_id="ask", to="+55 11 90000-0001", from_channel_name="Matriz", subject="Keep the order?",
            options=["Yes", "No"], options_mapping={"Yes": "ship", "No": "cancel"},
        )

    :param options_mapping: by option, id of the task or task group to go on with (templated). Default: the option
        itself is the id
    """

    inherits_from_skipmixin = True

    def __init__(self, *, options_mapping: Mapping[str, str] | None = None, **kwargs: Unpack[AskArguments]) -> None:
        super().__init__(**kwargs)
        self.options_mapping = options_mapping

    def check_answer(self, options: Options) -> None:
        """
        Check what the options stand for, before the question is asked.

        :param options: the options
        """
        plain_mapping(options, self.options_mapping)

    def answered(self, context: Context, answer: dict[str, Any]) -> Any:
        """
        Go on with the task that the answer stands for.

        :param context: context of the task
        :param answer: the answer
        """
        context["ti"].xcom_push(key="answer", value=answer)
        tasks = plain_mapping(self._options(), self.options_mapping)
        return self.do_branch(context, [tasks.get(option, option) for option in answer["chosen_options"]])


def answer_of(chosen: list[str], moment: str | None, user: Any, message_id: str | None) -> dict[str, Any]:
    """Put an answer in the words of Airflow's ``HITLOperator``."""
    return {
        "chosen_options": chosen,
        "params_input": {},
        "responded_at": moment,
        "responded_by_user": user,
        "message_id": message_id,
    }


def _condition(question: Mapping[str, Any]) -> waiting.ContactHasReplied:
    return waiting.ContactHasReplied(
        session_id=question["session_id"],
        since=instants.read(question["since"]),
        contact_id=question["contact_id"],
        # A task that was waiting while this package was upgraded does not know it.
        channel_id=question.get("channel_id"),
    )


def _seconds_left(question: Mapping[str, Any]) -> float:
    return max(0.0, (instants.read(question["until"]) - datetime.now(UTC)).total_seconds())


def _write(name: str, value: Mapping[str, Any] | None) -> None:
    try:
        Variable.set(name, value, serialize_json=True)
    except Exception as error:
        # Two writes at once collide in the database of Airflow 2; whoever claims looks what stands there afterwards.
        log.warning("The Airflow Variable %s could not be written: %s", name, type(error).__name__)


def _task_of(context: Context) -> str:
    ti = context["ti"]
    return f"task {ti.task_id}[{ti.map_index}] in run {ti.run_id} of Dag {ti.dag_id}"

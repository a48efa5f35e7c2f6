"""Arguments that several operations have in common, each described once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from airflow_provider_wtschat.api import phones
from airflow_provider_wtschat.api.instants import When

_F = TypeVar("_F", bound=Callable[..., Any])
_RESULTS = re.compile(r"(?=^:(?:return|raises))", re.MULTILINE)
"""Where that part of a docstring begins which comes behind the arguments."""
_DEFAULTS = {"phone_country": phones.DEFAULT_COUNTRY, "timezone": "UTC"}


class Listed(TypedDict, total=False):
    """
    The period and the order of a list.

    :param created_after: lower bound of the creation
    :param created_before: upper bound of the creation
    :param updated_after: lower bound of the last change
    :param updated_before: upper bound of the last change
    :param timezone: IANA time zone of dates that have none. Default: UTC
    :param order_by: order of your own, such as ``CreatedAt``, read by page number: rows that change meanwhile can slip
        from one page to another. Default: read by key
    :param order_direction: ``ASCENDING`` or ``DESCENDING``
    """

    created_after: When | None
    created_before: When | None
    updated_after: When | None
    updated_before: When | None
    timezone: str
    order_by: str | None
    order_direction: str | None


class NewSession(TypedDict, total=False):
    """
    What a send does to its session, and who gets one that is new.

    :param enable_bot: let a chatbot answer the reply; only for a session that is new
    :param hidden_session: hide a session that is new until the contact replies
    :param force_start_session: end a session in progress and start a new one
    :param user_id: ``userId`` of the agent who gets the session
    :param user_phone: phone number of that agent
    :param user_email: e-mail address of that agent
    :param department_id: id of the department that gets the session
    :param department_name: name of that department
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    """

    enable_bot: bool | None
    hidden_session: bool | None
    force_start_session: bool | None
    user_id: str | None
    user_phone: str | int | None
    user_email: str | None
    department_id: str | None
    department_name: str | None
    phone_country: str


class Tracking(TypedDict, total=False):
    """
    How a message is followed.

    :param callback_url: URL that the API calls when the message is sent or fails
    :param sender_id: an id of your own to track the message by
    """

    callback_url: str | None
    sender_id: str | None


class Recipient(TypedDict, total=False):
    """
    Whom a send reaches, on any channel.

    :param to: phone number of the recipient in any spelling, or Instagram user such as ``@maria``
    :param from_channel: phone number of the channel that sends; an id or an ``@user`` goes out as it is. Default: left
        to the API
    :param session_id: id of a session to send into; a completed one is not reopened
    """

    to: str | int | None
    from_channel: str | int | None
    session_id: str | None


class Direct(TypedDict, total=False):
    """
    What a send of a text or a file says of itself.

    :param ref_id: id of the message that this one replies to
    :param delay_typing: seconds for which the contact sees someone typing before the message comes, at most 25
    """

    ref_id: str | None
    delay_typing: int | None


class DirectSend(Recipient, Direct, Tracking, NewSession, total=False):
    """Sends of a text or a file."""


class TrackedSend(Tracking, NewSession, total=False):
    """Sends of a template."""


class Content(TypedDict, total=False):
    """
    What a message says.

    :param text: text, or caption of a file. WhatsApp takes free text only while its 24 h window is open
    :param file_url: public URL of a file
    :param file_id: id of an uploaded file
    :param template_id: id of a template, the only thing that WhatsApp takes outside its 24 h window
    :param template_parameters: parameters of the template, see
        :func:`airflow_provider_wtschat.api.converters.template_parameters`
    :param ref_id: id of the message that this one replies to
    """

    text: str | None
    file_url: str | None
    file_id: str | None
    template_id: str | None
    template_parameters: Mapping[str, Any] | Sequence[Any] | str | None
    ref_id: str | None


class Message(Content, NewSession, total=False):
    """Messages to a phone number."""


class ChatbotSession(TypedDict, total=False):
    """
    What a chatbot that is sent does to its session.

    :param skip_if_bot_in_execution: do not send while another chatbot runs
    :param skip_if_in_progress: do not send while a session is in progress
    :param force_start_session: end a session in progress and start a new one
    :param hidden_session: hide a session that is new until the contact replies
    :param phone_country: calling code of phone numbers written without one. Default: 55 (Brazil)
    """

    skip_if_bot_in_execution: bool | None
    skip_if_in_progress: bool | None
    force_start_session: bool | None
    hidden_session: bool | None
    phone_country: str


class Metadata(TypedDict, total=False):
    """
    What goes along with a chatbot.

    :param session_metadata: keys and values of the session, for chatbots and webhooks
    :param contact_metadata: keys and values that stay with the contact, for chatbots and webhooks
    :param sender_id: an id of your own to track the sending by
    :param callback_url: URL that the API calls when the chatbot starts or fails
    """

    session_metadata: Mapping[str, Any] | str | None
    contact_metadata: Mapping[str, Any] | str | None
    sender_id: str | None
    callback_url: str | None


class Chatbot(Recipient, Metadata, ChatbotSession, total=False):
    """Sends of a chatbot."""


class OneContact(TypedDict, total=False):
    """
    A contact.

    :param contact_id: id of the contact, or ...
    :param phone_number: ... its phone number in any spelling
    :param phone_country: calling code of a number written without one. Default: 55 (Brazil)
    """

    contact_id: str | None
    phone_number: str | int | None
    phone_country: str


class ManyContacts(TypedDict, total=False):
    """
    Contacts.

    :param contact_ids: ids of contacts
    :param phone_numbers: phone numbers of contacts in any spelling
    :param phone_country: calling code of numbers written without one. Default: 55 (Brazil)
    """

    contact_ids: Sequence[str] | str | None
    phone_numbers: Sequence[str | int] | str | None
    phone_country: str


def taking(*shared: type) -> Callable[[_F], _F]:
    """
    Show the arguments of TypedDicts in signature and docstring, as if each were written there.

    :param shared: the types that the one of the function's keyword arguments is made of
    """
    # Cleaned, because compilers from Python 3.13 on take the indentation away and older ones leave it.
    described = "".join("".join(inspect.cleandoc(each.__doc__ or "").partition(":param")[1:]) + "\n" for each in shared)
    arguments = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=hint.__forward_arg__
        )
        for each in shared
        for name, hint in each.__annotations__.items()
    ]

    def showing(function: _F) -> _F:
        signature = inspect.signature(function)
        own = [given for given in signature.parameters.values() if given.kind is not given.VAR_KEYWORD]
        function.__signature__ = signature.replace(parameters=[*own, *arguments])  # type: ignore[attr-defined]
        before, *after = _RESULTS.split(inspect.cleandoc(function.__doc__ or ""), maxsplit=1)
        function.__doc__ = before + described + "".join(after)
        return function

    return showing

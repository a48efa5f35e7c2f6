"""
Personal data: which fields of the contract hold it, and taking it out of rows.

Every text of the contract has a class. What identifies somebody can be replaced by a keyed hash, so that tables can
still be joined on it; what somebody wrote or is described by can only be left out.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Annotated, Any, get_args, get_origin, is_typeddict

from airflow_provider_wtschat.api import converters as convert
from airflow_provider_wtschat.api import phones, types
from airflow_provider_wtschat.exceptions import WtsChatArgumentError
from airflow_provider_wtschat.extraction import RESOURCES
from airflow_provider_wtschat.warehouse.tables import fields

Edit = Callable[[Mapping[str, Any]], dict[str, Any]]

NEEDED = ("id", "createdAt", "updatedAt")
"""Without these a row cannot be stored."""


class Mode(Enum):
    """What is done about personal data."""

    KEEP = "keep"
    HASH = "hash"
    DROP = "drop"


class Class(Enum):
    """What a text says about a person."""

    OPEN = "nothing: a status, a key, the name of a thing"
    PHONE = "a phone number"
    EMAIL = "an e-mail address"
    NAME = "a name, or what stands for one"
    CONTENT = "what a person wrote, or is described by"


_PHONE_FIELDS = "phoneNumber phonenumber phoneNumberFormatted phonenumberFormatted contactPhoneNumber"
_NAME_FIELDS = "name shortName nameWhatsapp nameInstagram nameMessenger instagram messengerId contactName"

_CLASSES: dict[str, dict[Class, str]] = {
    "FileThumbnail": {Class.CONTENT: "publicUrl"},
    "File": {Class.OPEN: "extension mimeType type", Class.CONTENT: "name publicUrl publicUrlDownload"},
    "MessageFileAsLink": {Class.CONTENT: "shortUrl"},
    "MessageLocation": {Class.CONTENT: "address name url"},
    "MessageContact": {Class.NAME: "name", Class.EMAIL: "email", Class.PHONE: _PHONE_FIELDS},
    "MessageError": {Class.OPEN: "origin key", Class.CONTENT: "text"},
    "Utm": {Class.OPEN: "sourceId source medium campaign content headline term", Class.CONTENT: "clid referralUrl"},
    "MessageTrackFormData": {
        Class.NAME: "name", Class.EMAIL: "email", Class.PHONE: _PHONE_FIELDS, Class.CONTENT: "annotation",
    },
    "MessageTrack": {Class.OPEN: "type pageTitle", Class.CONTENT: "pageUrl"},
    "MessageTranscription": {Class.CONTENT: "text"},
    "MessageDetails": {
        Class.OPEN: "templateCategoryName", Class.CONTENT: "footerText reactionToContact reactionFromContact",
    },
    "Message": {Class.OPEN: "type direction status origin", Class.CONTENT: "senderId text failedReason"},
    "SequenceContactDetails": {
        Class.NAME: "name instagram", Class.EMAIL: "email", Class.PHONE: _PHONE_FIELDS, Class.CONTENT: "pictureUrl",
    },
    "SequenceContact": {Class.OPEN: "origin", Class.NAME: "contactName"},
    # A channel is the company's own.
    "ChannelIdentity": {Class.OPEN: "humanId platform provider providerVariable pictureUrl displayName"},
    "Channel": {Class.OPEN: "type number numberFormatted"},
    "Chatbot": {Class.OPEN: "name type publishStatus automationUsage"},
    "MessageDelivery": {Class.OPEN: "status", Class.CONTENT: "failureReason"},
    "ScheduledMessageContact": {
        Class.NAME: "name instagram", Class.PHONE: "phonenumberFormatted", Class.CONTENT: "pictureUrl",
    },
    "ScheduledMessageUser": {Class.NAME: "name"},
    "ScheduledMessageChannel": {Class.OPEN: "humanId type"},
    "ScheduledMessageDepartment": {Class.OPEN: "name"},
    "ScheduledMessageChatBot": {Class.OPEN: "name"},
    "ScheduledMessageTemplateParams": {Class.CONTENT: "parameters"},
    "ScheduledMessageTemplate": {Class.OPEN: "name"},
    "ScheduledMessage": {Class.OPEN: "status type", Class.CONTENT: "failureReason"},
    "ScheduledMessageReceipt": {Class.OPEN: "status type", Class.CONTENT: "failureReason"},
    "SentMessage": {Class.OPEN: "status", Class.CONTENT: "senderId statusUrl failedReason callbackUrl"},
    "OtpDelivery": {
        Class.OPEN: "status", Class.PHONE: "contactPhoneNumber", Class.CONTENT: "code senderId statusUrl failedReason",
    },
    "Sequence": {Class.OPEN: "name"},
    "QueuedMessage": {Class.OPEN: "status", Class.CONTENT: "senderId statusUrl failureReason"},
    "TemplateParam": {Class.OPEN: "name"},
    # A template is the company's own text, without a recipient's values.
    "Template": {
        Class.OPEN: "name text footerText status channelType type internalName fileType quickReplyAlias "
        "rejectedDescription categoryName",
    },
    "SessionContact": {
        Class.OPEN: "tagsName status", Class.NAME: "name instagram", Class.PHONE: _PHONE_FIELDS,
        Class.CONTENT: "pictureUrl",
    },
    "SessionAgent": {
        Class.NAME: "name shortName", Class.EMAIL: "email", Class.PHONE: "phoneNumber", Class.CONTENT: "pictureUrl",
    },
    "SessionDepartment": {Class.OPEN: "name description"},
    "SessionClassification": {Class.OPEN: "category categoryName", Class.CONTENT: "categoryDescription"},
    "Session": {
        Class.OPEN: "status previewUrl number origin statusDescription timeService timeWait windowStatus channelType "
        "type",
        Class.CONTENT: "title lastMessageText metadata",
    },
    "SessionV1": {
        Class.OPEN: "status previewUrl number origin statusDescription timeService timeWait windowStatus channelType",
        Class.CONTENT: "title lastMessageText metadata",
    },
    "SentOtp": {
        Class.OPEN: "status from templateId", Class.PHONE: "contactPhoneNumber",
        Class.CONTENT: "code senderId failedReason callbackUrl statusUrl",
    },
    "Agent": {
        Class.OPEN: "profile availability", Class.NAME: "name shortName", Class.EMAIL: "email",
        Class.PHONE: "phoneNumber phoneNumberFormatted",
    },
    "DepartmentChannel": {Class.OPEN: "number name type"},
    "DepartmentV1": {Class.OPEN: "directLinks name restrictionType description"},
    "PortfolioContactDetails": {
        Class.NAME: "name instagram nameMessenger", Class.EMAIL: "email", Class.PHONE: _PHONE_FIELDS,
        Class.CONTENT: "annotation",
    },
    "Tag": {Class.OPEN: "name color"},
    "WebhookEvent": {Class.OPEN: "event description"},
    "WebhookSubscription": {Class.OPEN: "name", Class.CONTENT: "url"},
    "OfficeHoursPeriod": {Class.OPEN: "startTime endTime"},
    "OfficeHoursDay": {Class.OPEN: "dayWeek"},
    "OfficeHours": {Class.OPEN: "offlineResponse"},
    "Company": {Class.OPEN: "offlineResponse"},
    "OfficeHoursPeriodRow": {Class.OPEN: "dayWeek startTime endTime"},
    "Contact": {
        Class.OPEN: "tagNames status origin portfolioNames", Class.NAME: _NAME_FIELDS, Class.EMAIL: "email",
        Class.PHONE: "phoneNumber phoneNumberFormatted", Class.CONTENT: "annotation customFields metadata",
    },
    "CustomFieldOption": {Class.OPEN: "name"},
    "CustomField": {Class.OPEN: "type entityType name key"},
    "DepartmentChannels": {Class.OPEN: "scope"},
    "Portfolio": {Class.OPEN: "name type"},
    "TagColor": {Class.OPEN: "color bgColor textColor"},
    "Department": {Class.OPEN: "directLinks name restrictionType"},
    "UploadUrl": {Class.CONTENT: "urlUpload"},
    "SavedFile": {Class.OPEN: "extension mimeType type key", Class.CONTENT: "name"},
    "DepartmentAgents": {Class.OPEN: "action"},
    "CardNote": {Class.CONTENT: "text"},
    "PanelTag": {Class.OPEN: "name nameColor bgColor"},
    "PanelStepField": {Class.OPEN: "key type"},
    "CardResponsibleUser": {Class.NAME: "name"},
    "CardContact": {Class.NAME: "name"},
    "PanelCardV1": {
        Class.OPEN: "panelTitle stepTitle stepPhase key", Class.CONTENT: "title description customFields metadata",
    },
    "PanelStepCards": {Class.OPEN: "orderBy orderDirection"},
    "PanelStep": {Class.OPEN: "title"},
    "Panel": {Class.OPEN: "scope title description key stepTitles type"},
    "LostReasonItem": {Class.OPEN: "description"},
    "LostReason": {Class.OPEN: "name"},
    "Card": {
        Class.OPEN: "panelTitle stepTitle stepPhase key status",
        Class.CONTENT: "title description customFields metadata",
    },
}  # fmt: skip


@cache
def classes(row: type) -> dict[str, Class]:
    """
    Return the class of each text of a type of the contract.

    :param row: a TypedDict of :mod:`airflow_provider_wtschat.api.types`
    """
    told = _CLASSES.get(row.__name__, {})
    return {name: kind for kind, names in told.items() for name in names.split() if name in fields(row)}


def is_text(kind: Any) -> bool:
    """
    Tell whether a field's type can hold words: texts, lists of them, and objects without a type.

    :param kind: the type, without ``None``
    """
    if get_origin(kind) is Annotated or is_typeddict(kind):
        return False
    if get_origin(kind) is list:
        return is_text(get_args(kind)[0])
    return kind is str or kind is Any or get_origin(kind) is dict


def editor(row: type, mode: Mode, key: bytes | None = None, exclude: Iterable[str] = ()) -> Edit | None:
    """
    Build what takes personal data out of rows.

    :param exclude: paths of further fields to leave out, such as ``contactDetails.name``
    :return: it, or ``None`` if rows stay as they are
    :raises WtsChatArgumentError: if a path leads nowhere, or to what a row needs
    """
    paths = [tuple(path.split(".")) for path in exclude]
    for path in paths:
        _check(row, path)
    if mode is Mode.KEEP and not paths:
        return None
    if mode is Mode.HASH and not key:
        msg = (
            "personal_data='hash' needs a key: the password of a connection, long and random, "
            "and the same for all tables that are to be joined"
        )
        raise WtsChatArgumentError("personal_data_conn_id", msg)
    return _Editor(mode, key or b"", row, paths)


class _Editor:
    """Edits rows of a type; those inside of them by editors of their types."""

    def __init__(self, mode: Mode, key: bytes, row: type, exclude: list[tuple[str, ...]]) -> None:
        self._known = mode is not Mode.KEEP
        self._excluded = {path[0] for path in exclude if len(path) == 1}
        self._edits: dict[str, Callable[[Any], Any]] = {}
        for name, kind in fields(row).items():
            inner = [path[1:] for path in exclude if path[0] == name and len(path) > 1]
            if name not in self._excluded:
                self._edits[name] = _edit(mode, key, row, name, kind, inner)

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        edited = {}
        for name, value in row.items():
            edit = self._edits.get(name)
            if edit is not None:
                edited[name] = None if value is None else edit(value)
            elif not self._known and name not in self._excluded:
                edited[name] = value
        return edited


def _edit(
    mode: Mode, key: bytes, row: type, name: str, kind: Any, exclude: list[tuple[str, ...]]
) -> Callable[[Any], Any]:
    inner = get_args(kind)[0] if get_origin(kind) is list else kind
    if mode is Mode.KEEP and not exclude:
        return _same
    if is_typeddict(inner):
        # Made when it is needed: custom fields hold custom fields.
        nested = cache(lambda: _Editor(mode, key, inner, exclude))
        return _each(lambda value: nested()(value), nested=True)
    if exclude:
        return lambda value: _without(value, exclude)
    if get_origin(kind) is Annotated:
        return _same
    if not is_text(kind):
        return _no_text
    told = classes(row).get(name, Class.CONTENT)
    if told is Class.OPEN:
        return _same
    if mode is Mode.DROP or told is Class.CONTENT:
        return _nothing
    return _each(lambda value: hashed(key, told, value), nested=False)


def _each(edit: Callable[[Any], Any], *, nested: bool) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        if isinstance(value, list):
            return [apply(item) for item in value]
        # Where the contract has an object, nothing else is known well enough to be kept.
        return edit(value) if isinstance(value, Mapping) or not nested else None

    return apply


def hashed(key: bytes, kind: Class, value: Any) -> str:
    """
    Hash what identifies somebody: the same for every spelling of a phone number or an address.

    :return: HMAC-SHA256 in hexadecimal
    """
    text = str(value).strip()
    if kind is Class.PHONE:
        try:
            text = phones.digits("phone", text)
        except WtsChatArgumentError:
            text = "".join(filter(str.isdigit, text)) or text
    elif kind is Class.EMAIL:
        text = text.casefold()
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def mode_of(value: Any) -> Mode:
    """
    Read what is to be done about personal data.

    :param value: ``keep``, ``hash`` or ``drop``
    :raises WtsChatArgumentError: if it is something else
    """
    text = convert.required_text("personal_data", value).strip().lower()
    if text not in {mode.value for mode in Mode}:
        convert.refuse("personal_data", value, f"one of {', '.join(mode.value for mode in Mode)} is wanted")
    return Mode(text)


def _check(row: type, path: tuple[str, ...]) -> None:
    whole = ".".join(path)
    if path[0] in NEEDED:
        msg = f"{whole} cannot be left out; rows are kept apart and ordered by it"
        raise WtsChatArgumentError("exclude", msg)
    kind: Any = row
    for name in path:
        if get_origin(kind) is dict:
            return
        known = fields(kind) if is_typeddict(kind) else {}
        if name not in known:
            where = ", ".join(known) or "nothing inside of it"
            msg = f"there is no {whole} in {row.__name__}; at {name!r} there is {where}"
            raise WtsChatArgumentError("exclude", msg)
        kind = known[name]
        kind = get_args(kind)[0] if get_origin(kind) is list else kind


def _without(value: Any, paths: list[tuple[str, ...]]) -> Any:
    if not isinstance(value, Mapping):
        return value
    left = {}
    for name, inner in value.items():
        if (name,) in paths:
            continue
        deeper = [path[1:] for path in paths if path[0] == name and len(path) > 1]
        left[name] = _without(inner, deeper) if deeper else inner
    return left


def _same(value: Any) -> Any:
    return value


def _no_text(value: Any) -> Any:
    # What came in place of a number is not known.
    return value if isinstance(value, (bool, int, float)) else None


def _nothing(value: Any) -> None:
    return None


def contract() -> list[type]:
    """Return the types of all answers of the contract, and of rows that are made of them."""
    made = [resource.row for resource in RESOURCES.values() if resource.rows is not None]
    return [*(value for name, value in vars(types).items() if is_typeddict(value) and not name.startswith("_")), *made]

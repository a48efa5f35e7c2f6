"""
What the API takes and answers, named.

Enums hold the values that arguments may have. TypedDicts describe answers and never convert them: an answer stays the
JSON that the API sent, any field of it may be missing or null, and fields and values may come that are not listed here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypedDict

__all__ = [
    "Agent",
    "AgentAccess",
    "AgentAvailability",
    "AgentDepartment",
    "AgentField",
    "AgentProfile",
    "Card",
    "CardContact",
    "CardCopyField",
    "CardDetail",
    "CardField",
    "CardNote",
    "CardResponsibleUser",
    "CardStatus",
    "Channel",
    "ChannelIdentity",
    "ChannelScope",
    "ChannelType",
    "Chatbot",
    "ChatbotAutomationUsage",
    "ChatbotPublishStatus",
    "ChatbotType",
    "ClassificationCategory",
    "Contact",
    "ContactDetail",
    "ContactField",
    "ContactOrigin",
    "ContactStatus",
    "CustomField",
    "CustomFieldEntity",
    "CustomFieldOption",
    "CustomFieldType",
    "Department",
    "DepartmentAgent",
    "DepartmentAgentItem",
    "DepartmentAgents",
    "DepartmentChannel",
    "DepartmentChannels",
    "DepartmentDetail",
    "DepartmentDistributionConfig",
    "DepartmentField",
    "DepartmentRestriction",
    "DepartmentV1",
    "File",
    "FileThumbnail",
    "FileType",
    "Identified",
    "Instant",
    "LostReason",
    "LostReasonItem",
    "MembershipAction",
    "Message",
    "MessageContact",
    "MessageDelivery",
    "MessageDetails",
    "MessageError",
    "MessageFileAsLink",
    "MessageLocation",
    "MessageStatus",
    "MessageTrack",
    "MessageTrackFormData",
    "MessageTranscription",
    "OfficeHours",
    "OfficeHoursDay",
    "OfficeHoursPeriod",
    "OrderDirection",
    "OtpDelivery",
    "Panel",
    "PanelByIdDetail",
    "PanelCardV1",
    "PanelDetail",
    "PanelStep",
    "PanelStepCards",
    "PanelStepField",
    "PanelTag",
    "PanelType",
    "Portfolio",
    "PortfolioContact",
    "PortfolioContactDetails",
    "PortfolioDepartment",
    "PortfolioDetail",
    "PortfolioPageType",
    "QueuedMessage",
    "SavedFile",
    "ScheduledMessage",
    "ScheduledMessageChannel",
    "ScheduledMessageChatBot",
    "ScheduledMessageContact",
    "ScheduledMessageDepartment",
    "ScheduledMessageDetail",
    "ScheduledMessageField",
    "ScheduledMessageReceipt",
    "ScheduledMessageStatus",
    "ScheduledMessageTemplate",
    "ScheduledMessageTemplateParams",
    "ScheduledMessageType",
    "ScheduledMessageUser",
    "SentMessage",
    "SentMessages",
    "SentOtp",
    "Sequence",
    "SequenceContact",
    "SequenceContactDetail",
    "SequenceContactDetails",
    "SequenceDetail",
    "Session",
    "SessionAgent",
    "SessionClassification",
    "SessionContact",
    "SessionDepartment",
    "SessionDetail",
    "SessionField",
    "SessionResolution",
    "SessionStatus",
    "SessionType",
    "SessionV1",
    "Tag",
    "TagColor",
    "TagOperation",
    "Template",
    "TemplateDetail",
    "TemplateParam",
    "TemplateType",
    "TransferType",
    "UploadUrl",
    "UpsertTagOperation",
    "Utm",
    "Uuid",
    "WebhookEvent",
    "WebhookField",
    "WebhookSubscription",
]

Instant = Annotated[str, "date-time"]
"""UTC, with or without ``Z``, two to eight fractional digits: read by :mod:`airflow_provider_wtschat.api.instants`."""
Uuid = Annotated[str, "uuid"]


class OrderDirection(StrEnum):
    """Direction of a list."""

    ASCENDING = "ASCENDING"
    DESCENDING = "DESCENDING"


class SessionStatus(StrEnum):
    """State of a session."""

    UNDEFINED = "UNDEFINED"
    STARTED = "STARTED"
    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    HIDDEN = "HIDDEN"


class SessionType(StrEnum):
    """Kind of a session."""

    INDIVIDUAL = "INDIVIDUAL"
    GROUP = "GROUP"


class SessionDetail(StrEnum):
    """What can be added to a session; without it a session holds ids only."""

    UNDEFINED = "Undefined"
    AGENT_DETAILS = "AgentDetails"
    DEPARTMENTS_DETAILS = "DepartmentsDetails"
    CONTACT_DETAILS = "ContactDetails"
    CHANNEL_TYPE_DETAILS = "ChannelTypeDetails"
    CLASSIFICATION_DETAILS = "ClassificationDetails"
    CHANNEL_DETAILS = "ChannelDetails"


class SessionField(StrEnum):
    """Field of a session that a partial update can name."""

    STATUS = "Status"
    END_AT = "EndAt"
    USER_ID = "UserId"
    DEPARTMENT_ID = "DepartmentId"
    REACTIVATE_DISABLED = "ReactivateDisabled"
    AUTOCOMPLETE = "Autocomplete"
    NUMBER = "Number"
    METADATA = "Metadata"
    CLASSIFICATION = "Classification"


class TransferType(StrEnum):
    """Destination of a transfer."""

    DEPARTMENT = "DEPARTMENT"
    USER = "USER"


class ClassificationCategory(StrEnum):
    """Outcome of a session."""

    UNDEFINED = "UNDEFINED"
    WON = "WON"
    LOST = "LOST"
    INFO = "INFO"
    OTHER = "OTHER"


class MessageStatus(StrEnum):
    """State of a message."""

    PROCESSING = "PROCESSING"
    SAVED = "SAVED"
    QUEUED = "QUEUED"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    READ = "READ"
    FAILED = "FAILED"
    DELETED = "DELETED"
    WAIT_REPLY = "WAIT_REPLY"


class ScheduledMessageStatus(StrEnum):
    """State of a scheduled message."""

    SCHEDULED = "SCHEDULED"
    PROCESSED = "PROCESSED"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    READ = "READ"
    CANCELED = "CANCELED"
    FAILED = "FAILED"


class ScheduledMessageType(StrEnum):
    """What a scheduled message sends."""

    TEMPLATE = "TEMPLATE"
    CHATBOT = "CHATBOT"


class ScheduledMessageDetail(StrEnum):
    """What can be added to a scheduled message."""

    CONTACT = "Contact"
    CHANNEL = "Channel"
    USER = "User"
    DEPARTMENT = "Department"
    TEMPLATE = "Template"
    CHATBOT = "Chatbot"


class ScheduledMessageField(StrEnum):
    """Field of a scheduled message that an update can name."""

    UNDEFINED = "Undefined"
    TO = "To"
    FROM = "From"
    DEPARTMENT = "Department"
    TYPE = "Type"
    TEMPLATE_ID = "TemplateId"
    BOT_ID = "BotId"
    SCHEDULING = "Scheduling"
    HIDDEN_SESSION = "HiddenSession"
    TEMPLATE_PARAMS = "TemplateParams"


class TemplateType(StrEnum):
    """Kind of template to list."""

    QUICKREPLY = "QUICKREPLY"
    ATTENDANCE = "ATTENDANCE"
    CAMPAIGN = "CAMPAIGN"
    SEQUENCE = "SEQUENCE"
    SCHEDULEDMESSAGE = "SCHEDULEDMESSAGE"
    AUTHENTICATION = "AUTHENTICATION"


class TemplateDetail(StrEnum):
    """What can be added to a template."""

    ALL = "All"
    PARAMS = "Params"
    FILE = "File"
    INTERACTIVE = "Interactive"


class ChannelType(StrEnum):
    """Kind of channel to list."""

    ALL = "All"
    WHATSAPP = "Whatsapp"
    MESSENGER = "Messenger"
    INSTAGRAM = "Instagram"


class ChatbotType(StrEnum):
    """Kind of chatbot."""

    REACTIVE = "Reactive"
    AUTOMATION = "Automation"


class ChatbotPublishStatus(StrEnum):
    """State of the publication of a chatbot, as a filter."""

    NOT_PUBLISHED = "Not_Published"
    PUBLISHING = "Publishing"
    READY = "Ready"
    FAILED = "Failed"


class ChatbotAutomationUsage(StrEnum):
    """Where an automation chatbot is used."""

    API = "Api"
    MANUAL = "Manual"
    CAMPAIGN = "Campaign"
    SEQUENCE = "Sequence"


class SequenceDetail(StrEnum):
    """What can be added to a sequence."""

    CONTACT_EXECUTING_COUNT = "ContactExecutingCount"
    EXECUTION_STATS = "ExecutionStats"


class SequenceContactDetail(StrEnum):
    """What can be added to a contact of a sequence."""

    CONTACT_DETAILS = "ContactDetails"


class ContactStatus(StrEnum):
    """State of a contact."""

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"
    BLOCKED = "BLOCKED"


class ContactOrigin(StrEnum):
    """Where a contact comes from."""

    CREATED_BY_USER = "CREATED_BY_USER"
    CREATED_FROM_HUB = "CREATED_FROM_HUB"
    IMPORTED = "IMPORTED"


class ContactDetail(StrEnum):
    """What can be added to a contact."""

    TAGS = "Tags"
    CUSTOM_FIELDS = "CustomFields"
    PORTFOLIOS = "Portfolios"


class ContactField(StrEnum):
    """Field of a contact that an update can name."""

    NAME = "Name"
    PHONE_NUMBER = "PhoneNumber"
    EMAIL = "Email"
    INSTAGRAM = "Instagram"
    ANNOTATION = "Annotation"
    TAGS = "Tags"
    STATUS = "Status"
    CUSTOM_FIELDS = "CustomFields"
    PICTURE_URL = "PictureUrl"
    PORTFOLIO = "Portfolio"
    SEQUENCE_IDS = "SequenceIds"
    UTM = "Utm"
    METADATA = "Metadata"


class UpsertTagOperation(StrEnum):
    """What creating a contact that exists does to its tags."""

    INSERTIFNOTEXISTS = "INSERTIFNOTEXISTS"
    DELETEIFEXISTS = "DELETEIFEXISTS"
    REPLACEALL = "REPLACEALL"


class TagOperation(StrEnum):
    """What an update does to tags."""

    INSERT_IF_NOT_EXISTS = "InsertIfNotExists"
    DELETE_IF_EXISTS = "DeleteIfExists"
    REPLACE_ALL = "ReplaceAll"


class CustomFieldEntity(StrEnum):
    """What a custom field belongs to."""

    CONTACT = "CONTACT"
    PANEL = "PANEL"


class CustomFieldType(StrEnum):
    """Type of a custom field."""

    GROUP = "GROUP"
    STRING = "STRING"
    TEXT = "TEXT"
    INTEGER = "INTEGER"
    FLOAT = "FLOAT"
    SINGLESELECT = "SINGLESELECT"
    MULTISELECT = "MULTISELECT"
    DATE = "DATE"
    TIME = "TIME"
    DATETIME = "DATETIME"
    BOOLEAN = "BOOLEAN"


class FileType(StrEnum):
    """Kind of file."""

    UNDEFINED = "UNDEFINED"
    PDF = "PDF"
    EXCEL = "EXCEL"
    WORD = "WORD"
    IMAGE = "IMAGE"
    AUDIO = "AUDIO"
    VIDEO = "VIDEO"
    DOCUMENT = "DOCUMENT"


class AgentProfile(StrEnum):
    """Profile of an agent."""

    ADMIN = "Admin"
    AGENT = "Agent"
    RESTRICTED_AGENT = "RestrictedAgent"


class AgentAvailability(StrEnum):
    """Whether an agent takes sessions."""

    AVAILABLE = "AVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"


class AgentAccess(StrEnum):
    """Whether an agent may log in."""

    UNDEFINED = "Undefined"
    ACTIVE = "Active"
    BLOCKED = "Blocked"


class AgentField(StrEnum):
    """Field of an agent that an update can name."""

    UNDEFINED = "Undefined"
    NAME = "Name"
    SHORT_NAME = "ShortName"
    PHONE_NUMBER = "PhoneNumber"
    EMAIL = "Email"
    PROFILE = "Profile"
    AVAILABILITY = "Availability"


class MembershipAction(StrEnum):
    """What an update does to the agents of a department, or the departments of an agent."""

    REPLACE_ALL = "ReplaceAll"
    UPSERT = "Upsert"
    REMOVE = "Remove"


class SessionResolution(StrEnum):
    """What happens to the open sessions of an agent who leaves a department."""

    COMPLETE = "COMPLETE"
    TRANSFER = "TRANSFER"
    RETURN_TO_PENDING = "RETURN_TO_PENDING"


class DepartmentField(StrEnum):
    """Field of a department that an update can name."""

    NAME = "Name"
    DESCRIPTION = "Description"
    IS_DEFAULT = "IsDefault"
    DISTRIBUTION_IS_ENABLED = "DistributionIsEnabled"
    CHANNELS_CONFIG = "ChannelsConfig"
    RESTRICTION_TYPE = "RestrictionType"
    DISTRIBUTION_CONFIG = "DistributionConfig"


class DepartmentRestriction(StrEnum):
    """Who sees the sessions of a department."""

    NONE = "NONE"
    DEPARTMENT_RESTRICTION = "DEPARTMENT_RESTRICTION"
    USER_RESTRICTION = "USER_RESTRICTION"


class DepartmentDetail(StrEnum):
    """What can be added to a department."""

    ALL = "All"
    AGENTS = "Agents"
    CHANNELS = "Channels"


class ChannelScope(StrEnum):
    """Which channels a department serves."""

    ALL = "ALL"
    NONE = "NONE"
    SELECTED = "SELECTED"


class PortfolioDetail(StrEnum):
    """What can be added to a portfolio."""

    DEPARTMENTS = "Departments"
    CONTACT_COUNT = "ContactCount"


class PortfolioPageType(StrEnum):
    """How the contacts of a portfolio are paged."""

    UNDEFINED = "Undefined"
    PAGE_NUMBER = "PageNumber"
    TIMESTAMP = "Timestamp"
    TOKEN = "Token"  # noqa: S105  # a way of paging


class WebhookField(StrEnum):
    """Field of a webhook subscription that an update can name."""

    NAME = "Name"
    URL = "Url"
    EVENTS = "Events"
    ENABLED = "Enabled"


class PanelType(StrEnum):
    """Kind of panel."""

    MANAGEMENT = "MANAGEMENT"
    SALES = "SALES"


class PanelDetail(StrEnum):
    """What can be added to a panel of the list."""

    TAGS = "Tags"
    STEPS = "Steps"
    STEPS_CARD_COUNT = "StepsCardCount"
    PANEL_CARD_OVERDUE_COUNT = "PanelCardOverdueCount"


class PanelByIdDetail(StrEnum):
    """What can be added to one panel."""

    TAGS = "Tags"
    STEPS = "Steps"
    STEPS_FIELDS = "StepsFields"
    STEPS_CARD_COUNT = "StepsCardCount"
    CARDS = "Cards"


class CardStatus(StrEnum):
    """State of a card."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"
    ARCHIVED = "ARCHIVED"


class CardDetail(StrEnum):
    """What can be added to a card."""

    PANEL_TITLE = "PanelTitle"
    STEP_TITLE = "StepTitle"
    STEP_PHASE = "StepPhase"
    RESPONSIBLE_USER = "ResponsibleUser"
    CONTACTS = "Contacts"
    CUSTOM_FIELDS = "CustomFields"
    LOST_REASON = "LostReason"


class CardField(StrEnum):
    """Field of a card that an update can name."""

    STEP_ID = "StepId"
    TITLE = "Title"
    DESCRIPTION = "Description"
    POSITION = "Position"
    DUE_DATE = "DueDate"
    RESPONSIBLE_USER_ID = "ResponsibleUserId"
    TAG_IDS = "TagIds"
    CONTACT_IDS = "ContactIds"
    SESSION_ID = "SessionId"
    MONETARY_AMOUNT = "MonetaryAmount"
    ARCHIVED = "Archived"
    CUSTOM_FIELDS = "CustomFields"
    METADATA = "Metadata"
    STATUS = "Status"


class CardCopyField(StrEnum):
    """What a duplicate takes over from its card."""

    UNDEFINED = "Undefined"
    ALL = "All"
    AMOUNT = "Amount"
    DUE_DATE = "DueDate"
    TAGS = "Tags"
    MONETARY_AMOUNT = "MonetaryAmount"
    CONTACTS = "Contacts"
    RESPONSIBLE_USER = "ResponsibleUser"
    CUSTOM_FIELDS = "CustomFields"
    NOTES = "Notes"


class Identified(TypedDict):
    """What has an id, which the API always sends."""

    id: Uuid


class _Dated(Identified, total=False):
    """What nearly all that has an id also has."""

    createdAt: Instant
    updatedAt: Instant


class FileThumbnail(TypedDict, total=False):
    """The contract's ``PublicFileThumbnailDTO`` (chat)."""

    id: Uuid
    publicUrl: str | None


class File(TypedDict, total=False):
    """The contract's ``PublicFileDTO`` (chat)."""

    id: Uuid
    companyId: Uuid | None
    userId: Uuid | None
    name: str | None
    extension: str | None
    mimeType: str | None
    type: str
    publicUrl: str | None
    publicUrlDownload: str | None
    size: int
    isThumbnail: bool
    thumbnail: FileThumbnail | None


class MessageFileAsLink(TypedDict, total=False):
    """The contract's ``PublicMessageFileAsLinkDTO`` (chat)."""

    file: File | None
    shortUrl: str | None


class MessageLocation(TypedDict, total=False):
    """The contract's ``PublicMessageLocationDTO`` (chat)."""

    latitude: float
    longitude: float
    address: str | None
    name: str | None
    url: str | None


class MessageContact(TypedDict, total=False):
    """The contract's ``PublicMessageContactDTO`` (chat)."""

    name: str | None
    email: str | None
    phoneNumber: str | None
    phoneNumberFormatted: str | None


class MessageError(TypedDict, total=False):
    """The contract's ``PublicMessageErrorDTO`` (chat)."""

    date: Instant
    origin: str | None
    key: str | None
    text: str | None


class Utm(TypedDict, total=False):
    """The contract's ``PublicUtmDTO`` (chat)."""

    sourceId: str | None
    source: str | None
    clid: str | None
    medium: str | None
    campaign: str | None
    content: str | None
    headline: str | None
    term: str | None
    referralUrl: str | None


class MessageTrackFormData(TypedDict, total=False):
    """The contract's ``PublicMessageTrackFromDataDTO`` (chat)."""

    name: str | None
    email: str | None
    phoneNumber: str | None
    annotation: str | None


class MessageTrack(TypedDict, total=False):
    """The contract's ``PublicMessageTrackDTO`` (chat)."""

    id: Uuid
    createdAt: Instant
    type: str
    pageTitle: str | None
    pageUrl: str | None
    pageUtm: Utm | None
    isMobileDevice: bool
    formData: MessageTrackFormData | None


class MessageTranscription(TypedDict, total=False):
    """The contract's ``PublicMsgTranscriptionDTO`` (chat)."""

    text: str | None
    processing: bool
    error: bool


class MessageDetails(TypedDict, total=False):
    """The contract's ``PublicMessageDetailsDTO`` (chat)."""

    file: File | None
    files: list[File] | None
    fileAsLink: MessageFileAsLink | None
    location: MessageLocation | None
    contact: MessageContact | None
    errors: list[MessageError] | None
    footerText: str | None
    utm: Utm | None
    payTransactionId: Uuid | None
    reactionToContact: str | None
    reactionFromContact: str | None
    track: MessageTrack | None
    transcription: MessageTranscription | None
    templateCategoryId: Uuid | None
    templateCategoryName: str | None
    waitReply: bool


class Message(_Dated, total=False):
    """The contract's ``PublicMessageDTO`` (chat)."""

    timestamp: Instant | None
    type: str
    senderId: str | None
    sessionId: Uuid
    templateId: Uuid | None
    userId: Uuid | None
    direction: str
    status: str
    origin: str
    text: str | None
    fileId: Uuid | None
    refId: Uuid | None
    readContactAt: Instant | None
    details: MessageDetails | None
    failedReason: str | None
    filesIds: list[Uuid] | None


class SequenceContactDetails(TypedDict, total=False):
    """The contract's ``PublicSequenceContactDetailsDTO`` (chat)."""

    id: Uuid
    name: str | None
    phonenumber: str | None
    phonenumberFormatted: str | None
    instagram: str | None
    email: str | None
    pictureUrl: str | None


class SequenceContact(_Dated, total=False):
    """The contract's ``PublicSequenceContactDTO`` (chat)."""

    active: bool
    companyId: Uuid
    sequenceId: Uuid
    contactId: Uuid
    contactName: str | None
    origin: str
    addedByUserId: Uuid | None
    addedByChatbotId: Uuid | None
    lastAddedAt: Instant | None
    contactDetails: SequenceContactDetails | None


class ChannelIdentity(TypedDict, total=False):
    """The contract's ``PublicChannelIdentityDTO`` (chat)."""

    humanId: str | None
    platform: str | None
    provider: str | None
    providerVariable: str | None
    pictureUrl: str | None
    displayName: str | None


class Channel(_Dated, total=False):
    """The contract's ``PublicChannelDTO`` (chat)."""

    active: bool
    type: str
    number: str | None
    numberFormatted: str | None
    identity: ChannelIdentity | None


class Chatbot(_Dated, total=False):
    """The contract's ``PublicChatbotDTO`` (chat)."""

    key: Uuid
    companyId: Uuid
    archived: bool
    name: str | None
    type: str
    channelIds: list[Uuid] | None
    defaultDepartmentId: Uuid | None
    publishStatus: str | None
    automationUsage: list[str] | None


class MessageDelivery(_Dated, total=False):
    """The contract's ``PublicMessageQuickSendDTO`` (chat)."""

    sessionId: Uuid | None
    status: str
    failureReason: str | None


class ScheduledMessageContact(TypedDict, total=False):
    """The contract's ``PublicScheduledMessageContactDTO`` (chat)."""

    id: Uuid
    name: str | None
    phonenumberFormatted: str | None
    instagram: str | None
    pictureUrl: str | None


class ScheduledMessageUser(TypedDict, total=False):
    """The contract's ``PublicScheduledMessageUserDTO`` (chat)."""

    id: Uuid
    name: str | None


class ScheduledMessageChannel(TypedDict, total=False):
    """The contract's ``PublicScheduledMessageChannelDTO`` (chat)."""

    id: Uuid
    humanId: str | None
    type: str


class ScheduledMessageDepartment(TypedDict, total=False):
    """The contract's ``PublicScheduledMessageDepartmentDTO`` (chat)."""

    id: Uuid
    name: str | None


class ScheduledMessageChatBot(TypedDict, total=False):
    """The contract's ``PublicScheduledMessageChatBotDTO`` (chat)."""

    id: Uuid
    botId: Uuid
    name: str | None


class ScheduledMessageTemplateParams(TypedDict, total=False):
    """The contract's ``PublicResponseScheduledMessageTemplateParamsDTO`` (chat)."""

    parameters: dict[str, str | None] | None
    file: File | None


class ScheduledMessageTemplate(TypedDict, total=False):
    """The contract's ``PublicScheduledMessageTemplateDTO`` (chat)."""

    id: Uuid
    name: str | None
    templateParams: ScheduledMessageTemplateParams | None


class ScheduledMessageReceipt(_Dated, total=False):
    """The contract's ``PublicReqScheduledMessageDTO`` (chat)."""

    active: bool
    companyId: Uuid
    contactId: Uuid
    userId: Uuid
    channelId: Uuid
    departmentId: Uuid | None
    status: str
    type: str
    templateId: Uuid | None
    botId: Uuid | None
    scheduling: Instant
    hiddenSession: bool
    failureReason: str | None
    contact: ScheduledMessageContact | None
    user: ScheduledMessageUser | None
    channel: ScheduledMessageChannel | None
    department: ScheduledMessageDepartment | None
    chatbot: ScheduledMessageChatBot | None
    template: ScheduledMessageTemplate | None


class ScheduledMessage(ScheduledMessageReceipt, total=False):
    """The contract's ``PublicScheduledMessageDTO`` (chat)."""

    sessionId: Uuid | None


class SentMessage(Identified, total=False):
    """The contract's ``PublicRespSendMessageDTO`` (chat)."""

    createdAt: Instant
    updatedAt: Instant | None
    companyId: Uuid
    sessionId: Uuid | None
    status: str
    senderId: str | None
    statusUrl: str | None
    sentAt: Instant | None
    failedReason: str | None
    callbackUrl: str | None
    waitReply: bool | None


class OtpDelivery(_Dated, total=False):
    """The contract's ``PublicSendOtpStatusDTO`` (chat)."""

    code: str | None
    status: str
    templateId: Uuid
    companyId: Uuid
    senderId: str | None
    channelId: Uuid | None
    sentAt: Instant | None
    receivedAt: Instant | None
    contactPhoneNumber: str | None
    statusUrl: str | None
    failedReason: str | None


class Sequence(_Dated, total=False):
    """The contract's ``PublicSequenceDTO`` (chat)."""

    active: bool
    companyId: Uuid
    name: str | None
    enabled: bool
    contactExecutingCount: int


class QueuedMessage(Identified, total=False):
    """The contract's ``PublicQuickMessageDTO`` (chat)."""

    createdAt: Instant | None
    updatedAt: Instant
    sessionId: Uuid | None
    senderId: str | None
    status: str
    statusUrl: str | None
    failureReason: str | None


class TemplateParam(TypedDict, total=False):
    """The contract's ``PublicTemplateParamDTO`` (chat)."""

    name: str | None
    templateId: Uuid


class Template(_Dated, total=False):
    """The contract's ``PublicTemplateDTO`` (chat)."""

    active: bool
    archived: bool
    channelId: Uuid | None
    name: str | None
    text: str | None
    footerText: str | None
    status: str
    channelType: str | None
    type: list[str]
    params: list[TemplateParam] | None
    internalName: str | None
    fileType: str | None
    quickReplyAlias: str | None
    rejectedDescription: str | None
    categoryId: Uuid | None
    categoryName: str | None


class SessionContact(TypedDict, total=False):
    """The contract's ``PublicContactDataDTO`` (chat)."""

    id: Uuid | None
    name: str | None
    pictureUrl: str | None
    phonenumber: str | None
    instagram: str | None
    phonenumberFormatted: str | None
    tagsId: list[Uuid] | None
    tagsName: list[str] | None
    status: str


class SessionAgent(TypedDict, total=False):
    """The contract's ``PublicAgentDataDTO`` (chat)."""

    id: Uuid
    userId: Uuid
    name: str | None
    shortName: str | None
    phoneNumber: str | None
    email: str | None
    pictureFileId: Uuid | None
    pictureUrl: str | None


class SessionDepartment(TypedDict, total=False):
    """The contract's ``PublicDepartmentDataDTO`` (chat)."""

    id: Uuid
    companyId: Uuid
    name: str | None
    description: str | None
    isDefault: bool
    isSupervisor: bool


class SessionClassification(TypedDict, total=False):
    """The contract's ``PublicSessionClassificationDTO`` (chat)."""

    id: Uuid
    category: str
    categoryDescription: str | None
    amount: float
    categoryName: str | None


class SessionV1(_Dated, total=False):
    """The contract's ``PublicSessionDTO`` (chat)."""

    startAt: Instant
    endAt: Instant | None
    status: str
    companyId: Uuid
    contactId: Uuid | None
    channelId: Uuid
    departmentId: Uuid | None
    userId: Uuid | None
    previewUrl: str | None
    title: str | None
    number: str | None
    utm: Utm | None
    origin: str | None
    contactDetails: SessionContact | None
    agentDetails: SessionAgent | None
    channelDetails: ChannelIdentity | None
    departmentDetails: SessionDepartment | None
    classification: SessionClassification | None
    statusDescription: str | None
    timeService: str | None
    timeWait: str | None
    firstResponseAt: Instant | None
    botId: Uuid | None
    unreadCount: int
    lastMessageText: str | None
    lastInteractionDate: Instant | None
    lastMessageOut: Instant | None
    lastMessageIn: Instant | None
    windowStatus: str
    metadata: dict[str, Any] | None
    channelType: str | None


class Session(SessionV1, total=False):
    """The contract's ``PublicSessionDTOV2`` (chat)."""

    type: str | None


class SentMessages(TypedDict, total=False):
    """The contract's ``PublicRespSendMessagesDTO`` (chat)."""

    results: list[SentMessage] | None


# Not a class statement: ``from`` is a keyword of Python.
_SentOtp = TypedDict(
    "_SentOtp",
    {
        "code": str | None,
        "status": str,
        "from": str | None,
        "templateId": str | None,
        "companyId": Uuid,
        "senderId": str | None,
        "channelId": Uuid | None,
        "sentAt": Instant | None,
        "receivedAt": Instant | None,
        "contactPhoneNumber": str | None,
        "failedReason": str | None,
        "callbackUrl": str | None,
        "statusUrl": str | None,
    },
    total=False,
)


class SentOtp(_Dated, _SentOtp, total=False):
    """The contract's answer to a one-time password that is sent (chat)."""


class AgentDepartment(TypedDict, total=False):
    """The contract's ``PublicAgentDepartmentDTO`` (core)."""

    agentId: Uuid
    userId: Uuid
    departmentId: Uuid
    isAgent: bool
    isSupervisor: bool


class Agent(_Dated, total=False):
    """The contract's ``PublicAgentDTO`` (core)."""

    companyId: Uuid
    userId: Uuid
    name: str | None
    shortName: str | None
    email: str | None
    phoneNumber: str | None
    phoneNumberFormatted: str | None
    profile: str | None
    isOwner: bool
    departments: list[AgentDepartment] | None
    availability: str


class DepartmentDistributionConfig(TypedDict, total=False):
    """The contract's ``DepartmentDetailsDistributionConfigDTO`` (core)."""

    expirationIsEnabled: bool
    maximumDurationInMinutes: int
    inactivityTimeInMinutes: int


class DepartmentAgent(TypedDict, total=False):
    """The contract's ``PublicDepartmentAgentDTO`` (core)."""

    userId: Uuid
    departmentId: Uuid
    isAgent: bool
    isSupervisor: bool


class DepartmentChannel(TypedDict, total=False):
    """The contract's ``DepartmentChannelDTO`` (core)."""

    id: Uuid
    number: str | None
    name: str | None
    type: str | None


class PortfolioContactDetails(TypedDict, total=False):
    """The contract's ``PublicContactDetailsPortfolioDTO`` (core)."""

    id: Uuid
    name: str | None
    phonenumber: str | None
    phonenumberFormatted: str | None
    instagram: str | None
    nameMessenger: str | None
    email: str | None
    annotation: str | None


class PortfolioContact(_Dated, total=False):
    """The contract's ``PublicContactPortfolioDTO`` (core)."""

    active: bool
    companyId: Uuid
    portfolioId: Uuid
    contactId: Uuid
    contactDetails: PortfolioContactDetails | None


class Tag(_Dated, total=False):
    """The contract's ``PublicTagDTO`` (core)."""

    name: str | None
    color: str | None


class WebhookEvent(TypedDict, total=False):
    """The contract's ``PublicWebhookEventDTO`` (core)."""

    event: str
    description: str | None


class WebhookSubscription(_Dated, total=False):
    """The contract's ``PublicWebhookSubscriptionDTO`` (core)."""

    companyId: Uuid
    name: str | None
    url: str | None
    enabled: bool
    events: list[WebhookEvent] | None


class OfficeHoursPeriod(TypedDict, total=False):
    """The contract's ``PublicCompanyOfficeHoursPeriodDTO`` (core)."""

    startTime: str | None
    endTime: str | None


class OfficeHoursDay(TypedDict, total=False):
    """The contract's ``PublicCompanyOfficeHoursDayDTO`` (core)."""

    id: Uuid
    dayWeek: str | None
    active: bool
    periods: list[OfficeHoursPeriod] | None


class OfficeHours(TypedDict, total=False):
    """The contract's ``PublicCompanyOfficeHoursDTO`` (core)."""

    limitHours: bool
    offlineResponse: str | None
    timezoneDiff: float | None
    days: list[OfficeHoursDay] | None


class Contact(_Dated, total=False):
    """The contract's ``PublicContactDTO`` (core)."""

    companyId: Uuid
    name: str | None
    nameWhatsapp: str | None
    nameInstagram: str | None
    nameMessenger: str | None
    phoneNumber: str | None
    phoneNumberFormatted: str | None
    email: str | None
    instagram: str | None
    messengerId: str | None
    annotation: str | None
    tagIds: list[Uuid] | None
    tagNames: list[str] | None
    status: str
    origin: str
    importedAt: Instant | None
    utm: Utm | None
    customFields: dict[str, Any] | None
    portfolioIds: list[Uuid] | None
    portfolioNames: list[str] | None
    metadata: dict[str, Any] | None


class CustomFieldOption(TypedDict, total=False):
    """The contract's ``PublicCustomFieldOptionDTO`` (core)."""

    id: Uuid
    name: str | None


class CustomField(_Dated, total=False):
    """The contract's ``PublicCustomFieldDTO`` (core)."""

    parentId: Uuid | None
    type: str
    entityType: str
    scopeId: Uuid | None
    companyId: Uuid
    name: str | None
    key: str | None
    position: int
    required: bool
    visible: bool
    isValueRange: bool
    options: list[CustomFieldOption] | None
    children: list[CustomField] | None


class DepartmentChannels(TypedDict, total=False):
    """The contract's ``PublicDepartmentListChannelDTO`` (core)."""

    scope: str
    channels: list[Uuid] | None


class PortfolioDepartment(TypedDict, total=False):
    """The contract's ``PublicPortfolioDepartmentDTO`` (core)."""

    departmentId: Uuid
    userIds: list[Uuid] | None


class Portfolio(_Dated, total=False):
    """The contract's ``PublicPortfolioDTO`` (core)."""

    active: bool
    companyId: Uuid
    name: str | None
    automaticAttribution: bool
    expirationDurationInMonths: int
    contactsCount: int
    type: str
    departments: list[PortfolioDepartment] | None


class TagColor(TypedDict, total=False):
    """The contract's ``PublicTagColorDTO`` (core)."""

    color: str
    bgColor: str | None
    textColor: str | None


class Department(_Dated, total=False):
    """The contract's ``PublicDepartmentDTOV2`` (core)."""

    companyId: Uuid
    directLinks: dict[str, str | None] | None
    name: str | None
    isDefault: bool
    distribuitionEnabled: bool
    restrictionType: str
    distributionConfig: DepartmentDistributionConfig | None
    agents: list[DepartmentAgent] | None
    channels: list[DepartmentChannel] | None


class DepartmentV1(Department, total=False):
    """The contract's ``PublicDepartmentDTO`` (core)."""

    description: str | None
    isPrivate: bool


class UploadUrl(TypedDict, total=False):
    """The contract's ``PublicUrlUploadFileV2DTO`` (core)."""

    tempFileId: Uuid
    urlUpload: str | None


class SavedFile(Identified, total=False):
    """The contract's ``PublicFileV2DTO`` (core)."""

    companyId: Uuid | None
    userId: Uuid | None
    name: str | None
    extension: str | None
    mimeType: str | None
    type: str
    key: str | None
    size: int


class DepartmentAgentItem(TypedDict, total=False):
    """The contract's ``PublicAgentUpdateDepartmentItemDTO`` (core)."""

    userId: Uuid
    isAgent: bool
    isSupervisor: bool


class DepartmentAgents(TypedDict, total=False):
    """The contract's ``PublicReqUpdateDepartmentAgent`` (core)."""

    action: str
    items: list[DepartmentAgentItem]


class CardNote(_Dated, total=False):
    """The contract's ``PublicPanelCardNoteDTO`` (crm)."""

    companyId: Uuid
    panelId: Uuid
    cardId: Uuid
    userId: Uuid
    text: str | None
    files: list[File] | None
    isFromPublicApi: bool


class PanelTag(TypedDict, total=False):
    """The contract's ``PublicPanelTagDTO`` (crm)."""

    id: Uuid
    createdAt: Instant
    updatedAt: Instant
    companyId: Uuid | None
    panelId: Uuid
    name: str | None
    nameColor: str | None
    bgColor: str | None


class PanelStepField(TypedDict, total=False):
    """The contract's ``PublicPanelStepFieldDTO`` (crm)."""

    key: str | None
    type: str
    position: int
    visible: bool | None


class CardResponsibleUser(TypedDict, total=False):
    """The contract's ``PublicPanelCardResponsibleUserDTO`` (crm)."""

    id: Uuid
    name: str | None


class CardContact(TypedDict, total=False):
    """The contract's ``PublicPanelCardContactDTO`` (crm)."""

    id: Uuid
    name: str | None


class _CardFields(TypedDict, total=False):
    """What both versions of a card have."""

    createdAt: Instant
    updatedAt: Instant
    companyId: Uuid
    panelId: Uuid
    panelTitle: str | None
    stepId: Uuid
    stepTitle: str | None
    stepPhase: str | None
    position: float
    title: str | None
    description: str | None
    key: str | None
    number: int
    dueDate: Instant | None
    isOverdue: bool
    tagIds: list[Uuid] | None
    sessionId: Uuid | None
    monetaryAmount: float | None
    responsibleUserId: Uuid | None
    responsibleUser: CardResponsibleUser | None
    contactIds: list[Uuid] | None
    contacts: list[CardContact] | None
    customFields: dict[str, Any] | None
    metadata: dict[str, Any] | None


class PanelCardV1(_CardFields, total=False):
    """The contract's ``PublicPanelCardDTO`` (crm)."""

    id: Uuid
    archived: bool


class PanelStepCards(TypedDict, total=False):
    """The contract's ``PublicPanelCardDTOPublicPageListDTO`` (crm)."""

    pageNumber: int
    pageSize: int
    orderBy: str | None
    orderDirection: str | None
    items: list[PanelCardV1] | None
    totalItems: int
    totalPages: int
    hasMorePages: bool


class PanelStep(TypedDict, total=False):
    """The contract's ``PublicPanelStepDTO`` (crm)."""

    id: Uuid
    createdAt: Instant
    updatedAt: Instant
    companyId: Uuid
    panelId: Uuid
    archived: bool
    position: float
    title: str | None
    isInitial: bool
    isFinal: bool
    cardCount: int | None
    overdueCardCount: int | None
    monetaryAmount: float | None
    fields: list[PanelStepField] | None
    cards: PanelStepCards | None


class Panel(_Dated, total=False):
    """The contract's ``PublicPanelDTO`` (crm)."""

    companyId: Uuid
    archived: bool
    scope: str
    departmentIds: list[Uuid] | None
    userId: Uuid | None
    title: str | None
    description: str | None
    thumbnailId: Uuid | None
    thumbnailFile: File | None
    key: str | None
    overdueCardCount: int | None
    stepTitles: list[str] | None
    tags: list[PanelTag] | None
    steps: list[PanelStep] | None
    type: str
    autoLossDays: int | None


class LostReasonItem(_Dated, total=False):
    """The contract's ``PublicPanelCardResultDTO`` (crm)."""

    companyId: Uuid
    panelId: Uuid
    description: str | None


class LostReason(TypedDict, total=False):
    """The contract's ``LostReasonDTO`` (crm)."""

    id: Uuid | None
    name: str | None


class Card(Identified, _CardFields, total=False):
    """The contract's ``PublicPanelCardDTOV2`` (crm)."""

    status: str
    lostReason: LostReason | None

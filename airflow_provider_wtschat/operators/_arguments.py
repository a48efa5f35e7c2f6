"""
The arguments that operators share, by name and type, so that editors offer them and checkers know them.

What an argument means stands in the docstring of the operator that has it. A test holds these types against the
constructors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Required, TypedDict

from airflow_provider_wtschat.api._shared import Listed
from airflow_provider_wtschat.api.instants import When

_Callbacks = Callable[..., None] | Collection[Callable[..., None]] | None


class BaseOperatorArguments(TypedDict, total=False):
    """Airflow's own arguments, those of the newest release series."""

    task_id: Required[str]
    owner: str
    email: str | Sequence[str] | None
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: float
    max_retry_delay: timedelta | float | None
    retry_policy: Any
    start_date: datetime | None
    end_date: datetime | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    dag: Any
    params: MutableMapping[str, Any] | None
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: Any
    queue: str
    pool: str | None
    pool_slots: int
    sla: timedelta | None
    execution_timeout: timedelta | None
    on_execute_callback: _Callbacks
    on_failure_callback: _Callbacks
    on_success_callback: _Callbacks
    on_retry_callback: _Callbacks
    on_skipped_callback: _Callbacks
    pre_execute: Callable[..., None] | None
    post_execute: Callable[..., None] | None
    trigger_rule: str
    resources: dict[str, Any] | None
    run_as_user: str | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    inlets: Any
    outlets: Any
    task_group: Any
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None


class OperatorArguments(BaseOperatorArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.base.WtsChatBaseOperator`."""

    wtschat_conn_id: str


class ListArguments(OperatorArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.base.WtsChatListOperator`."""

    page_number: int | None
    page_size: int | None
    max_rows: int
    max_pages: int | None
    fields: Sequence[str] | str | None


class PeriodListArguments(ListArguments, Listed, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.base.WtsChatPeriodListOperator`."""


class ContactFieldsArguments(OperatorArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.contact.WtsChatContactFieldsOperator`."""

    name: str | None
    phone_number: str | int | None
    contact_email: str | None
    instagram: str | None
    tag_ids: Sequence[str] | str | None
    tag_names: Sequence[str] | str | None
    portfolio_ids: Sequence[str] | str | None
    portfolio_names: Sequence[str] | str | None
    custom_fields: Mapping[str, Any] | str | None
    metadata: Mapping[str, Any] | str | None
    phone_country: str


class OnceArguments(OperatorArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.sending.WtsChatOnceOperator`."""

    may_repeat: bool


class ContactChangeArguments(ContactFieldsArguments, OnceArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.contact.WtsChatContactChangeOperator`."""

    annotation: str | None
    sequence_ids: Sequence[str] | str | None
    sequence_names: Sequence[str] | str | None


class UpsertArguments(OnceArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.contact.WtsChatUpsertOperator`."""

    upsert: bool | None
    upsert_fields: Sequence[str] | str | None
    upsert_tag_operation: str | None
    get_if_exists: bool | None


class OpeningArguments(OperatorArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.message.WtsChatOpeningOperator`."""

    from_channel: str | None
    from_channel_name: str | None
    enable_bot: bool | None
    hidden_session: bool | None
    force_start_session: bool | None
    user_id: str | None
    user_name: str | None
    user_phone: str | None
    user_email: str | None
    department_id: str | None
    department_name: str | None
    phone_country: str


class SendArguments(OnceArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.sending.WtsChatSendOperator`."""

    wait_for_status: Sequence[str] | str | None
    wait_timeout: float
    poll_interval: float
    deferrable: bool


class DirectSendArguments(OpeningArguments, SendArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.message.WtsChatDirectSendOperator`."""

    to: str | None
    session_id: str | None
    sender_id: str | None
    callback_url: str | None
    bot_key: str | None
    bot_name: str | None
    synchronous: bool


class PanelArguments(OperatorArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.panel.WtsChatPanelOperator`."""

    panel_id: str | None
    panel_name: str | None


class StepArguments(PanelArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.panel.WtsChatStepOperator`."""

    step_id: str | None
    step_name: str | None


class CardChangeArguments(StepArguments, OnceArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.panel.WtsChatCardChangeOperator`."""

    title: str | None
    description: str | None
    position: float | None
    due_date: When | None
    responsible_user_id: str | None
    responsible_user_name: str | None
    tag_ids: Sequence[str] | str | None
    tag_names: Sequence[str] | str | None
    contact_ids: Sequence[str] | str | None
    session_id: str | None
    monetary_amount: float | str | None
    custom_fields: Mapping[str, Any] | str | None
    metadata: Mapping[str, Any] | str | None
    timezone: str


class FileArguments(OnceArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.sending.WtsChatFileOperator`."""

    file_url: str | None
    file_id: str | None
    file_path: str | None
    file_type: str | None


class SequenceArguments(OperatorArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.sequence.WtsChatSequenceOperator`."""

    sequence_id: str | None
    sequence_name: str | None
    phone_country: str


class SequenceContactArguments(SequenceArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.sequence.WtsChatSequenceContactOperator`."""

    contact_id: str | None
    phone_number: str | None


class SequenceContactsArguments(SequenceArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.sequence.WtsChatSequenceContactsOperator`."""

    contact_ids: Sequence[str] | str | None
    phone_numbers: Sequence[str] | str | None


class SessionChangeArguments(OperatorArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.session.WtsChatSessionChangeOperator`."""

    session_id: Required[str]
    stop_bot_in_execution: bool | None


class SessionSendArguments(SendArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.session.WtsChatSessionSendOperator`."""

    session_id: Required[str]
    ref_id: str | None
    synchronous: bool


class UpsertContactChangeArguments(UpsertArguments, ContactChangeArguments, total=False):
    """Arguments of both."""


class ContactFieldsPeriodListArguments(ContactFieldsArguments, PeriodListArguments, total=False):
    """Arguments of both."""


class FileDirectSendArguments(FileArguments, DirectSendArguments, total=False):
    """Arguments of both."""


class OpeningOnceArguments(OpeningArguments, OnceArguments, total=False):
    """Arguments of both."""


class ApprovalArguments(OpeningOnceArguments, total=False):
    """Arguments of a question but for its options."""

    subject: Required[str]
    body: str | None
    defaults: Sequence[str] | str | None
    response_timeout: timedelta | float | str
    to: str | None
    session_id: str | None
    template_id: str | None
    template_name: str | None
    template_parameters: Mapping[str, Any] | Sequence[Any] | str | None
    synonyms: Mapping[str, Sequence[str]] | None
    attempts: int
    unclear_text: str
    poll_interval: float
    deferrable: bool


class AskArguments(ApprovalArguments, total=False):
    """Arguments of :class:`~airflow_provider_wtschat.operators.ask.AskContactOperator`."""

    options: Required[Sequence[str] | str]


class PanelOnceArguments(PanelArguments, OnceArguments, total=False):
    """Arguments of both."""


class StepPeriodListArguments(StepArguments, PeriodListArguments, total=False):
    """Arguments of both."""


class SequenceContactOnceArguments(SequenceContactArguments, OnceArguments, total=False):
    """Arguments of both."""


class SequenceContactsOnceArguments(SequenceContactsArguments, OnceArguments, total=False):
    """Arguments of both."""


class SequencePeriodListArguments(SequenceArguments, PeriodListArguments, total=False):
    """Arguments of both."""


class FileSessionSendArguments(FileArguments, SessionSendArguments, total=False):
    """Arguments of both."""


class ListOnceArguments(ListArguments, OnceArguments, total=False):
    """Arguments of both."""

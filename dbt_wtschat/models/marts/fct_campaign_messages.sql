-- A row for each recipient of a dispatch of this provider. What the follow-up has not noted is taken from the messages.
with planned as (
  select *
  from {{ ref('stg_wtschat__campaign') }}
),

messages as (
  select *
  from {{ ref('fct_messages') }}
  where not is_deleted
)

select
  planned.campaign,
  planned.seq,
  planned.sender_id,
  planned.status,
  planned.claimed_at,
  planned.message_id,
  coalesce(planned.session_id, messages.session_id) as session_id,
  coalesce(planned.contact_id, sessions.contact_id) as contact_id,
  coalesce(planned.template_id, messages.template_id) as template_id,
  messages.template_category,
  planned.status = 'sent' as is_sent,
  coalesce(planned.sent_at, messages.created_at, case when planned.status = 'sent' then planned.claimed_at end) as sent_at,
  planned.delivered_at is not null
    or coalesce(planned.delivery in ('DELIVERED', 'READ', 'WAIT_REPLY'), false)
    or coalesce(messages.is_delivered, false) as is_delivered,
  planned.read_at is not null
    or coalesce(planned.delivery = 'READ', false)
    or coalesce(messages.is_read, false) as is_read,
  coalesce(planned.replied_at, messages.replied_at) is not null as is_replied,
  coalesce(planned.replied_at, messages.replied_at) as replied_at,
  planned.status = 'refused'
    or coalesce(planned.delivery in ('FAILED', 'DELETED'), false)
    or coalesce(messages.is_failed, false) as is_failed,
  case
    when planned.status = 'refused'
      or coalesce(planned.delivery in ('FAILED', 'DELETED'), false)
      or coalesce(messages.is_failed, false)
      then coalesce(planned.failed_key, messages.error_key, planned.reason, messages.failed_reason, 'unknown')
  end as failed_key,
  coalesce(planned.reason, messages.failed_reason) as reason
from planned
left join messages on messages.message_id = planned.message_id
left join {{ ref('stg_wtschat__sessions') }} as sessions
  on sessions.id = coalesce(planned.session_id, messages.session_id)

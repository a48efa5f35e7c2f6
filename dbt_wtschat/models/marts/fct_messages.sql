{{ config(materialized='incremental', unique_key='message_id', on_schema_change='sync_all_columns') }}

-- All messages of sessions in which something changed are made anew, since a reply belongs to the message before it.
with sessions as (
  select id, deleted_at, loaded_at
  from {{ ref('stg_wtschat__sessions') }}
),

-- What is deleted with its session is not marked itself.
landed as (
  select
    messages.*,
    messages.deleted_at is not null or sessions.deleted_at is not null as is_deleted
  from {{ ref('stg_wtschat__messages') }} as messages
  left join sessions on sessions.id = messages.session_id
),

{% if wtschat.goes_on() -%}
newest as (
  select {{ dbt.dateadd('hour', -1 * var('wtschat_lookback_hours'), 'max(loaded_at)') }} as loaded_at
  from {{ this }}
),

changed as (
  select landed.session_id
  from landed
  cross join newest
  where newest.loaded_at is null or landed.loaded_at > newest.loaded_at
  {{ wtschat.union_distinct() }}
  select sessions.id as session_id
  from sessions
  cross join newest
  where sessions.loaded_at > newest.loaded_at
),

{% endif -%}
messages as (
  select landed.*
  from landed
  {% if wtschat.goes_on() -%}
  inner join changed on changed.session_id = landed.session_id
  {%- endif %}
),

replies as (
  select
    id,
    min(case when direction = 'FROM_HUB' and not is_deleted then created_at end) over (
      partition by session_id order by created_at, id rows between 1 following and unbounded following
    ) as next_in_at
  from messages
)

select
  messages.id as message_id,
  messages.account,
  messages.session_id,
  messages.created_at,
  {{ wtschat.local_day('messages.created_at') }} as created_day,
  {{ wtschat.local_hour('messages.created_at') }} as created_hour,
  messages.type,
  messages.direction,
  messages.direction = 'FROM_HUB' as is_inbound,
  case
    when messages.direction = 'FROM_HUB' then 'contact'
    when messages.origin = 'DEFAULT' then 'agent'
    when messages.origin = 'BOT' then 'bot'
    when messages.origin = 'CAMPAIGN' then 'campaign'
    when messages.origin = 'API' then 'api'
    when messages.origin in ('OFFICE_HOURS', 'PAYMENT') then 'system'
    else 'other'
  end as author,
  messages.origin,
  messages.user_id,
  messages.template_id,
  messages.template_category_name as template_category,
  messages.status,
  messages.direction = 'TO_HUB' and messages.status in ('DELIVERED', 'READ', 'WAIT_REPLY') as is_delivered,
  messages.direction = 'TO_HUB' and messages.status = 'READ' as is_read,
  messages.status = 'FAILED' as is_failed,
  messages.failed_reason,
  messages.error_key,
  messages.read_contact_at,
  messages.file_id is not null as has_file,
  case when messages.direction = 'TO_HUB' then replies.next_in_at end as replied_at,
  case when messages.direction = 'TO_HUB' then {{ wtschat.seconds('messages.created_at', 'replies.next_in_at') }} end
    as reply_seconds,
  messages.is_deleted,
  messages.loaded_at
from messages
inner join replies on replies.id = messages.id

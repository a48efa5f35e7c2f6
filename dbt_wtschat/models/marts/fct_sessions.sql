with sessions as (
  select *
  from {{ ref('stg_wtschat__sessions') }}
  where deleted_at is null
),

messages as (
  select
    session_id,
    min(case when is_inbound then created_at end) as first_message_in_at,
    {{ wtschat.count_if('is_inbound') }} as messages_in,
    {{ wtschat.count_if('not is_inbound') }} as messages_out,
    {{ wtschat.count_if("author = 'agent'") }} as messages_by_agents,
    {{ wtschat.count_if("author = 'bot'") }} as messages_by_bot,
    {{ wtschat.count_if('is_failed') }} as messages_failed,
    {{ wtschat.count_if('has_file') }} as messages_with_file,
    count(distinct case when author = 'agent' then user_id end) as agents_writing
  from {{ ref('fct_messages') }}
  where not is_deleted
  group by session_id
),

begun as (
  select session_id, author
  from (
    select
      session_id,
      author,
      row_number() over (partition by session_id order by created_at, message_id) as place
    from {{ ref('fct_messages') }}
    where not is_deleted
  ) as ordered
  where place = 1
),

changes as (
  select
    session_id,
    {{ wtschat.count_if('is_reopening') }} as reopenings_seen,
    {{ wtschat.count_if('is_department_change') }} as department_changes_seen,
    {{ wtschat.count_if('is_agent_change') }} as agent_changes_seen
  from {{ ref('fct_session_changes') }}
  group by session_id
),

dispatches as (
  select session_id, min(campaign) as campaign
  from {{ ref('fct_campaign_messages') }}
  where session_id is not null
  group by session_id
),

asked as (
  select
    sessions.*,
    coalesce(messages.first_message_in_at, case when messages.session_id is null then sessions.created_at end) as asked_at
  from sessions
  left join messages on messages.session_id = sessions.id
),

moments as (
  select id, account, 'asked' as what, asked_at as moment from asked where asked_at is not null
  union all
  select id, account, 'answered' as what, first_response_at as moment from asked where first_response_at is not null
  union all
  select id, account, 'begun' as what, created_at as moment from asked
  union all
  select id, account, 'ended' as what, end_at as moment from asked where end_at is not null
),

-- Open seconds of the office up to each moment.
clocked as (
  select
    moments.id,
    moments.what,
    min(office.open_seconds_before) + sum(
      case
        when moments.moment <= office.opens_at then 0
        when moments.moment >= office.closes_at then office.open_seconds
        else {{ wtschat.seconds('office.opens_at', 'moments.moment') }}
      end
    ) as office_seconds
  from moments
  inner join {{ ref('office_hours_daily') }} as office
    on office.account = moments.account
    and office.day = {{ wtschat.local_day('moments.moment') }}
  group by moments.id, moments.what
),

office as (
  select
    id,
    max(case when what = 'asked' then office_seconds end) as asked,
    max(case when what = 'answered' then office_seconds end) as answered,
    max(case when what = 'begun' then office_seconds end) as begun,
    max(case when what = 'ended' then office_seconds end) as ended
  from clocked
  group by id
),

agents as (
  select account, user_id, min(name) as name
  from {{ ref('stg_wtschat__agents') }}
  group by account, user_id
),

timed as (
  select
    asked.id as session_id,
    asked.account,
    asked.number,
    asked.type,
    asked.status,
    asked.status in ('STARTED', 'PENDING', 'IN_PROGRESS', 'HIDDEN') as is_open,
    asked.created_at,
    {{ wtschat.local_day('asked.created_at') }} as created_day,
    {{ wtschat.local_hour('asked.created_at') }} as created_hour,
    asked.end_at as ended_at,
    {{ wtschat.local_day('asked.end_at') }} as ended_day,
    case when asked.end_at is null then {{ wtschat.seconds('asked.created_at', wtschat.as_of()) }} end as open_for_seconds,
    asked.contact_id,
    asked.channel_id,
    channels.type as channel_type,
    channels.identity_display_name as channel_name,
    asked.department_id,
    departments.name as department_name,
    asked.user_id,
    agents.name as agent_name,
    asked.bot_id,
    asked.origin,
    begun.author as opened_by,
    dispatches.campaign,
    asked.utm_source,
    asked.utm_medium,
    asked.utm_campaign,
    asked.classification_category,
    asked.classification_amount,
    messages.first_message_in_at,
    asked.last_interaction_date as last_interaction_at,
    asked.first_response_at,
    {{ wtschat.local_day('asked.first_response_at') }} as first_response_day,
    case when asked.first_response_at >= asked.asked_at then {{ wtschat.seconds('asked.asked_at', 'asked.first_response_at') }} end
      as first_response_seconds,
    case when asked.first_response_at >= asked.asked_at then cast(office.answered - office.asked as {{ dbt.type_bigint() }}) end
      as first_response_office_seconds,
    case when asked.status = 'COMPLETED' then {{ wtschat.seconds('asked.created_at', 'asked.end_at') }} end
      as resolution_seconds,
    case when asked.status = 'COMPLETED' then cast(office.ended - office.begun as {{ dbt.type_bigint() }}) end
      as resolution_office_seconds,
    asked.time_wait_seconds as wait_seconds,
    asked.time_service_seconds as service_seconds,
    coalesce(messages.messages_in, 0) as messages_in,
    coalesce(messages.messages_out, 0) as messages_out,
    coalesce(messages.messages_by_agents, 0) as messages_by_agents,
    coalesce(messages.messages_by_bot, 0) as messages_by_bot,
    coalesce(messages.messages_failed, 0) as messages_failed,
    coalesce(messages.messages_with_file, 0) as messages_with_file,
    coalesce(messages.agents_writing, 0) as agents_writing,
    coalesce(messages.messages_by_bot, 0) > 0 and coalesce(messages.messages_by_agents, 0) = 0 as only_bot_answered,
    coalesce(changes.reopenings_seen, 0) as reopenings_seen,
    coalesce(changes.reopenings_seen, 0) > 0 as is_reopened,
    coalesce(changes.department_changes_seen, 0) as department_changes_seen,
    coalesce(changes.agent_changes_seen, 0) as agent_changes_seen,
    coalesce(messages.agents_writing, 0) > 1
      or coalesce(changes.department_changes_seen, 0) > 0
      or coalesce(changes.agent_changes_seen, 0) > 0 as is_transferred,
    asked.unread_count,
    asked.loaded_at
  from asked
  left join messages on messages.session_id = asked.id
  left join begun on begun.session_id = asked.id
  left join changes on changes.session_id = asked.id
  left join dispatches on dispatches.session_id = asked.id
  left join office on office.id = asked.id
  left join agents on agents.user_id = asked.user_id and agents.account = asked.account
  left join {{ ref('stg_wtschat__channels') }} as channels on channels.id = asked.channel_id
  left join {{ ref('stg_wtschat__departments') }} as departments on departments.id = asked.department_id
)

select
  timed.*,
  first_response_seconds <= {{ var('wtschat_sla_seconds') }} as is_in_sla,
  first_response_office_seconds <= {{ var('wtschat_sla_seconds') }} as is_in_office_sla
from timed

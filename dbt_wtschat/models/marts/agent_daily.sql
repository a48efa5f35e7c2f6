with sessions as (
  select *
  from {{ ref('fct_sessions') }}
),

written as (
  select
    account,
    user_id,
    created_day as day,
    count(*) as messages_out,
    count(distinct session_id) as sessions_answered
  from {{ ref('fct_messages') }}
  where author = 'agent' and user_id is not null and not is_deleted
  group by account, user_id, created_day
),

-- Who gave the first response is who wrote the message of that instant.
first_responses as (
  select
    sessions.account,
    messages.user_id,
    sessions.first_response_day as day,
    count(*) as first_responses,
    cast(sum(sessions.first_response_seconds) as {{ dbt.type_bigint() }}) as first_response_seconds,
    {{ wtschat.count_if('sessions.is_in_office_sla') }} as first_responses_in_office_sla
  from sessions
  inner join {{ ref('fct_messages') }} as messages
    on messages.session_id = sessions.session_id
    and messages.created_at = sessions.first_response_at
    and messages.author = 'agent'
    and messages.user_id is not null
    and not messages.is_deleted
  where sessions.first_response_seconds is not null
  group by sessions.account, messages.user_id, sessions.first_response_day
),

concluded as (
  select
    account,
    user_id,
    ended_day as day,
    count(*) as sessions_concluded,
    cast(sum(service_seconds) as {{ dbt.type_bigint() }}) as service_seconds
  from sessions
  where status = 'COMPLETED' and user_id is not null and ended_day is not null
  group by account, user_id, ended_day
),

days as (
  select account, user_id, day from written
  {{ wtschat.union_distinct() }}
  select account, user_id, day from first_responses
  {{ wtschat.union_distinct() }}
  select account, user_id, day from concluded
),

agents as (
  select account, user_id, min(name) as name
  from {{ ref('stg_wtschat__agents') }}
  group by account, user_id
)

select
  days.account,
  days.day,
  days.user_id,
  agents.name as agent_name,
  coalesce(written.messages_out, 0) as messages_out,
  coalesce(written.sessions_answered, 0) as sessions_answered,
  coalesce(first_responses.first_responses, 0) as first_responses,
  first_responses.first_response_seconds,
  coalesce(first_responses.first_responses_in_office_sla, 0) as first_responses_in_office_sla,
  coalesce(concluded.sessions_concluded, 0) as sessions_concluded,
  concluded.service_seconds
from days
left join written on written.account = days.account and written.user_id = days.user_id and written.day = days.day
left join first_responses
  on first_responses.account = days.account
  and first_responses.user_id = days.user_id
  and first_responses.day = days.day
left join concluded on concluded.account = days.account and concluded.user_id = days.user_id and concluded.day = days.day
left join agents on agents.account = days.account and agents.user_id = days.user_id

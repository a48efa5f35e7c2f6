with sessions as (
  select fct.*, coalesce(fct.department_id, 'none') as department_key
  from {{ ref('fct_sessions') }} as fct
),

begun as (
  select
    account,
    department_key,
    created_day as day,
    count(*) as sessions_begun,
    {{ wtschat.count_if('is_transferred') }} as sessions_transferred,
    {{ wtschat.count_if('first_response_seconds is not null') }} as sessions_answered,
    cast(sum(first_response_seconds) as {{ dbt.type_bigint() }}) as first_response_seconds,
    {{ wtschat.median('first_response_seconds') }} as first_response_seconds_median,
    {{ wtschat.count_if('is_in_sla') }} as answered_in_sla,
    {{ wtschat.count_if('is_in_office_sla') }} as answered_in_office_sla,
    cast(sum(wait_seconds) as {{ dbt.type_bigint() }}) as wait_seconds
  from sessions
  group by account, department_key, created_day
),

concluded as (
  select
    account,
    department_key,
    ended_day as day,
    count(*) as sessions_concluded,
    cast(sum(resolution_seconds) as {{ dbt.type_bigint() }}) as resolution_seconds,
    cast(sum(service_seconds) as {{ dbt.type_bigint() }}) as service_seconds
  from sessions
  where status = 'COMPLETED' and ended_day is not null
  group by account, department_key, ended_day
),

days as (
  select account, department_key, day from begun
  {{ wtschat.union_distinct() }}
  select account, department_key, day from concluded
)

select
  days.account,
  days.day,
  days.department_key,
  departments.name as department_name,
  coalesce(begun.sessions_begun, 0) as sessions_begun,
  coalesce(begun.sessions_transferred, 0) as sessions_transferred,
  coalesce(begun.sessions_answered, 0) as sessions_answered,
  begun.first_response_seconds,
  begun.first_response_seconds_median,
  coalesce(begun.answered_in_sla, 0) as answered_in_sla,
  coalesce(begun.answered_in_office_sla, 0) as answered_in_office_sla,
  begun.wait_seconds,
  coalesce(concluded.sessions_concluded, 0) as sessions_concluded,
  concluded.resolution_seconds,
  concluded.service_seconds
from days
left join begun
  on begun.account = days.account and begun.department_key = days.department_key and begun.day = days.day
left join concluded
  on concluded.account = days.account and concluded.department_key = days.department_key and concluded.day = days.day
left join {{ ref('stg_wtschat__departments') }} as departments on departments.id = days.department_key

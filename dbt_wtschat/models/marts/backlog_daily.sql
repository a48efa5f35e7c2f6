-- How many sessions had begun and not ended for good at the end of each day: one that was taken up again counts as open
-- in between, too, since the API tells its last end only.
with moves as (
  select account, coalesce(department_id, 'none') as department_key, created_day as day, 1 as begun, 0 as ended
  from {{ ref('fct_sessions') }}
  union all
  select account, coalesce(department_id, 'none') as department_key, ended_day as day, 0 as begun, 1 as ended
  from {{ ref('fct_sessions') }}
  where ended_day is not null
),

-- What lies before the calendar counts on its first day.
placed as (
  select
    moves.account,
    moves.department_key,
    case when moves.day < calendar.first_day then calendar.first_day else moves.day end as day,
    moves.begun,
    moves.ended
  from moves
  cross join (select min(day) as first_day from {{ ref('calendar_days') }}) as calendar
),

daily as (
  select account, department_key, day, sum(begun) as begun, sum(ended) as ended
  from placed
  group by account, department_key, day
),

seen as (
  select account, department_key, min(day) as first_day
  from daily
  group by account, department_key
),

spine as (
  select seen.account, seen.department_key, days.day
  from seen
  inner join {{ ref('calendar_days') }} as days on days.day >= seen.first_day
),

counted as (
  select
    spine.account,
    spine.department_key,
    spine.day,
    cast(coalesce(daily.begun, 0) as {{ dbt.type_bigint() }}) as begun,
    cast(coalesce(daily.ended, 0) as {{ dbt.type_bigint() }}) as ended
  from spine
  left join daily
    on daily.account = spine.account and daily.department_key = spine.department_key and daily.day = spine.day
)

select
  counted.account,
  counted.day,
  counted.department_key,
  departments.name as department_name,
  counted.begun as sessions_begun,
  counted.ended as sessions_ended,
  cast(sum(counted.begun - counted.ended) over (
    partition by counted.account, counted.department_key order by counted.day rows unbounded preceding
  ) as {{ dbt.type_bigint() }}) as sessions_open
from counted
left join {{ ref('stg_wtschat__departments') }} as departments on departments.id = counted.department_key

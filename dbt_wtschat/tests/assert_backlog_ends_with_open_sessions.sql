-- What was open at the end of the last day is what is open now.
with last_day as (
  select max(day) as day from {{ ref('backlog_daily') }}
),

backlog as (
  select sum(backlog.sessions_open) as sessions_open
  from {{ ref('backlog_daily') }} as backlog
  inner join last_day on last_day.day = backlog.day
),

sessions as (
  select {{ wtschat.count_if('ended_at is null') }} as sessions_open from {{ ref('fct_sessions') }}
)

select backlog.sessions_open, sessions.sessions_open as expected
from backlog
cross join sessions
where backlog.sessions_open <> sessions.sessions_open

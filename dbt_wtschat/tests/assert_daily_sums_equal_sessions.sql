-- Days of departments and of the backlog add up to the sessions.
with sessions as (
  select count(*) as begun, {{ wtschat.count_if('ended_at is not null') }} as ended
  from {{ ref('fct_sessions') }}
),

departments as (
  select sum(sessions_begun) as begun from {{ ref('department_daily') }}
),

backlog as (
  select sum(sessions_begun) as begun, sum(sessions_ended) as ended
  from {{ ref('backlog_daily') }}
)

select sessions.begun, departments.begun as begun_by_departments, backlog.begun as begun_by_backlog
from sessions
cross join departments
cross join backlog
where sessions.begun > 0
  and (sessions.begun <> departments.begun or sessions.begun <> backlog.begun or sessions.ended <> backlog.ended)

-- Days of the account's zone, from the first session on.
with bounds as (
  select
    {{ wtschat.local_day('min(created_at)') }} as first_day,
    {{ wtschat.local_day(wtschat.as_of()) }} as last_day
  from {{ ref('stg_wtschat__sessions') }}
),

numbers as (
  {{ dbt.generate_series(var('wtschat_calendar_days')) }}
),

days as (
  select {{ wtschat.days_after('bounds.last_day', '1 - cast(numbers.generated_number as ' ~ dbt.type_int() ~ ')') }} as day
  from bounds
  cross join numbers
),

kept as (
  select days.day
  from days
  cross join bounds
  where days.day >= bounds.first_day
)

select
  day,
  {{ wtschat.weekday('day') }} as weekday,
  {{ wtschat.of_local('cast(day as ' ~ wtschat.type_instant() ~ ')') }} as begins_at,
  {{ wtschat.of_local('cast(' ~ wtschat.days_after('day', '1') ~ ' as ' ~ wtschat.type_instant() ~ ')') }} as ends_at
from kept

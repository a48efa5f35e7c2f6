-- When the office of each account was open, with the open seconds of all days before: so the open seconds between two
-- instants are a difference of two sums, and no session is joined with all days that it lasted.
with accounts as (
  select distinct account
  from {{ ref('stg_wtschat__sessions') }}
),

periods as (
{%- if var('wtschat_office_hours') %}
  {%- for period in var('wtschat_office_hours') %}
  select
    accounts.account,
    {{ period.weekday }} as weekday,
    {{ period.start_minute }} as start_minute,
    {{ period.end_minute }} as end_minute,
    {{ period.get('active', true) }} as active
  from accounts
  {{ 'union all' if not loop.last }}
  {%- endfor %}
{%- else %}
  select account, weekday, start_minute, end_minute, active
  from {{ ref('stg_wtschat__office_hours') }}
  where deleted_at is null and limit_hours
{%- endif %}
),

with_hours as (
  select distinct account
  from periods
),

slots as (
  select
    accounts.account,
    days.day,
    days.weekday,
    days.begins_at,
    days.ends_at,
    with_hours.account is not null as has_hours,
    periods.start_minute,
    periods.end_minute
  from accounts
  cross join {{ ref('calendar_days') }} as days
  left join with_hours on with_hours.account = accounts.account
  left join periods
    on periods.account = accounts.account
    and periods.weekday = days.weekday
    and periods.active
    and periods.start_minute < periods.end_minute
),

timed as (
  select
    account,
    day,
    weekday,
    has_hours,
    case
      when not has_hours then begins_at
      when start_minute is null then begins_at
      else {{ wtschat.of_local(wtschat.minutes_of_day('day', 'start_minute')) }}
    end as opens_at,
    case
      when not has_hours then ends_at
      when start_minute is null then begins_at
      else {{ wtschat.of_local(wtschat.minutes_of_day('day', 'end_minute')) }}
    end as closes_at
  from slots
),

measured as (
  select timed.*, {{ wtschat.seconds('opens_at', 'closes_at') }} as open_seconds
  from timed
)

select
  account,
  day,
  weekday,
  row_number() over (partition by account, day order by opens_at) as slot,
  has_hours,
  opens_at,
  closes_at,
  open_seconds,
  cast(sum(open_seconds) over (partition by account order by opens_at, closes_at rows unbounded preceding) - open_seconds
    as {{ dbt.type_bigint() }}) as open_seconds_before
from measured

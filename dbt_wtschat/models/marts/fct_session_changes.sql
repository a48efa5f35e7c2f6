-- What changed from one version that a load saw to the next. The API keeps no history: what changed twice between two
-- loads is seen once, and nothing from before the first load is.
with versions as (
  select
    id,
    account,
    updated_at,
    status,
    end_at,
    department_id,
    user_id,
    row_number() over (partition by id order by updated_at, read_at) as place,
    lag(status) over (partition by id order by updated_at, read_at) as status_before,
    lag(end_at) over (partition by id order by updated_at, read_at) as ended_before,
    lag(department_id) over (partition by id order by updated_at, read_at) as department_before,
    lag(user_id) over (partition by id order by updated_at, read_at) as agent_before
  from {{ ref('stg_wtschat__session_versions') }}
),

judged as (
  select
    id as session_id,
    account,
    place,
    updated_at as changed_at,
    status_before,
    status,
    department_before,
    department_id,
    agent_before,
    user_id,
    coalesce(ended_before is not null and (end_at is null or end_at > ended_before), false) as is_reopening,
    coalesce(department_before <> department_id, false) as is_department_change,
    coalesce(agent_before <> user_id, false) as is_agent_change,
    coalesce(status_before <> status, false) as is_status_change
  from versions
  where place > 1
)

select *
from judged
where is_reopening or is_department_change or is_agent_change or is_status_change

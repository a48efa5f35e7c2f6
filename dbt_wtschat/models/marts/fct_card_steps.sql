-- A row for each stay of a card in a step that loads have seen. The API keeps no history: a step that a card entered and
-- left between two loads is not there. The first stay begins with the card if the step is the panel's first one, else
-- with the version that was seen first.
with versions as (
  select id, account, panel_id, step_id, status, updated_at, created_at, read_at
  from {{ ref('stg_wtschat__card_versions') }}
  union all
  -- Where no history is kept there is the version of now.
  select cards.id, cards.account, cards.panel_id, cards.step_id, cards.status, cards.updated_at, cards.created_at, cards.read_at
  from {{ ref('stg_wtschat__cards') }} as cards
  left join {{ ref('stg_wtschat__card_versions') }} as versions
    on versions.id = cards.id and versions.updated_at = cards.updated_at
  where versions.id is null
),

marked as (
  select
    versions.*,
    case
      when step_id = lag(step_id) over (partition by id order by updated_at, read_at) then 0
      else 1
    end as begins
  from versions
),

numbered as (
  select marked.*, sum(begins) over (partition by id order by updated_at, read_at rows unbounded preceding) as stay
  from marked
),

stays as (
  select
    id,
    stay,
    min(account) as account,
    min(panel_id) as panel_id,
    min(step_id) as step_id,
    min(created_at) as created_at,
    min(updated_at) as seen_from,
    min(case when status <> 'OPEN' then updated_at end) as closed_at
  from numbered
  group by id, stay
),

entered as (
  select
    stays.*,
    steps.title as step_title,
    stays.stay > 1 or coalesce(steps.is_initial, false) as is_entry_known,
    case when stays.stay = 1 and steps.is_initial then stays.created_at else stays.seen_from end as entered_at
  from stays
  left join {{ ref('stg_wtschat__panels_steps') }} as steps on steps.id = stays.step_id
),

left_ as (
  select entered.*, lead(entered_at) over (partition by id order by stay) as left_at
  from entered
)

select
  left_.id as card_id,
  cast(left_.stay as {{ dbt.type_int() }}) as stay,
  left_.account,
  left_.panel_id,
  left_.step_id,
  left_.step_title,
  left_.entered_at,
  left_.is_entry_known,
  coalesce(left_.left_at, left_.closed_at, cards.deleted_at) as left_at,
  left_.left_at is null as is_last,
  {{ wtschat.seconds('left_.entered_at', 'coalesce(left_.left_at, left_.closed_at, cards.deleted_at, ' ~ wtschat.as_of() ~ ')') }}
    as seconds_in_step
from left_
inner join {{ ref('stg_wtschat__cards') }} as cards on cards.id = left_.id

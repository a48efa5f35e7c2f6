-- A card is in one step at a time.
with stays as (
  select card_id, left_at, lead(entered_at) over (partition by card_id order by stay) as next_entered_at
  from {{ ref('fct_card_steps') }}
)

select *
from stays
where next_entered_at is not null and (left_at is null or left_at <> next_entered_at)

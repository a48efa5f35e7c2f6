with stays as (
  select *
  from {{ ref('fct_card_steps') }}
),

counted as (
  select card_id, count(*) as steps_seen
  from stays
  group by card_id
),

contacts as (
  select card_id, count(*) as contacts, min(contact_id) as contact_id
  from {{ ref('stg_wtschat__cards_contacts') }}
  where deleted_at is null
  group by card_id
),

agents as (
  select account, user_id, min(name) as name
  from {{ ref('stg_wtschat__agents') }}
  group by account, user_id
)

select
  cards.id as card_id,
  cards.account,
  cards.panel_id,
  panels.title as panel_title,
  cards.step_id,
  steps.title as step_title,
  cards.status,
  cards.status = 'OPEN' as is_open,
  cards.created_at,
  {{ wtschat.local_day('cards.created_at') }} as created_day,
  cards.updated_at,
  cards.due_date as due_at,
  coalesce(cards.status = 'OPEN' and cards.due_date < {{ wtschat.as_of() }}, false) as is_overdue,
  cards.session_id,
  contacts.contact_id,
  coalesce(contacts.contacts, 0) as contacts,
  cards.responsible_user_id,
  agents.name as responsible_name,
  cards.monetary_amount,
  cards.lost_reason_id,
  reasons.description as lost_reason,
  stays.entered_at as entered_step_at,
  stays.is_entry_known,
  stays.seconds_in_step,
  counted.steps_seen
from {{ ref('stg_wtschat__cards') }} as cards
left join stays on stays.card_id = cards.id and stays.is_last
left join counted on counted.card_id = cards.id
left join contacts on contacts.card_id = cards.id
left join {{ ref('stg_wtschat__panels') }} as panels on panels.id = cards.panel_id
left join {{ ref('stg_wtschat__panels_steps') }} as steps on steps.id = cards.step_id
left join {{ ref('stg_wtschat__lost_reasons') }} as reasons on reasons.id = cards.lost_reason_id
left join agents on agents.user_id = cards.responsible_user_id and agents.account = cards.account
where cards.deleted_at is null

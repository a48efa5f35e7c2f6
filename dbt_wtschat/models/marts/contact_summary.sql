{%- set csat, conversion = var('wtschat_csat_field'), var('wtschat_conversion_tag') -%}
with sessions as (
  select
    contact_id,
    count(*) as sessions,
    {{ wtschat.count_if('is_open') }} as sessions_open,
    {{ wtschat.count_if('is_reopened') }} as sessions_reopened,
    min(created_at) as first_session_at,
    max(created_at) as last_session_at,
    max(last_interaction_at) as last_interaction_at,
    sum(messages_in) as messages_in,
    sum(messages_out) as messages_out,
    avg(first_response_seconds) as first_response_seconds_average
  from {{ ref('fct_sessions') }}
  where contact_id is not null
  group by contact_id
),

cards as (
  select
    links.contact_id,
    count(*) as cards,
    {{ wtschat.count_if("cards.status = 'WON'") }} as cards_won,
    sum(case when cards.status = 'WON' then cards.monetary_amount end) as amount_won
  from {{ ref('stg_wtschat__cards_contacts') }} as links
  inner join {{ ref('fct_cards') }} as cards on cards.card_id = links.card_id
  where links.deleted_at is null
  group by links.contact_id
),

campaigns as (
  select contact_id, count(*) as campaign_messages, {{ wtschat.count_if('is_replied') }} as campaign_replies
  from {{ ref('fct_campaign_messages') }}
  where is_sent and contact_id is not null
  group by contact_id
),

tags as (
  select
    links.contact_id,
    count(*) as tags,
    max(case when tags.name = {{ dbt.string_literal(conversion or '') }} then 1 else 0 end) as has_tag
  from {{ ref('stg_wtschat__contacts_tags') }} as links
  inner join {{ ref('stg_wtschat__tags') }} as tags on tags.id = links.tag_id
  where links.deleted_at is null
  group by links.contact_id
),

fields as (
  select contact_id, min(value) as csat
  from {{ ref('stg_wtschat__contacts_custom_fields') }}
  where deleted_at is null and key = {{ dbt.string_literal(csat or '') }}
  group by contact_id
)

select
  contacts.id as contact_id,
  contacts.account,
  contacts.status,
  contacts.origin,
  contacts.created_at,
  {{ wtschat.local_day('contacts.created_at') }} as created_day,
  contacts.utm_source,
  contacts.utm_campaign,
  coalesce(sessions.sessions, 0) as sessions,
  coalesce(sessions.sessions_open, 0) as sessions_open,
  coalesce(sessions.sessions_reopened, 0) as sessions_reopened,
  sessions.first_session_at,
  sessions.last_session_at,
  sessions.last_interaction_at,
  cast(coalesce(sessions.messages_in, 0) as {{ dbt.type_bigint() }}) as messages_in,
  cast(coalesce(sessions.messages_out, 0) as {{ dbt.type_bigint() }}) as messages_out,
  sessions.first_response_seconds_average,
  coalesce(cards.cards, 0) as cards,
  coalesce(cards.cards_won, 0) as cards_won,
  coalesce(cards.amount_won, 0) as amount_won,
  coalesce(campaigns.campaign_messages, 0) as campaign_messages,
  coalesce(campaigns.campaign_replies, 0) as campaign_replies,
  coalesce(tags.tags, 0) as tags,
  {{ 'fields.csat' if csat else 'cast(null as ' ~ dbt.type_string() ~ ')' }} as csat,
  {{ 'coalesce(tags.has_tag, 0) = 1' if conversion else 'cast(null as ' ~ dbt.type_boolean() ~ ')' }} as is_converted
from {{ ref('stg_wtschat__contacts') }} as contacts
left join sessions on sessions.contact_id = contacts.id
left join cards on cards.contact_id = contacts.id
left join campaigns on campaigns.contact_id = contacts.id
left join tags on tags.contact_id = contacts.id
left join fields on fields.contact_id = contacts.id
where contacts.deleted_at is null

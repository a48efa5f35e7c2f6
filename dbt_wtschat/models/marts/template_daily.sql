-- Every message of a template, whoever sent it: campaigns of the account's own among them.
with sent as (
  select *
  from {{ ref('fct_messages') }}
  where template_id is not null and not is_inbound and not is_deleted
)

select
  sent.account,
  sent.created_day as day,
  sent.template_id,
  min(templates.name) as template_name,
  min(coalesce(sent.template_category, templates.category_name)) as template_category,
  count(*) as sent,
  {{ wtschat.count_if('sent.is_delivered') }} as delivered,
  {{ wtschat.count_if('sent.is_read') }} as read,
  {{ wtschat.count_if('sent.is_failed') }} as failed,
  {{ wtschat.count_if('sent.replied_at is not null') }} as replied
from sent
left join {{ ref('stg_wtschat__templates') }} as templates on templates.id = sent.template_id
group by sent.account, sent.created_day, sent.template_id

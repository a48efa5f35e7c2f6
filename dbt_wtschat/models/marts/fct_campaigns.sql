select
  campaign,
  count(*) as planned,
  {{ wtschat.count_if("status = 'suppressed'") }} as suppressed,
  {{ wtschat.count_if("status = 'held_out'") }} as held_out,
  {{ wtschat.count_if("status in ('planned', 'claimed')") }} as waiting,
  {{ wtschat.count_if('is_sent') }} as sent,
  {{ wtschat.count_if("status = 'uncertain'") }} as uncertain,
  {{ wtschat.count_if('is_delivered') }} as delivered,
  {{ wtschat.count_if('is_read') }} as read,
  {{ wtschat.count_if('is_replied') }} as replied,
  {{ wtschat.count_if('is_failed') }} as failed,
  min(sent_at) as first_sent_at,
  max(sent_at) as last_sent_at
from {{ ref('fct_campaign_messages') }}
group by campaign

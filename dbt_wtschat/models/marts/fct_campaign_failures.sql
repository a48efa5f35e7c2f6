select
  campaign,
  failed_key,
  count(*) as failed
from {{ ref('fct_campaign_messages') }}
where is_failed
group by campaign, failed_key

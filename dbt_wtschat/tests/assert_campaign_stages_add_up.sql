-- Every row of a dispatch is in one state, and a later stage has no more rows than the one before.
select campaign
from {{ ref('fct_campaigns') }}
where planned < suppressed + held_out + waiting + uncertain + sent
  or read > delivered

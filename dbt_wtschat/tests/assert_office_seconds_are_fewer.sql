-- The office is not open for longer than time goes on; each end is cut to its second.
select session_id
from {{ ref('fct_sessions') }}
where first_response_office_seconds > first_response_seconds + 1
  or resolution_office_seconds > resolution_seconds + 1

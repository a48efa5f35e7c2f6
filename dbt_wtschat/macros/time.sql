{# Instants are kept without a zone, in UTC. #}
{% macro type_instant() -%}
  {{ return(adapter.dispatch('type_instant', 'wtschat')()) }}
{%- endmacro %}
{% macro default__type_instant() -%}timestamp{%- endmacro %}
{% macro bigquery__type_instant() -%}datetime{%- endmacro %}
{% macro snowflake__type_instant() -%}timestamp_ntz{%- endmacro %}

{# A landing column with an instant; `type` is what the database says of it, none if it was not asked. #}
{% macro in_utc(column, type=none) -%}
  {{ return(adapter.dispatch('in_utc', 'wtschat')(column, type)) }}
{%- endmacro %}
{% macro default__in_utc(column, type) -%}
  {%- if type is none or 'with time zone' in type or type == 'timestamptz' -%}
    timezone('UTC', {{ column }})
  {%- else -%}
    cast({{ column }} as timestamp)
  {%- endif -%}
{%- endmacro %}
{% macro duckdb__in_utc(column, type) -%}
  {%- if type is not none and 'with time zone' in type -%}
    timezone('UTC', {{ column }})
  {%- else -%}
    cast({{ column }} as timestamp)
  {%- endif -%}
{%- endmacro %}
{% macro bigquery__in_utc(column, type) -%}
  datetime({{ column }})
{%- endmacro %}
{% macro snowflake__in_utc(column, type) -%}
  cast(convert_timezone('UTC', {{ column }}) as timestamp_ntz)
{%- endmacro %}

{# The zone's clock at an instant. #}
{% macro local(instant) -%}
  {{ return(adapter.dispatch('local', 'wtschat')(instant, dbt.string_literal(var('wtschat_timezone')))) }}
{%- endmacro %}
{% macro default__local(instant, zone) -%}
  timezone({{ zone }}, timezone('UTC', {{ instant }}))
{%- endmacro %}
{% macro bigquery__local(instant, zone) -%}
  datetime(timestamp({{ instant }}, 'UTC'), {{ zone }})
{%- endmacro %}
{% macro snowflake__local(instant, zone) -%}
  convert_timezone('UTC', {{ zone }}, {{ instant }})
{%- endmacro %}

{# The instant at which the zone's clock shows something. #}
{% macro of_local(clock) -%}
  {{ return(adapter.dispatch('of_local', 'wtschat')(clock, dbt.string_literal(var('wtschat_timezone')))) }}
{%- endmacro %}
{% macro default__of_local(clock, zone) -%}
  timezone('UTC', timezone({{ zone }}, {{ clock }}))
{%- endmacro %}
{% macro bigquery__of_local(clock, zone) -%}
  datetime(timestamp({{ clock }}, {{ zone }}), 'UTC')
{%- endmacro %}
{% macro snowflake__of_local(clock, zone) -%}
  convert_timezone({{ zone }}, 'UTC', {{ clock }})
{%- endmacro %}

{% macro local_day(instant) -%}
  cast({{ wtschat.local(instant) }} as date)
{%- endmacro %}

{% macro local_hour(instant) -%}
  cast(extract(hour from {{ wtschat.local(instant) }}) as {{ dbt.type_int() }})
{%- endmacro %}

{# 1 for Monday up to 7 for Sunday. #}
{% macro weekday(day) -%}
  {{ return(adapter.dispatch('weekday', 'wtschat')(day)) }}
{%- endmacro %}
{% macro default__weekday(day) -%}
  cast(extract(isodow from {{ day }}) as {{ dbt.type_int() }})
{%- endmacro %}
{% macro bigquery__weekday(day) -%}
  mod(extract(dayofweek from {{ day }}) + 5, 7) + 1
{%- endmacro %}
{% macro snowflake__weekday(day) -%}
  dayofweekiso({{ day }})
{%- endmacro %}

{# The present, or what stands for it. #}
{% macro as_of() -%}
  {%- if var('wtschat_as_of') -%}
    cast({{ dbt.string_literal(var('wtschat_as_of')) }} as {{ wtschat.type_instant() }})
  {%- else -%}
    {{ adapter.dispatch('present', 'wtschat')() }}
  {%- endif -%}
{%- endmacro %}
{% macro default__present() -%}timezone('UTC', now()){%- endmacro %}
{% macro bigquery__present() -%}current_datetime('UTC'){%- endmacro %}
{% macro snowflake__present() -%}cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz){%- endmacro %}

{# Seconds between two instants, each cut to its second. #}
{% macro seconds(first, second) -%}
  cast({{ dbt.datediff(first, second, 'second') }} as {{ dbt.type_bigint() }})
{%- endmacro %}

{% macro days_after(day, number) -%}
  cast({{ dbt.dateadd('day', number, day) }} as date)
{%- endmacro %}

{% macro minutes_of_day(day, minutes) -%}
  cast({{ dbt.dateadd('minute', minutes, 'cast(' ~ day ~ ' as ' ~ wtschat.type_instant() ~ ')') }} as {{ wtschat.type_instant() }})
{%- endmacro %}

{% macro median(expression) -%}
  {{ return(adapter.dispatch('median', 'wtschat')(expression)) }}
{%- endmacro %}
{% macro default__median(expression) -%}
  percentile_cont(0.5) within group (order by {{ expression }})
{%- endmacro %}
{% macro bigquery__median(expression) -%}
  approx_quantiles({{ expression }}, 2)[offset(1)]
{%- endmacro %}

{# How many rows fulfil a condition. #}
{% macro count_if(condition) -%}
  cast(sum(case when {{ condition }} then 1 else 0 end) as {{ dbt.type_bigint() }})
{%- endmacro %}

{% macro union_distinct() -%}
  {{ return(adapter.dispatch('union_distinct', 'wtschat')()) }}
{%- endmacro %}
{% macro default__union_distinct() -%}union{%- endmacro %}
{% macro bigquery__union_distinct() -%}union distinct{%- endmacro %}

{# A landing table with the columns that this release knows, each with one type on every database. #}
{# What is not there (a table that nobody loads, a column of a newer release) comes out empty. #}
{% macro staged(table) -%}
  {%- set histories = {'session_versions': 'sessions_history', 'card_versions': 'cards_history'} -%}
  {%- set relation = source('wtschat', 'wtschat_' ~ histories.get(table, table)) -%}
  {%- set found = wtschat.columns_there(relation) -%}
  select
  {%- for name, kind in wtschat.landing_columns(table) %}
    {{ wtschat.landed(name, kind, found) }} as {{ 'deleted_at' if name == 'missing_since' else name }}
    {{- ',' if not loop.last }}
  {%- endfor %}
  {%- if found is none %}
  from (select 1 as nothing) as landing
  where 1 = 0
  {%- else %}
  from {{ relation }} as landing
  where {{ wtschat.wanted(table, found) }}
  {%- endif %}
{%- endmacro %}

{# Which rows: those of the one account, and of a dispatch not the row of the plan itself. #}
{% macro wanted(table, found) -%}
  {%- if table == 'campaign' -%}
    landing.seq > 0
  {%- elif var('wtschat_account') and 'account' in found -%}
    landing.account = {{ dbt.string_literal(var('wtschat_account')) }}
  {%- else -%}
    1 = 1
  {%- endif -%}
{%- endmacro %}

{# The columns of a table with their types; none if it is not there. #}
{% macro columns_there(relation) -%}
  {%- set found = {} -%}
  {%- if not execute or var('wtschat_assume_tables') -%}
    {{ return({'account': none, '*': none}) }}
  {%- endif -%}
  {%- set there = adapter.get_relation(relation.database, relation.schema, relation.identifier) -%}
  {%- if there is none -%}
    {{ return(none) }}
  {%- endif -%}
  {%- for column in adapter.get_columns_in_relation(there) -%}
    {%- do found.update({column.name | lower: column.dtype | lower}) -%}
  {%- endfor -%}
  {{ return(found) }}
{%- endmacro %}

{% macro landed(name, kind, found) -%}
  {%- set types = {
    'instant': wtschat.type_instant(), 'written': wtschat.type_instant(), 'integer': dbt.type_bigint(),
    'number': dbt.type_float(), 'money': dbt.type_numeric(), 'boolean': dbt.type_boolean()
  } -%}
  {%- set type = types.get(kind, dbt.type_string()) -%}
  {%- if found is none or not (name in found or '*' in found) -%}
    {{ "cast('unknown' as " ~ type ~ ")" if name == 'account' else 'cast(null as ' ~ type ~ ')' }}
  {%- elif name == 'account' -%}
    {# Rows of before there was this column do not say it; models join by it. #}
    coalesce(cast(landing.account as {{ type }}), 'unknown')
  {%- elif kind == 'instant' -%}
    {{ wtschat.in_utc('landing.' ~ name, found.get(name)) }}
  {%- elif kind == 'written' -%}
    cast(replace(replace(landing.{{ name }}, 'T', ' '), 'Z', '') as {{ type }})
  {%- else -%}
    cast(landing.{{ name }} as {{ type }})
  {%- endif -%}
{%- endmacro %}

{# Whether an incremental model adds to what is there; nobody looks when it only compiles, without a connection. #}
{% macro goes_on() -%}
  {%- if flags.WHICH == 'compile' and var('wtschat_assume_tables') -%}
    {{ return(false) }}
  {%- endif -%}
  {{ return(is_incremental()) }}
{%- endmacro %}

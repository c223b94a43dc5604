{#-
  What one pass over the event tables of the days to read says about properties, in two kinds of rows: how many rows
  had a value in a property (rule is null), and which messages break which rule of the plan. Both in one table, for an
  insert fills one, and no event table is read twice. A rule is named by property and kind: its number may be another
  one in the next run. The materialization reads the tables; these are the columns.
-#}
{{ config(materialized='event_table_reads', window='received_days') }}
-- depends_on: {{ ref('event_names_daily') }}, {{ ref('int_open_days') }}
-- depends_on: {{ source('inputs', 'input_run') }}, {{ source('inputs', 'input_sources') }}
-- depends_on: {{ source('inputs', 'input_received_days') }}, {{ source('inputs', 'input_property_rules') }}
-- depends_on: {{ source('inputs', 'input_segment_names') }}
select
    cast(null as varchar) as source,
    cast(null as date) as received_day,
    cast(null as varchar) as event_text,
    cast(null as varchar) as property,
    cast(null as varchar) as rule,
    cast(null as date) as day,
    cast(null as {{ type_timestamp() }}) as slot,
    cast(null as varchar) as message_id,
    cast(null as {{ key_type() }}) as message_key,
    cast(null as bigint) as filled,
    cast(null as bigint) as messages
where 1 = 0

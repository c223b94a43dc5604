{#-
  What one pass over the tables of events and of the other calls says, on the days to read, in four kinds of rows:
    filled             how many rows had a value in a property
    filled_by_version  the same by version, where versions differ
    shape              how many rows of an identify or group call had an id of this shape
    broken             which message breaks which rule of the plan, with the start of the value, masked unless the
                       contract shows values
  All in one table, for an insert fills one, and no table is read twice. A rule is named by property and kind: its
  number may be another one in the next run. The materialization reads the tables; these are the columns.
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
    cast(null as bigint) as messages,
    cast(null as varchar) as kind,
    cast(null as varchar) as shape,
    cast(null as varchar) as app_version,
    cast(null as varchar) as library_version,
    cast(null as varchar) as sample_value
where 1 = 0

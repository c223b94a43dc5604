{#-
  Which messages break which property rule, so that those which a destination lacks can be held against those which
  are malformed.
-#}
{{ config(materialized='view') }}
select
    source,
    received_day,
    cast(slot as date) as event_day,
    message_key,
    message_id,
    event_text as event,
    property,
    rule,
    slot,
    app_version,
    library_version,
    sample_value
from {{ ref('int_event_table_reads') }}
where kind = 'broken'

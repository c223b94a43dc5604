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
    slot
from {{ ref('int_event_table_reads') }}
where rule is not null

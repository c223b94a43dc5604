{#-
  The ids, as text, of keys that differ, looked up where they landed: by their position, and by the day of those that
  are not there. An engine that keeps no positions asks the day for all. One row per key.
-#}
{{ config(materialized='table') }}
with

at_positions as (
    {{ texts_at_positions(ref('int_id_places')) }}
),

-- A table that was made anew with the same rows has others in these positions.
found as (
    select {{ row_key('message_id') }} as message_key, message_id
    from at_positions
    where {{ row_key('message_id') }} in (select p.message_key from {{ ref('int_id_places') }} as p)
),

on_days as (
    {{ texts_on_days(ref('int_id_places'), found='found') }}
),

texts as (
    select message_key, message_id from {{ ref('int_id_places') }} where message_id is not null
    union all
    select message_key, message_id from found
    union all
    select {{ row_key('message_id') }} as message_key, message_id from on_days
)

select message_key, min(message_id) as message_id
from texts
group by 1

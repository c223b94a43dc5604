{#-
  The ids, as text, of keys that differ, looked up where they landed: by their position, and by the day of those that
  are not there. An engine that keeps no positions asks the day for all. One row per key.
-#}
{{ config(materialized='table') }}
with

at_positions as (
    {{ landed_texts(ref('int_id_places'), "landed_position in (
        select p.landed_position from " ~ ref('int_id_places') ~ " as p
        where p.message_id is null and p.landed_position is not null and p.kind = <kind> and p.name = <name>
    )") if keeps_positions() else 'select cast(null as varchar) as message_id where 1 = 0' }}
),

-- A table that was made anew with the same rows has others in these positions.
found as (
    select {{ row_key('message_id') }} as message_key, message_id
    from at_positions
    where {{ row_key('message_id') }} in (select p.message_key from {{ ref('int_id_places') }} as p)
),

on_days as (
    {{ landed_texts(ref('int_id_places'), row_key('message_id') ~ " in (
        select p.message_key from " ~ ref('int_id_places') ~ " as p
        where
            p.message_id is null and p.kind = <kind> and p.name = <name>
            and p.message_key not in (select f.message_key from found as f)
    )") }}
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

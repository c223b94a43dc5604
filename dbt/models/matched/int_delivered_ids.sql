{#-
  The ids, as text, of deliveries that differ. A delivery is kept by its key alone, for texts are most of what an
  export weighs; the few that have to be told are looked up where they landed.
-#}
{{ config(materialized='table') }}
with

differing as (
    select destination, message_key, min(delivered_day) as delivered_day
    from {{ ref('int_id_differences') }}
    where copies > 0
    group by 1, 2
),

landed as (
    {{ landed_ids(ref('int_id_differences')) }}
)

select
    landed.destination,
    {{ row_key('landed.message_id') }} as delivery_key,
    min(landed.message_id) as message_id
from landed
inner join differing
    on landed.destination = differing.destination and {{ row_key('landed.message_id') }} = differing.message_key
group by 1, 2

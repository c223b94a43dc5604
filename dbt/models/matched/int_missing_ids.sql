{#-
  The ids, as text, of messages that no delivery answers by its id. A message is kept by its key; the few that have to
  be told are looked up where they landed, on the days they were received.
-#}
{{ config(materialized='table') }}
with

landed as (
    {{ landed_message_ids(ref('int_id_differences'), ref('int_window_messages')) }}
),

keyed as (
    select {{ row_key('message_id') }} as message_key, message_id
    from landed
)

select message_key, min(message_id) as message_id
from keyed
group by 1

{#-
  Keys whose matches are asked again on days that are carried on: those of the rows that were added to them, those that
  an earlier run found to differ, and those that are recalled. Every other key of such a day is as it was. One row per
  key; none where the step matches all its days anew.
-#}
{{ config(materialized='table') }}
{%- set carried = carried_days() %}
{%- if not carried.days %}
select cast(null as {{ key_type() }}) as message_key
where 1 = 0
{%- else %}
{%- set stretches = carried_stretches(slot_stretches(ref('int_window_slots'))) %}
{%- if carried.with_new %}
select messages.message_key
from {{ ref('int_messages') }} as messages
inner join {{ source('inputs', 'run_received_days') }} as days
    on messages.source = days.source and messages.received_day = days.day
where
    messages.landed_position > days.after_position
    and {{ read_by_this_run('messages') }}
    and {{ on_window_days('messages.received_day', 'run_received_days') }}
    and {{ on_slots(stretches) }}
union
select deliveries.delivery_key as message_key
from {{ ref('int_deliveries') }} as deliveries
inner join {{ source('inputs', 'run_export_days') }} as days
    on deliveries.destination_key = {{ row_key('days.destination') }} and deliveries.day = days.day
where
    deliveries.delivery_key is not null and {{ on_carried_days('deliveries.day', carried) }}
    and deliveries.landed_position > days.after_position
    and {{ read_by_this_run('deliveries') }}
union
{%- endif %}
select message_key
from {{ earlier_day_matches() }}
where message_key is not null and {{ on_carried_days('day', carried) }}
union
select message_key
from {{ earlier_differences() }}
where message_key is not null and {{ on_carried_days('day', carried) }}
union
select message_key
from {{ source('inputs', 'input_recalled_keys') }}
{%- endif %}

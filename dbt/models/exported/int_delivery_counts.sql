{#-
  Deliveries counted by hour and name, whatever they match: the one reading of them for all that only counts. What lands
  for a day is counted when it is read, beside what was counted before; a day that is read again is counted anew.
  `without_id` of them have no message id.
-#}
{{ config(
    materialized='day_window',
    window='again_export_days'
) }}
select
    deliveries.day,
    days.destination,
    cast(extract(hour from deliveries.event_time) as integer) as hour,
    deliveries.event_name,
    cast(count(*) as bigint) as deliveries,
    cast(count(*) - count(deliveries.delivery_key) as bigint) as without_id
from {{ ref('int_deliveries') }} as deliveries
inner join {{ source('inputs', 'input_export_days') }} as days
    on deliveries.destination_key = {{ row_key('days.destination') }} and deliveries.day = days.day
where
    {{ on_window_days('deliveries.day', 'export_days') }}
    and {{ read_by_this_run('deliveries') }}
group by 1, 2, 3, 4

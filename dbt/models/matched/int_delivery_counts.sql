{#-
  The deliveries of the step's days counted by hour and name, whatever they match: the one reading of them for all that
  only counts. `without_id` of them have no message id.
-#}
{{ config(materialized='table') }}
select
    deliveries.day,
    deliveries.destination,
    cast(extract(hour from deliveries.event_time) as integer) as hour,
    deliveries.event_name,
    cast(count(*) as bigint) as deliveries,
    cast(count(*) - count(deliveries.delivery_key) as bigint) as without_id
from {{ ref('int_deliveries') }} as deliveries
inner join {{ source('inputs', 'input_step_days') }} as open_days
    on deliveries.destination = open_days.destination and deliveries.day = open_days.day
where {{ on_window_days('deliveries.day', 'step_days') }}
group by 1, 2, 3, 4

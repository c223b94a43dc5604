{#- When a destination says that it received, by the clock of its own export, whatever the rows match. -#}
{{ config(
    materialized='day_window',
    window='step_days'
) }}
select
    deliveries.day,
    deliveries.destination,
    deliveries.hour,
    cast(sum(deliveries.deliveries) as bigint) as deliveries
from {{ ref('int_delivery_counts') }} as deliveries
inner join {{ source('inputs', 'input_step_days') }} as open_days
    on deliveries.destination = open_days.destination and deliveries.day = open_days.day
where {{ on_window_days('deliveries.day', 'step_days') }}
group by 1, 2, 3

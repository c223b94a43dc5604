{#- The deliveries of this step with what their name means; a null event is a name that no contract gives. -#}
{{ config(materialized='view') }}
select
    deliveries.destination,
    window_days.bit_index,
    window_days.matching,
    deliveries.day,
    deliveries.event_name,
    deliveries.event_time,
    deliveries.user_id,
    deliveries.anonymous_id,
    deliveries.delivery_key,
    route_names.event
from {{ ref('int_deliveries') }} as deliveries
inner join {{ ref('int_window_days') }} as window_days
    on
        deliveries.destination = window_days.destination
        and deliveries.day = window_days.day
        and deliveries.event_time >= window_days.opens
        and deliveries.event_time < window_days.closes
left join {{ ref('int_route_names') }} as route_names
    on deliveries.destination = route_names.destination and deliveries.event_name = route_names.event_name
where {{ on_window_days('deliveries.day', 'step_days', before=1, after=1) }}

{#-
  The deliveries of the keys that int_matches kept, with what their name means, read once for all that looks at them:
  those of this step, and those up to `reach_days` away. Without these the outcome of a message would depend on which
  days happen to be open together.
-#}
{{ config(materialized='table') }}
{%- set reach = var('reach_days') | int + 1 %}
select
    destinations.destination,
    deliveries.day,
    deliveries.delivery_key,
    deliveries.landed_position,
    route_names.event,
    window_days.day is not null as in_step
from {{ ref('int_deliveries') }} as deliveries
inner join {{ source('inputs', 'input_destinations') }} as destinations
    on deliveries.destination_key = {{ row_key('destinations.destination') }}
left join {{ ref('int_route_names') }} as route_names
    on
        deliveries.destination_key = {{ row_key('route_names.destination') }}
        and deliveries.event_name = route_names.event_name
left join {{ ref('int_window_days') }} as window_days
    on deliveries.destination_key = {{ row_key('window_days.destination') }} and deliveries.day = window_days.day
where
    {{ on_window_days('deliveries.day', 'step_days', before=reach, after=reach) }}
    and destinations.matching = 'message_id'
    and deliveries.delivery_key in (
        select matches.message_key from {{ ref('int_matches') }} as matches where matches.message_key is not null
    )

{#-
  Deliveries outside of this step with the id of a message or delivery that differs in it. Without them the outcome of
  a message would depend on which days happen to be open together.
-#}
{{ config(materialized='table') }}
{%- set reach = var('reach_days') | int + 1 %}
select
    deliveries.destination,
    deliveries.day,
    deliveries.event_name,
    deliveries.delivery_key,
    route_names.event
from {{ ref('int_deliveries') }} as deliveries
inner join {{ source('inputs', 'input_destinations') }} as destinations
    on deliveries.destination = destinations.destination
left join {{ ref('int_route_names') }} as route_names
    on deliveries.destination = route_names.destination and deliveries.event_name = route_names.event_name
where
    {{ on_window_days('deliveries.day', 'step_days', before=reach, after=reach) }}
    and destinations.matching = 'message_id'
    and deliveries.delivery_key in (
        select singles.message_key from {{ ref('int_matches') }} as singles where singles.message_key is not null
    )
    and not exists (
        select 1
        from {{ ref('int_window_days') }} as window_days
        where window_days.destination = deliveries.destination and window_days.day = deliveries.day
    )

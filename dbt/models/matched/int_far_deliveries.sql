{#-
  Deliveries outside of this step with the id of a message or delivery that differs in it. Without them the outcome of
  a message would depend on which days happen to be open together.
-#}
{{ config(materialized='table') }}
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
    {{ on_window_days('deliveries.day', 'step_days', before=var('reach_days') + 1, after=var('reach_days') + 1) }}
    and destinations.matching = 'message_id'
    and deliveries.delivery_key in (
        select singles.message_key from {{ ref('int_matches') }} as singles where singles.message_key is not null
    )
    and not exists (
        select 1
        from {{ source('inputs', 'input_step_days') }} as step_days
        where step_days.destination = deliveries.destination and step_days.day = deliveries.day
    )

{#- The deliveries of the window with what their name means; a null event is a name that no contract gives. -#}
{{ config(materialized='view') }}
select
    deliveries.destination,
    destinations.bit_index,
    destinations.matching,
    deliveries.day,
    deliveries.event_name,
    deliveries.event_time,
    deliveries.user_id,
    deliveries.anonymous_id,
    deliveries.message_id,
    deliveries.delivery_key,
    route_names.event
from (
    select * from {{ ref('int_deliveries') }}
    where day in (select day from {{ ref('int_window_days') }})
    union all
    select * from {{ ref('int_far_deliveries') }}
) as deliveries
inner join {{ source('inputs', 'input_destinations') }} as destinations
    on deliveries.destination = destinations.destination
left join {{ ref('int_route_names') }} as route_names
    on deliveries.destination = route_names.destination and deliveries.event_name = route_names.event_name

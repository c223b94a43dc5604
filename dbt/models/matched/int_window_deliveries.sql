{#-
  The deliveries on the open days of this step with what their name means; a null event is a name that no contract
  gives. Where user and second decide, a quarter of an hour around the days as well: a tool may round over midnight.
-#}
{{ config(materialized='view') }}
with

step_days as (
    select
        destinations.destination,
        destinations.bit_index,
        destinations.matching,
        step_days.day
    from {{ source('inputs', 'input_step_days') }} as step_days
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on step_days.destination = destinations.destination
),

-- The days beside an open one that are not open themselves, with the stretch of them that is looked at.
edges as (
    select
        destination, bit_index, matching,
        {{ add_days('day', -1) }} as day,
        {{ add_seconds('cast(day as ' ~ type_timestamp() ~ ')', -900) }} as opens,
        cast(day as {{ type_timestamp() }}) as closes
    from step_days
    where matching = 'user_time'
    union all
    select
        destination, bit_index, matching,
        {{ add_days('day', 1) }} as day,
        cast({{ add_days('day', 1) }} as {{ type_timestamp() }}) as opens,
        {{ add_seconds('cast(' ~ add_days('day', 1) ~ ' as ' ~ type_timestamp() ~ ')', 900) }} as closes
    from step_days
    where matching = 'user_time'
),

deliveries as (
    select deliveries.*, step_days.bit_index, step_days.matching
    from {{ ref('int_deliveries') }} as deliveries
    inner join step_days
        on deliveries.destination = step_days.destination and deliveries.day = step_days.day
    where {{ on_window_days('deliveries.day', 'step_days') }}
    union all
    select deliveries.*, edges.bit_index, edges.matching
    from {{ ref('int_deliveries') }} as deliveries
    inner join edges
        on
            deliveries.destination = edges.destination
            and deliveries.day = edges.day
            and deliveries.event_time >= edges.opens
            and deliveries.event_time < edges.closes
    left join step_days
        on deliveries.destination = step_days.destination and deliveries.day = step_days.day
    where
        {{ on_window_days('deliveries.day', 'step_days', before=1, after=1) }}
        and step_days.day is null
)

select
    deliveries.destination,
    deliveries.bit_index,
    deliveries.matching,
    deliveries.day,
    deliveries.event_name,
    deliveries.event_time,
    deliveries.user_id,
    deliveries.anonymous_id,
    deliveries.delivery_key,
    route_names.event
from deliveries
left join {{ ref('int_route_names') }} as route_names
    on deliveries.destination = route_names.destination and deliveries.event_name = route_names.event_name

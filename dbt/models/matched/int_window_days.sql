{#-
  The days that this step looks at, with the stretch of each in the destination's own wall clock. Beside the days to
  match: a quarter of an hour where user and second decide, for a tool may round over midnight; and the whole day where
  ids are changed on the way (edge_days), for such an id is found in the step or not at all.
-#}
{{ config(materialized='table') }}
with

step_days as (
    select
        destinations.destination,
        destinations.bit_index,
        destinations.matching,
        destinations.clock,
        destinations.timezone,
        case when destinations.matching = 'user_time' then 900 else 86400 * coalesce(destinations.edge_days, 0) end
            as edge_seconds,
        step_days.day,
        carried.day is not null as carried,
        cast(step_days.day as {{ type_timestamp() }}) as opens,
        cast({{ add_days('step_days.day', 1) }} as {{ type_timestamp() }}) as closes
    from {{ source('inputs', 'input_step_days') }} as step_days
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on step_days.destination = destinations.destination
    left join {{ source('inputs', 'input_carried_days') }} as carried on step_days.day = carried.day
),

edges as (
    select
        destination, bit_index, matching, clock, timezone, carried,
        {{ add_days('day', -1) }} as day,
        {{ add_seconds('opens', '-edge_seconds') }} as opens,
        opens as closes
    from step_days
    where edge_seconds > 0
    union
    select
        destination, bit_index, matching, clock, timezone, carried,
        {{ add_days('day', 1) }} as day,
        closes as opens,
        {{ add_seconds('closes', 'edge_seconds') }} as closes
    from step_days
    where edge_seconds > 0
)

select destination, bit_index, matching, clock, timezone, carried, day, opens, closes
from step_days
union all
select
    edges.destination, edges.bit_index, edges.matching, edges.clock, edges.timezone, edges.carried,
    edges.day, edges.opens, edges.closes
from edges
left join step_days on edges.destination = step_days.destination and edges.day = step_days.day
where step_days.day is null

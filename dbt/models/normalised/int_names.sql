{#- Every name ever seen with the destinations it is routed to; small, and looked up by every message. -#}
{{ config(materialized='view') }}
with

names as (
    select distinct source, event_text
    from {{ ref('event_names_daily') }}
),

routed as (
    select names.source, names.event_text, destinations.bit_index
    from names
    inner join {{ source('inputs', 'input_routes') }} as routes
        on names.source = routes.source and names.event_text = routes.event
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on routes.destination = destinations.destination
    union
    select names.source, names.event_text, destinations.bit_index
    from names
    inner join {{ source('inputs', 'input_routes') }} as routes
        on names.source = routes.source and routes.event is null
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on routes.destination = destinations.destination
)

select
    names.source,
    names.event_text,
    coalesce({{ bits_any(bit('routed.bit_index')) }}, 0) as routed
from names
left join routed on names.source = routed.source and names.event_text = routed.event_text
group by names.source, names.event_text

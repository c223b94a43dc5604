{#-
  Every name that was ever read, with the destinations it is routed to and a number to be carried by in joins and groups;
  small, and looked up by every message.
-#}
{{ config(materialized='table') }}
with

names as (
    select distinct source, event_text
    from {{ ref('int_message_counts') }}
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
    row_number() over (order by names.source, names.event_text) as name_number,
    coalesce({{ bits_any(bit('routed.bit_index')) }}, 0) as routed
from names
left join routed on names.source = routed.source and names.event_text = routed.event_text
group by names.source, names.event_text

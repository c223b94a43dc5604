{#- What each name in a destination means there; where two Segment events share a name, the first one. -#}
{{ config(materialized='view') }}
with

named as (
    select distinct destination, coalesce(destination_name, event) as event_name, event
    from {{ source('inputs', 'input_routes') }}
    where event is not null
    union
    select distinct routes.destination, names.event_text as event_name, names.event_text as event
    from {{ source('inputs', 'input_routes') }} as routes
    inner join {{ ref('event_names_daily') }} as names on routes.source = names.source
    where routes.event is null
)

select destination, event_name, min(event) as event, count(*) as events
from named
group by 1, 2

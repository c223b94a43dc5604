{#- Every name that a destination holds, with its daily count and whether a contract gives it. -#}
{{ config(
    materialized='day_window',
    window='step_days'
) }}
with

named as (
    select destination, day, event_name, cast(sum(deliveries) as bigint) as deliveries
    from {{ ref('int_delivery_counts') }}
    where {{ on_window_days('day', 'step_days') }}
    group by 1, 2, 3
    union all
    select destination, day, event_name, messages as deliveries
    from {{ ref('int_export_counts') }}
    where {{ on_window_days('day', 'step_days') }}
)

select
    named.day,
    named.destination,
    named.event_name,
    named.deliveries,
    route_names.event is not null as routable,
    route_names.event
from named
inner join {{ source('inputs', 'input_step_days') }} as open_days
    on named.destination = open_days.destination and named.day = open_days.day
left join {{ ref('int_route_names') }} as route_names
    on named.destination = route_names.destination and named.event_name = route_names.event_name

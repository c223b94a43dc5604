{#-
  Deliveries outside the window that carry the id of a message or of a delivery in it. Without them the outcome of
  a message would depend on which days happen to be open together.
-#}
{{ config(materialized='table') }}
with

bounds as (
    select
        {{ add_days('min(day)', '-' ~ var('reach_days')) }} as first_day,
        {{ add_days('max(day)', var('reach_days')) }} as last_day
    from {{ ref('int_window_days') }}
),

by_id as (
    select deliveries.*
    from {{ ref('int_deliveries') }} as deliveries
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on deliveries.destination = destinations.destination
    cross join bounds
    where
        destinations.matching = 'message_id'
        and deliveries.delivery_key is not null
        and deliveries.day between bounds.first_day and bounds.last_day
),

inside as (
    select destination, delivery_key
    from by_id
    where day in (select day from {{ ref('int_window_days') }})
),

outside as (
    select *
    from by_id
    where day not in (select day from {{ ref('int_window_days') }})
)

select outside.*
from outside
where
    outside.delivery_key in (
        select message_key
        from {{ ref('int_messages') }}
        where
            event_day in (select day from {{ ref('int_window_days') }})
            or received_day in (select day from {{ ref('int_window_days') }})
    )
    or exists (
        select 1
        from inside
        where inside.destination = outside.destination and inside.delivery_key = outside.delivery_key
    )

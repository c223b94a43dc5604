{#- Messages outside the window that a delivery in it answers: an id does not care how far apart the days are. -#}
{{ config(materialized='table') }}
with

bounds as (
    select
        {{ add_days('min(day)', '-' ~ var('reach_days')) }} as first_day,
        {{ add_days('max(day)', var('reach_days')) }} as last_day
    from {{ ref('int_window_days') }}
)

select messages.message_key
from {{ ref('int_messages') }} as messages
cross join bounds
where
    messages.received_day between bounds.first_day and bounds.last_day
    and messages.received_day not in (select day from {{ ref('int_window_days') }})
    and messages.event_day not in (select day from {{ ref('int_window_days') }})
    and messages.message_key in (
        select deliveries.delivery_key
        from {{ ref('int_deliveries') }} as deliveries
        inner join {{ source('inputs', 'input_destinations') }} as destinations
            on deliveries.destination = destinations.destination
        where
            destinations.matching = 'message_id'
            and deliveries.delivery_key is not null
            and deliveries.day in (select day from {{ ref('int_window_days') }})
    )

{#-
  Days that rows which may be about to leave answer by message id: a delivery that goes leaves the message of another
  day without an answer. Built from what earlier runs read, before it is read again, and only when a day shrank: days
  that only grew lose nothing. Rows that are read again on both sides open their days by themselves, so each join has
  the rows to read on one side and those left alone, `reach_days` around, on the other.
-#}
{{ config(materialized='table') }}
with

destinations as (
    select destination, timezone, clock
    from {{ source('inputs', 'input_destinations') }}
    where matching = 'message_id'
),

bounds as (
    select
        {{ add_days('min(day)', '-' ~ var('reach_days')) }} as first_day,
        {{ add_days('max(day)', var('reach_days')) }} as last_day
    from (
        select day from {{ source('inputs', 'run_received_days') }}
        union all
        select day from {{ source('inputs', 'run_export_days') }}
    ) as days
),

read_messages as (
    select messages.message_key
    from {{ ref('int_messages') }} as messages
    inner join {{ source('inputs', 'run_received_days') }} as days
        on messages.source = days.source and messages.received_day = days.day
    where {{ on_window_days('messages.received_day', 'run_received_days') }}
),

other_messages as (
    select messages.*
    from {{ ref('int_messages') }} as messages
    cross join bounds
    left join {{ source('inputs', 'run_received_days') }} as days
        on messages.source = days.source and messages.received_day = days.day
    where
        days.day is null
        and messages.received_day between bounds.first_day and bounds.last_day
        and (
            {{ on_window_days('messages.received_day', 'run_received_days', var('reach_days'), var('reach_days')) }}
            or {{ on_window_days('messages.received_day', 'run_export_days', var('reach_days'), var('reach_days')) }}
        )
),

read_deliveries as (
    select destinations.destination, deliveries.delivery_key
    from {{ ref('int_deliveries') }} as deliveries
    inner join {{ source('inputs', 'run_export_days') }} as days
        on deliveries.destination_key = {{ row_key('days.destination') }} and deliveries.day = days.day
    inner join destinations on deliveries.destination_key = {{ row_key('destinations.destination') }}
    where deliveries.delivery_key is not null and {{ on_window_days('deliveries.day', 'run_export_days') }}
),

other_deliveries as (
    select destinations.destination, deliveries.day, deliveries.delivery_key
    from {{ ref('int_deliveries') }} as deliveries
    inner join destinations on deliveries.destination_key = {{ row_key('destinations.destination') }}
    cross join bounds
    left join {{ source('inputs', 'run_export_days') }} as days
        on deliveries.destination_key = {{ row_key('days.destination') }} and deliveries.day = days.day
    where
        days.day is null
        and deliveries.delivery_key is not null
        and deliveries.day between bounds.first_day and bounds.last_day
        and (
            {{ on_window_days('deliveries.day', 'run_received_days', var('reach_days'), var('reach_days')) }}
            or {{ on_window_days('deliveries.day', 'run_export_days', var('reach_days'), var('reach_days')) }}
        )
)

select other_deliveries.destination, other_deliveries.day
from other_deliveries
inner join read_messages on other_deliveries.delivery_key = read_messages.message_key
union
select other_deliveries.destination, other_deliveries.day
from other_deliveries
inner join read_deliveries
    on
        other_deliveries.destination = read_deliveries.destination
        and other_deliveries.delivery_key = read_deliveries.delivery_key
union
select
    read_deliveries.destination,
    cast({{ local_time(
        "case destinations.clock when 'received_at' then other_messages.received_at"
        ~ " when 'sent_at' then other_messages.sent_at"
        ~ " when 'original_timestamp' then other_messages.original_timestamp else other_messages.timestamp end",
        'destinations.timezone'
    ) }} as date) as day
from read_deliveries
inner join destinations on read_deliveries.destination = destinations.destination
inner join other_messages on read_deliveries.delivery_key = other_messages.message_key

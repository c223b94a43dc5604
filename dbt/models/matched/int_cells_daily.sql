{#- The books of each open day, zero rows present: absence is a row. -#}
{{ config(
    materialized='day_window',
    window='step_days'
) }}
with

open_days as (
    select
        open_days.destination,
        open_days.day,
        destinations.matching,
        run.as_of >= {{ complete_at('open_days.day', 'destinations') }} as mature
    from {{ source('inputs', 'input_step_days') }} as open_days
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on open_days.destination = destinations.destination
    cross join {{ source('inputs', 'input_run') }} as run
),

exported_days as (
    select distinct destination, day from {{ ref('int_delivery_counts') }}
    where {{ on_window_days('day', 'step_days') }}
    union
    select distinct destination, day from {{ ref('int_export_counts') }}
    where {{ on_window_days('day', 'step_days') }} and messages > 0
),

routed as (
    select distinct destination, event
    from {{ source('inputs', 'input_routes') }}
    where event is not null
),

facts as (
    select destination, day, event, outcome, matched_by, messages
    from {{ ref('int_outcomes') }}
    where outcome in ('delivered', 'missing', 'pending')
    union all
    select destination, day, event, 'delivered' as outcome, 'counts' as matched_by, delivered as messages
    from {{ ref('int_counted') }}
    union all
    select
        counted.destination, counted.day, counted.event,
        case when open_days.mature then 'missing' else 'pending' end as outcome,
        'counts' as matched_by,
        counted.expected - counted.delivered as messages
    from {{ ref('int_counted') }} as counted
    inner join open_days on counted.destination = open_days.destination and counted.day = open_days.day
    union all
    select destination, day, event, 'unexpected' as outcome, 'counts' as matched_by, unexpected as messages
    from {{ ref('int_counted') }}
    union all
    select destination, day, event, difference as outcome, cast(null as varchar) as matched_by, copies as messages
    from {{ ref('int_differences') }}
    where difference in ('duplicate', 'unexpected')
),

events as (
    select destination, event from routed
    union
    select distinct destination, event from facts where event is not null
),

summed as (
    select
        destination,
        day,
        event,
        sum(case when outcome = 'delivered' then messages else 0 end) as delivered,
        sum(case when outcome = 'missing' then messages else 0 end) as missing,
        sum(case when outcome = 'pending' then messages else 0 end) as pending,
        sum(case when outcome = 'duplicate' then messages else 0 end) as duplicates,
        sum(case when outcome = 'unexpected' then messages else 0 end) as unexpected,
        sum(
            case when outcome = 'delivered' and matched_by = 'message_id_variant' then messages else 0 end
        ) as by_variant
    from facts
    group by 1, 2, 3
),

grid as (
    select open_days.*, events.event
    from open_days
    inner join events on open_days.destination = events.destination
    left join routed on events.destination = routed.destination and events.event = routed.event
    left join summed
        on
            open_days.destination = summed.destination and open_days.day = summed.day and events.event = summed.event
    -- Names that only "all events" brings in get rows on the days they have something to say.
    where routed.event is not null or summed.event is not null
)

select
    cast(grid.day as date) as day,
    cast(grid.destination as varchar) as destination,
    cast(grid.event as varchar) as event,
    cast(coalesce(summed.delivered + summed.missing + summed.pending, 0) as bigint) as expected,
    cast(coalesce(summed.delivered, 0) as bigint) as delivered,
    cast(coalesce(summed.missing, 0) as bigint) as missing,
    cast(coalesce(summed.pending, 0) as bigint) as pending,
    cast(coalesce(summed.duplicates, 0) as bigint) as duplicates,
    cast(coalesce(summed.unexpected, 0) as bigint) as unexpected,
    cast(
        case
            when grid.matching = 'message_id' and coalesce(summed.by_variant, 0) * 2 > coalesce(summed.delivered, 0)
                then 'message_id_variant'
            else grid.matching
        end as varchar
    ) as matched_by,
    grid.mature,
    exported_days.destination is not null as exported
from grid
left join summed
    on grid.destination = summed.destination and grid.day = summed.day and grid.event = summed.event
left join exported_days on grid.destination = exported_days.destination and grid.day = exported_days.day

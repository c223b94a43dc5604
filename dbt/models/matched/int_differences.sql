{#- What differs, row by row, for the open days; matches are counted elsewhere and never kept. -#}
{{ config(
    materialized='day_window',
    window='step_days'
) }}
with

missing as (
    select
        destination, day, hour, source, event, message_key, message_id,
        'missing' as difference,
        cast(1 as bigint) as copies,
        app_version, library_version, user_shape
    from {{ ref('int_missing') }}
    where not pending
),

by_id as (
    -- A copy belongs to the day of its message, a delivery that answers nothing to the day it carries.
    select
        differences.destination,
        case
            when differences.wanted
                then cast({{ local_time('differences.slot', 'destinations.timezone') }} as date)
            else differences.delivered_day
        end as day,
        cast(null as integer) as hour,
        differences.source,
        coalesce(case when differences.wanted then differences.event end, differences.delivered_event) as event,
        differences.message_key,
        ids.message_id,
        differences.wanted,
        differences.copies,
        variants.delivery_key is not null as matched_by_variant
    from {{ ref('int_id_differences') }} as differences
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on differences.destination = destinations.destination
    left join {{ ref('int_variant_matches') }} as variants
        on differences.destination = variants.destination and differences.message_key = variants.delivery_key
    left join {{ ref('int_ids') }} as ids on differences.message_key = ids.message_key
    where differences.copies > 0
),

duplicates as (
    select
        destination, day, hour, source, event, message_key, message_id,
        'duplicate' as difference,
        cast(copies - 1 as bigint) as copies,
        cast(null as varchar) as app_version,
        cast(null as varchar) as library_version,
        cast(null as varchar) as user_shape
    from by_id
    where copies > 1
),

unexpected as (
    select
        destination, day, hour, source, event, message_key, message_id,
        'unexpected' as difference,
        cast(1 as bigint) as copies,
        cast(null as varchar) as app_version,
        cast(null as varchar) as library_version,
        cast(null as varchar) as user_shape
    from by_id
    where not wanted and not matched_by_variant
),

-- An id-grain export can hold rows whose message id is null: they answer nothing.
nameless as (
    select
        deliveries.destination, deliveries.day, cast(null as integer) as hour,
        cast(null as varchar) as source, route_names.event,
        cast(null as {{ key_type() }}) as message_key, cast(null as varchar) as message_id,
        'unexpected' as difference,
        cast(sum(deliveries.without_id) as bigint) as copies,
        cast(null as varchar) as app_version,
        cast(null as varchar) as library_version,
        cast(null as varchar) as user_shape
    from {{ ref('int_delivery_counts') }} as deliveries
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on deliveries.destination = destinations.destination and destinations.matching = 'message_id'
    inner join {{ ref('int_route_names') }} as route_names
        on deliveries.destination = route_names.destination and deliveries.event_name = route_names.event_name
    where
        {{ on_window_days('deliveries.day', 'step_days') }}
        and deliveries.without_id > 0
    group by 1, 2, 3, 4, 5
),

by_user as (
    select
        destination, day, cast(null as integer) as hour,
        cast(null as varchar) as source, event,
        cast(null as {{ key_type() }}) as message_key, cast(null as varchar) as message_id,
        outcome as difference,
        cast(count(*) as bigint) as copies,
        cast(null as varchar) as app_version,
        cast(null as varchar) as library_version,
        cast(null as varchar) as user_shape
    from {{ ref('int_user_matches') }}
    where outcome in ('duplicate', 'unexpected')
    group by 1, 2, 3, 4, 5, 6, 7, 8
),

united as (
    select * from missing
    union all
    select * from duplicates
    union all
    select * from unexpected
    union all
    select * from nameless
    union all
    select * from by_user
)

select united.*
from united
inner join {{ source('inputs', 'input_step_days') }} as open_days
    on united.destination = open_days.destination and united.day = open_days.day

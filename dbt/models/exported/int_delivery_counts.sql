{#-
  Deliveries counted by hour and name, whatever they match: the one reading of them for all that only counts. What lands
  for a day is counted when it is read, beside what was counted before; a day that is read again is counted anew.
  `without_id` of them have no message id. A name's text is that of its key as it was counted around these days before;
  exports are read for it only when a key is new (of 31.6 million: 1.1 s of processor, 2026-11-30).
-#}
{{ config(
    materialized='day_window',
    window='again_export_days'
) }}
with

counted as {{ kept_once() }} (
    select
        deliveries.day,
        days.destination,
        cast(extract(hour from deliveries.event_time) as integer) as hour,
        deliveries.name_key,
        cast(count(*) as bigint) as deliveries,
        cast(count(*) - count(deliveries.delivery_key) as bigint) as without_id
    from {{ ref('int_deliveries') }} as deliveries
    inner join {{ source('inputs', 'input_export_days') }} as days
        on deliveries.destination_key = {{ row_key('days.destination') }} and deliveries.day = days.day
    where
        {{ on_window_days('deliveries.day', 'export_days') }}
        and {{ read_by_this_run('deliveries') }}
    group by 1, 2, 3, 4
),

known as {{ kept_once() }} (
    select distinct {{ row_key('earlier.event_name') }} as name_key, earlier.event_name
    from {{ earlier_delivery_counts() }} as earlier
    where
        earlier.event_name is not null
        and {{ on_window_days('earlier.day', 'export_days', before=7, after=7) }}
),

unknown as (
    select name_key from counted
    where name_key not in (select k.name_key from known as k)
),

landed as (
    select {{ row_key('staged.event_name') }} as name_key, staged.event_name
    from (
        {{ staged_rows('destination', 'event_time', 'event') }}
    ) as staged
    where {{ row_key('staged.event_name') }} in (select u.name_key from unknown as u)
),

names as (
    select name_key, min(event_name) as event_name
    from (
        select name_key, event_name from known
        union all
        select name_key, event_name from landed
    ) as texts
    group by 1
)

select
    counted.day,
    counted.destination,
    counted.hour,
    names.event_name,
    counted.deliveries,
    counted.without_id
from counted
left join names on counted.name_key = names.name_key

{#-
  The quarters of an hour, in UTC, that belong to an open day of this step, by the clock that its destination goes by.
  A day has its neighbours' edges where user and second decide: there a message may be a second over midnight.
-#}
{{ config(materialized='table') }}
with

zones as (
    select
        destinations.clock,
        destinations.timezone,
        step_days.day,
        max(case when destinations.matching = 'user_time' then 1 else 0 end) as edges
    from {{ source('inputs', 'input_step_days') }} as step_days
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on step_days.destination = destinations.destination
    group by 1, 2, 3
),

utc_days as (
    select {{ add_days('day', -1) }} as day from zones
    union
    select day from zones
    union
    select {{ add_days('day', 1) }} as day from zones
),

slots as (
    select {{ add_seconds('cast(utc_days.day as ' ~ type_timestamp() ~ ')', '900 * quarters.quarter') }} as slot
    from utc_days
    cross join (
        {%- for quarter in range(96) %}
        select {{ quarter }} as quarter{{ ' union all' if not loop.last }}
        {%- endfor %}
    ) as quarters
),

-- A zone's wall clock is looked up once a slot and zone.
local_slots as (
    select
        clocks.clock,
        clocks.timezone,
        slots.slot,
        cast({{ local_time('slots.slot', 'clocks.timezone') }} as date) as day,
        cast({{ local_time(add_seconds('slots.slot', 900), 'clocks.timezone') }} as date) as day_after,
        cast({{ local_time(add_seconds('slots.slot', -900), 'clocks.timezone') }} as date) as day_before
    from slots
    cross join (select distinct clock, timezone from zones) as clocks
)

select distinct local_slots.clock, local_slots.slot
from local_slots
inner join zones
    on
        local_slots.clock = zones.clock
        and local_slots.timezone = zones.timezone
        and (
            zones.day = local_slots.day
            or (zones.edges = 1 and zones.day in (local_slots.day_after, local_slots.day_before))
        )

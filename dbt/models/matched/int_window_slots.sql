{#-
  The quarters of an hour, in UTC, of the days that this step looks at, by the clock that destinations go by, with a
  bit for each destination that looks at it: where it is a day ahead, a quarter belongs to some of them only.
-#}
{{ config(materialized='table') }}
with

window_days as (
    select * from {{ ref('int_window_days') }}
),

utc_days as (
    select {{ add_days('day', -1) }} as day from window_days
    union
    select day from window_days
    union
    select {{ add_days('day', 1) }} as day from window_days
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
        zones.timezone,
        slots.slot,
        {{ local_time('slots.slot', 'zones.timezone') }} as local_slot
    from slots
    cross join (select distinct timezone from window_days) as zones
)

select
    window_days.clock,
    local_slots.slot,
    {{ bits_any(bit('window_days.bit_index')) }} as bits,
    -- Of those, the destinations of which the quarter's day is matched anew.
    coalesce({{ bits_any('case when not window_days.carried then ' ~ bit('window_days.bit_index') ~ ' end') }}, 0)
        as anew_bits
from local_slots
inner join window_days
    on
        local_slots.timezone = window_days.timezone
        and cast(local_slots.local_slot as date) = window_days.day
        and local_slots.local_slot >= window_days.opens
        and local_slots.local_slot < window_days.closes
group by 1, 2

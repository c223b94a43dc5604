{#-
  The matches of each day as its last step left them, so that a day to which few rows are added is carried on from here:
  counted where every destination has what it is to have, and a row a key where one has not (message_key not null). What
  nobody asked on a day that is carried on stays counted, though its copy was found: the copy's own row has it asked.
  A quarter of an hour that is another day for some destinations stands on each of its days. Kept for `carried_days`.
-#}
{{ config(
    materialized='day_window',
    window='matched_days'
) }}
{%- set columns = match_columns() %}
{%- set carried = carried_days() %}
with

destinations as (
    select destination, clock, timezone from {{ source('inputs', 'input_destinations') }}
),

-- Of an older day nothing is kept, and Python does not note that it were.
step_days as (
    select step_days.destination, step_days.day
    from {{ source('inputs', 'input_step_days') }} as step_days
    cross join {{ source('inputs', 'input_run') }} as run
    where step_days.day >= {{ add_days('cast(run.as_of as date)', '-' ~ var('carried_days')) }}
),

matches as (
    select * from {{ ref('int_matches') }}
    where source is not null
),

slots as (
    {%- for clock in ['timestamp', 'received_at', 'sent_at', 'original_timestamp'] %}
    select distinct '{{ clock }}' as clock, slot_{{ clock }} as slot
    from matches
    where slot_{{ clock }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

slot_days as (
    select distinct slots.clock, slots.slot, step_days.day
    from slots
    inner join destinations on slots.clock = destinations.clock
    inner join step_days
        on
            destinations.destination = step_days.destination
            and step_days.day = cast({{ local_time('slots.slot', 'destinations.timezone') }} as date)
),

placed as (
    {%- for clock in clocks_in_use() %}
    select
        slot_days.day,
        matches.only_day,
        matches.anew_only,
        matches.message_key,
        {%- for column in columns %}
        matches.{{ column }},
        {%- endfor %}
        matches.messages
    from matches
    inner join slot_days on slot_days.clock = '{{ clock }}' and matches.slot_{{ clock }} = slot_days.slot
    where
        (matches.only_day is null or matches.only_day = slot_days.day)
        and not (matches.anew_only and {{ on_carried_days('slot_days.day', carried) }})
    {{ 'union' if not loop.last }}
    {%- endfor %}
)

-- With the table before each name: Snowflake takes a bare one in `having` for the sum that has it too.
select
    placed.day,
    placed.message_key,
    {%- for column in columns %}
    placed.{{ column }},
    {%- endfor %}
    cast(sum(placed.messages) as bigint) as messages
from placed
group by placed.day, placed.message_key, placed.{{ columns | join(', placed.') }}
having sum(placed.messages) <> 0
union all
-- The key of a delivery stands on the delivery's day too: its message may be of another day, or nobody sent it.
select distinct
    deliveries.day,
    deliveries.delivery_key as message_key,
    {%- for column in columns %}
    {{ null_match_column(column) }} as {{ column }},
    {%- endfor %}
    cast(0 as bigint) as messages
from {{ ref('int_kept_deliveries') }} as deliveries
inner join step_days
    on deliveries.destination = step_days.destination and deliveries.day = step_days.day
where deliveries.in_step

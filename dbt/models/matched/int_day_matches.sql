{#-
  The matches of each day as its last step left them, so that a day to which few rows are added is carried on from here:
  counted where every destination has what it is to have, and a row a key where one has not (message_key not null). What
  nobody asked on a day that is carried on stays counted, though its copy was found: the copy's own row has it asked.
  A message that is only lost is counted as well, once nothing is pending and its loss is told with its id: the row of
  int_differences is all there is to know of it. A quarter of an hour that is another day for some destinations stands on
  each of its days. Kept for `carried_days`.
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
),

settled as (
    select missing.message_key
    from {{ ref('int_missing') }} as missing
    inner join {{ source('inputs', 'input_destinations') }} as by_id
        on missing.destination = by_id.destination and by_id.matching = 'message_id'
    where
        missing.message_key not in (
            select d.message_key from {{ ref('int_id_differences') }} as d where not d.wanted or d.copies > 0
        )
        and missing.message_key not in (select v.message_key from {{ ref('int_variant_matches') }} as v)
    group by missing.message_key
    having max(case when missing.pending or missing.message_id is null then 1 else 0 end) = 0
),

kept as (
    select
        placed.day,
        case when placed.message_key not in (select s.message_key from settled as s) then placed.message_key end
            as message_key,
        {%- for column in columns %}
        placed.{{ column }},
        {%- endfor %}
        placed.messages
    from placed
)

-- With the table before each name: Snowflake takes a bare one in `having` for the sum that has it too.
select
    kept.day,
    kept.message_key,
    {%- for column in columns %}
    kept.{{ column }},
    {%- endfor %}
    cast(sum(kept.messages) as bigint) as messages
from kept
group by kept.day, kept.message_key, kept.{{ columns | join(', kept.') }}
having sum(kept.messages) <> 0
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
where deliveries.in_step and deliveries.delivery_key not in (select s.message_key from settled as s)

{#- The broken rows of the days to read, counted. -#}
{{ config(window='received_days') }}
with

slots as (
    select
        broken.source,
        broken.received_day,
        broken.slot,
        broken.event,
        broken.property,
        broken.rule,
        count(*) as messages,
        min(broken.message_id) as sample_message_id
    from {{ ref('int_broken_rows') }} as broken
    inner join {{ source('inputs', 'input_received_days') }} as days
        on broken.source = days.source and broken.received_day = days.day
    group by 1, 2, 3, 4, 5, 6
)

select
    slots.source,
    slots.received_day,
    cast({{ local_time('slots.slot', 'run.workspace_timezone') }} as date) as day,
    slots.event,
    slots.property,
    slots.rule,
    cast(sum(slots.messages) as bigint) as messages,
    min(slots.sample_message_id) as sample_message_id
from slots
cross join {{ source('inputs', 'input_run') }} as run
group by 1, 2, 3, 4, 5, 6

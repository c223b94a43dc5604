{#- One pass over each event table's days to read, whatever the number of rules. -#}
{{ config(window='received_days') }}
with

broken as (
    {{ broken_property_rules() }}
)

select
    broken.source,
    broken.received_day,
    cast({{ local_time('broken.slot', 'run.workspace_timezone') }} as date) as day,
    rules.event,
    rules.property,
    rules.rule,
    cast(count(distinct broken.message_id) as bigint) as messages,
    min(broken.message_id) as sample_message_id
from broken
inner join {{ source('inputs', 'input_property_rules') }} as rules
    on
        broken.source = rules.source
        and broken.rule_index = rules.rule_index
        and broken.event_text = rules.event
cross join {{ source('inputs', 'input_run') }} as run
group by 1, 2, 3, 4, 5, 6

{#-
  Which messages break which property rule, so that those which a destination lacks can be held against those which
  are malformed. One pass over each event table's days to read, whatever the number of rules. A rule is named by
  property and kind: its number may be another one in the next run.
-#}
{{ config(window='received_days') }}
with

broken as (
    {{ broken_property_rules() }}
)

select
    broken.source,
    broken.received_day,
    cast(min(broken.slot) as date) as event_day,
    {{ row_key('broken.message_id') }} as message_key,
    broken.message_id,
    rules.event,
    rules.property,
    rules.rule,
    min(broken.slot) as slot
from broken
inner join {{ source('inputs', 'input_property_rules') }} as rules
    on
        broken.source = rules.source
        and broken.rule_index = rules.rule_index
        and broken.event_text = rules.event
where broken.message_id is not null
group by broken.source, broken.received_day, broken.message_id, rules.event, rules.property, rules.rule

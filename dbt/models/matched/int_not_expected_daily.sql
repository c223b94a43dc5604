{#- What is not expected, and why: the first lines of the gap between two tools. -#}
{{ config(
    materialized='day_window',
    window='step_days'
) }}
select
    outcomes.day,
    outcomes.destination,
    outcomes.source,
    outcomes.event,
    outcomes.outcome as reason,
    cast(sum(outcomes.messages) as bigint) as messages
from {{ ref('int_outcomes') }} as outcomes
inner join {{ source('inputs', 'input_step_days') }} as open_days
    on outcomes.destination = open_days.destination and outcomes.day = open_days.day
where
    outcomes.outcome in ('not_routed', 'no_identifier', 'bad_identifier', 'consent')
group by 1, 2, 3, 4, 5

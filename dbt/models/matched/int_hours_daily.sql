{#-
  The shape of a day: how much was expected and delivered in each local hour. Where counts decide nobody knows the
  hour of a delivery, and only what was expected is told.
-#}
{{ config(
    materialized='day_window',
    window='step_days'
) }}
select
    outcomes.day,
    outcomes.destination,
    outcomes.hour,
    cast(sum(outcomes.messages) as bigint) as expected,
    cast(sum(case when outcomes.outcome = 'delivered' then outcomes.messages else 0 end) as bigint) as delivered
from {{ ref('int_outcomes') }} as outcomes
inner join {{ source('inputs', 'input_step_days') }} as open_days
    on outcomes.destination = open_days.destination and outcomes.day = open_days.day
where outcomes.outcome in ('delivered', 'missing', 'pending', 'expected')
group by 1, 2, 3

{#- The numbers that marketing reads: days whose stored verdict is open, and no others. -#}
select
    cast(daily.day as date) as day,
    cast(daily.destination as varchar) as destination,
    cast(daily.event as varchar) as event,
    cast(daily.expected as bigint) as sent,
    cast(daily.delivered as bigint) as delivered,
    cast(daily.status as varchar) as status
from {{ ref('reconciliation_daily') }} as daily
inner join {{ source('inputs', 'gate_current') }} as gate
    on daily.destination = gate.destination and daily.day = gate.day
where gate.verdict = 'open'

-- Marketing reads no number of a window that is held or was never judged.
select
    counts.day,
    counts.destination,
    counts.event
from {{ ref('event_counts_daily') }} as counts
left join {{ source('inputs', 'gate_current') }} as gate
    on counts.day = gate.day and counts.destination = gate.destination and gate.verdict = 'open'
where gate.day is null

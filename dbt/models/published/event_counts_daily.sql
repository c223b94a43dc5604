{#-
  The numbers that marketing reads: days whose stored verdict is open, and no others; without the messages that the
  contract keeps in quarantine. Of a destination that exports counts alone, those are taken to have been delivered.
-#}
with

left_out as (
    select
        day, destination, event,
        sum(messages) as messages, sum(missing) as missing, sum(undecided) as undecided
    from {{ ref('int_quarantined_daily') }}
    group by 1, 2, 3
),

open_cells as (
    select
        daily.day,
        daily.destination,
        daily.event,
        daily.expected,
        daily.delivered,
        daily.status,
        coalesce(left_out.messages, 0) as quarantined,
        case
            when left_out.day is null then 0
            when daily.matched_by = 'counts' then least(left_out.messages, daily.delivered)
            -- What is pending in the books is not delivered; which of the undecided ones that is, a later run knows.
            else left_out.messages - left_out.missing - least(left_out.undecided, daily.pending)
        end as quarantined_delivered
    from {{ ref('reconciliation_daily') }} as daily
    inner join {{ source('inputs', 'gate_current') }} as gate
        on daily.destination = gate.destination and daily.day = gate.day
    left join left_out
        on daily.destination = left_out.destination and daily.day = left_out.day and daily.event = left_out.event
    where gate.verdict = 'open'
)

select
    cast(day as date) as day,
    cast(destination as varchar) as destination,
    cast(event as varchar) as event,
    cast(expected - quarantined as bigint) as sent,
    cast(delivered - quarantined_delivered as bigint) as delivered,
    cast(quarantined as bigint) as quarantined,
    cast(quarantined_delivered as bigint) as quarantined_delivered,
    cast(status as varchar) as status
from open_cells

-- What is counted and what is left out are together what the books hold, in every published cell, rule by rule.
with

sides as (
    select
        day, destination, event,
        sent + quarantined as sent, delivered + quarantined_delivered as delivered, quarantined as left_out,
        cast(0 as bigint) as books_sent, cast(0 as bigint) as books_delivered, cast(0 as bigint) as told,
        case when least(sent, delivered, quarantined, quarantined_delivered) < 0 then 1 else 0 end as impossible
    from {{ ref('event_counts_daily') }}
    union all
    select
        daily.day, daily.destination, daily.event, 0 as sent, 0 as delivered, 0 as left_out,
        daily.expected as books_sent, daily.delivered as books_delivered, 0 as told, 0 as impossible
    from {{ ref('reconciliation_daily') }} as daily
    inner join {{ source('inputs', 'gate_current') }} as gate
        on daily.day = gate.day and daily.destination = gate.destination and gate.verdict = 'open'
    union all
    select
        day, destination, event, 0 as sent, 0 as delivered, 0 as left_out,
        0 as books_sent, 0 as books_delivered, messages as told, 0 as impossible
    from {{ ref('quarantined_daily') }}
)

select day, destination, event
from sides
group by 1, 2, 3
having
    sum(sent) <> sum(books_sent)
    or sum(delivered) <> sum(books_delivered)
    or sum(left_out) <> sum(told)
    or max(impossible) = 1

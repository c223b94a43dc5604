-- The table that people read balances as well, and says what the books say.
select
    daily.day,
    daily.destination,
    daily.event,
    daily.expected,
    daily.delivered,
    daily.missing,
    daily.pending
from {{ ref('reconciliation_daily') }} as daily
left join {{ ref('int_cells_daily') }} as cells
    on daily.day = cells.day and daily.destination = cells.destination and daily.event = cells.event
where
    daily.expected <> daily.delivered + daily.missing + daily.pending
    or least(daily.expected, daily.delivered, daily.missing, daily.pending, daily.duplicates, daily.unexpected) < 0
    or cells.day is null
    or daily.expected <> cells.expected
    or daily.delivered <> cells.delivered

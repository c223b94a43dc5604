-- The books of a day balance: every expected message is delivered, missing or pending, and nothing is negative.
select
    day,
    destination,
    event,
    expected,
    delivered,
    missing,
    pending
from {{ ref('int_cells_daily') }}
where
    expected <> delivered + missing + pending
    or least(expected, delivered, missing, pending, duplicates, unexpected) < 0

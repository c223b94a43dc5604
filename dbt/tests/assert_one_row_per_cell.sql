-- A cell of the books is one row, in the books and in the table that people read.
select
    'int_cells_daily' as model,
    day,
    destination,
    event,
    count(*) as copies
from {{ ref('int_cells_daily') }}
group by 1, 2, 3, 4
having count(*) > 1
union all
select
    'reconciliation_daily' as model,
    day,
    destination,
    event,
    count(*) as copies
from {{ ref('reconciliation_daily') }}
group by 1, 2, 3, 4
having count(*) > 1

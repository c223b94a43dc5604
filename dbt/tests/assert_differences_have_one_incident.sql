-- Each difference is told once, and at most one incident explains it.
select
    destination,
    day,
    source,
    event,
    message_id,
    difference,
    count(*) as copies,
    count(distinct incident_id) as incidents
from {{ ref('message_differences') }}
group by 1, 2, 3, 4, 5, 6
having count(*) > 1

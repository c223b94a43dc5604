{#-
  People who are first seen as a user on track calls, and how many of them no identify call has joined to their anonymous
  id by the day after: for tools that go by identify they stay two people. An eighth of all.
-#}
{{ config(materialized='view') }}
select
    source,
    first_track as day,
    cast(count(*) as bigint) as people,
    cast(
        sum(case when first_identify <= {{ add_days('first_track', 1) }} then 0 else 1 end) as bigint
    ) as unjoined
from (
    select
        source,
        link_key,
        min(case when on_track then received_day end) as first_track,
        min(case when on_identify then received_day end) as first_identify
    from {{ ref('int_person_links') }}
    group by 1, 2
) as links
where first_track is not null
group by 1, 2

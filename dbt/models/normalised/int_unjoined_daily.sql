{#-
  People who are first seen as a user on track calls, and how many of them no identify call has joined to their anonymous
  id by the day after: for tools that go by identify they stay two people. An eighth of all.
  It looks back 150 days, so that it costs the same in the third year. Of a longer history the first 30 of them only tell
  who is known: there everybody would be new.
-#}
{{ config(materialized='view') }}
with

edges as (
    select
        {{ add_days('cast(as_of as date)', -150) }} as opens,
        {{ add_days('cast(as_of as date)', -120) }} as told_from
    from {{ source('inputs', 'input_run') }}
),

beginning as (
    select min(received_day) as first_day
    from {{ ref('int_person_links') }}
),

links as (
    select
        source,
        link_key,
        min(case when on_track then received_day end) as first_track,
        min(case when on_identify then received_day end) as first_identify
    from {{ ref('int_person_links') }}
    where received_day >= (select e.opens from edges as e)
    group by 1, 2
)

select
    links.source,
    links.first_track as day,
    cast(count(*) as bigint) as people,
    cast(
        sum(case when links.first_identify <= {{ add_days('links.first_track', 1) }} then 0 else 1 end) as bigint
    ) as unjoined
from links
cross join edges
cross join beginning
where links.first_track >= edges.told_from or (links.first_track is not null and beginning.first_day >= edges.opens)
group by 1, 2

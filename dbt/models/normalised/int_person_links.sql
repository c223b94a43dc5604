{#- Which anonymous ids a source says to be which user, by day and by the call that says so; keys, never ids. -#}
{{ config(window='received_days') }}
-- depends_on: {{ source('inputs', 'input_sources') }}, {{ source('inputs', 'input_received_days') }}
select
    cast(source as varchar) as source,
    cast(received_at as date) as received_day,
    link_key,
    max(case when on_track then 1 else 0 end) = 1 as on_track,
    max(case when on_identify then 1 else 0 end) = 1 as on_identify
from (
    {{ person_link_rows() }}
) as links
group by 1, 2, 3

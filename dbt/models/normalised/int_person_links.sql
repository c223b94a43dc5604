{#- Which anonymous ids a source says to be which user, by day and by the call that says so; keys, never ids. -#}
{{ config(window='received_days') }}
-- depends_on: {{ source('inputs', 'input_sources') }}
select
    cast(source as varchar) as source,
    cast(received_day as date) as received_day,
    link_key,
    max(case when on_track then 1 else 0 end) = 1 as on_track,
    max(case when on_track then 0 else 1 end) = 1 as on_identify
from (
    select messages.source, messages.received_day, messages.link_key, true as on_track
    from {{ ref('int_messages') }} as messages
    inner join {{ source('inputs', 'input_received_days') }} as days
        on messages.source = days.source and messages.received_day = days.day
    where
        {{ on_window_days('messages.received_day', 'received_days') }}
        and messages.link_key is not null
    union all
    select identified.source, identified.received_day, identified.link_key, false as on_track
    from (
        {{ identify_links() }}
    ) as identified
) as links
group by 1, 2, 3

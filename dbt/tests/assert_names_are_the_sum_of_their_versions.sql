-- A name was sent as often as its app versions together, on every day, and no version stands without its name.
with

versions as (
    select
        day,
        source,
        event_text,
        sum(messages) as messages
    from {{ ref('int_versions_daily') }}
    group by 1, 2, 3
)

select
    coalesce(names.day, versions.day) as day,
    coalesce(names.source, versions.source) as source,
    coalesce(names.event_text, versions.event_text) as event_text,
    names.messages,
    versions.messages as of_versions
from {{ ref('event_names_daily') }} as names
full outer join versions
    on names.day = versions.day and names.source = versions.source and names.event_text = versions.event_text
where names.messages is distinct from versions.messages

{#-
  What Segment itself says breaks the plan, as a second witness beside our own judgement: messages by the property that
  it names, and how many of them break a rule of that property here as well. What landed up to three days after a day is
  heard.
-#}
{{ config(window='workspace_days') }}
with

landed as (
    {{ segment_violation_rows() }}
),

named as (
    select
        sources.source,
        case
            when lower(landed.event_type) = 'track' then landed.event_name
            else '(' || lower(landed.event_type) || ')'
        end as event,
        case
            when starts_with(landed.field, 'properties.') then substr(landed.field, 12)
            when starts_with(landed.field, 'traits.') then substr(landed.field, 8)
            else landed.field
        end as property,
        {{ row_key('landed.message_id') }} as message_key,
        cast({{ local_time('landed.happened_at', 'run.workspace_timezone') }} as date) as day
    from landed
    inner join {{ source('inputs', 'input_sources') }} as sources
        on replace(lower(landed.source_slug), '-', '_') in (lower(sources.schema_name), sources.source)
    cross join {{ source('inputs', 'input_run') }} as run
    where landed.message_id is not null
),

heard as (
    select distinct named.*
    from named
    inner join {{ ref('int_open_days') }} as open_days
        on named.day = open_days.day and open_days.destination = '' and open_days.in_scope
),

ours as (
    select distinct message_key, source, event, property
    from {{ ref('int_broken_rows') }}
    where {{ on_window_days('event_day', 'workspace_days', before=1, after=1) }}
)

select
    cast(heard.day as date) as day,
    cast(heard.source as varchar) as source,
    cast(heard.event as varchar) as event,
    cast(heard.property as varchar) as property,
    cast(count(*) as bigint) as messages,
    cast(count(ours.message_key) as bigint) as confirmed
from heard
left join ours
    on
        heard.message_key = ours.message_key
        and heard.source = ours.source
        and heard.event = ours.event
        and heard.property = ours.property
group by 1, 2, 3, 4

{#-
  What breaks the plan on the days to read, counted by version of the app and of Segment's library, with a message and a
  value or two to look at. Of a source whose versions are many on a day, the rarest are `other`.
-#}
{{ config(window='received_days') }}
with

slots as (
    select
        broken.source,
        broken.received_day,
        broken.slot,
        broken.event,
        broken.property,
        broken.rule,
        broken.app_version,
        broken.library_version,
        count(*) as messages,
        min(broken.message_id) as sample_message_id,
        min(broken.sample_value) as first_sample,
        max(broken.sample_value) as last_sample
    from {{ ref('int_broken_rows') }} as broken
    inner join {{ source('inputs', 'input_received_days') }} as days
        on broken.source = days.source and broken.received_day = days.day
    where {{ on_window_days('broken.received_day', 'received_days') }}
    group by 1, 2, 3, 4, 5, 6, 7, 8
),

versions as (
    select
        source, received_day, app_version, library_version,
        row_number() over (
            partition by source, received_day order by sum(messages) desc, app_version asc, library_version asc
        ) as commonness
    from slots
    group by 1, 2, 3, 4
)

select
    slots.source,
    slots.received_day,
    cast({{ local_time('slots.slot', 'run.workspace_timezone') }} as date) as day,
    slots.event,
    slots.property,
    slots.rule,
    case when versions.commonness > 20 then 'other' else slots.app_version end as app_version,
    case when versions.commonness > 20 then 'other' else slots.library_version end as library_version,
    cast(sum(slots.messages) as bigint) as messages,
    min(slots.sample_message_id) as sample_message_id,
    min(slots.first_sample) as first_sample,
    max(slots.last_sample) as last_sample
from slots
cross join {{ source('inputs', 'input_run') }} as run
inner join versions
    on
        slots.source = versions.source
        and slots.received_day = versions.received_day
        and slots.app_version is not distinct from versions.app_version
        and slots.library_version is not distinct from versions.library_version
group by 1, 2, 3, 4, 5, 6, 7, 8

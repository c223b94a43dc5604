{#-
  Messages counted by all that the evidence goes by: raw name, app version, shape of the user id. The one place where
  messages are counted by name, on the days they are read: what it holds of a day changes when rows land for it and
  at no other time. A source has a handful of versions on a day; one that writes a build hash or a time into the field
  keeps its 50 commonest, and the rest is `other`.
-#}
{{ config(window='received_days') }}
with

slots as (
    select
        messages.received_day,
        messages.source,
        messages.event_text,
        messages.event_slug,
        substr(messages.app_version, 1, 200) as app_version,
        messages.user_shape,
        {{ quarter_hour('messages.timestamp') }} as slot,
        count(*) as messages
    from {{ ref('int_messages') }} as messages
    inner join {{ source('inputs', 'input_received_days') }} as days
        on messages.source = days.source and messages.received_day = days.day
    where {{ on_window_days('messages.received_day', 'received_days') }}
    group by 1, 2, 3, 4, 5, 6, 7
),

-- A zone's wall clock is looked up once a slot, not once a row.
daily as (
    select
        slots.received_day,
        cast({{ local_time('slots.slot', 'run.workspace_timezone') }} as date) as day,
        slots.source,
        slots.event_text,
        slots.app_version,
        slots.user_shape,
        min(slots.event_slug) as event_slug,
        sum(slots.messages) as messages
    from slots
    cross join {{ source('inputs', 'input_run') }} as run
    group by 1, 2, 3, 4, 5, 6
),

versions as (
    select
        received_day,
        source,
        app_version,
        row_number() over (
            partition by received_day, source order by sum(messages) desc, app_version
        ) as commonness
    from daily
    where app_version is not null
    group by 1, 2, 3
)

select
    daily.received_day,
    daily.day,
    daily.source,
    daily.event_text,
    cast(min(daily.event_slug) as varchar) as event_slug,
    case when versions.commonness > 50 then 'other' else daily.app_version end as app_version,
    daily.user_shape,
    cast(sum(daily.messages) as bigint) as messages
from daily
left join versions
    on
        daily.received_day = versions.received_day
        and daily.source = versions.source
        and daily.app_version = versions.app_version
group by 1, 2, 3, 4, 6, 7

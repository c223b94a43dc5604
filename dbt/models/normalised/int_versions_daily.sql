{#-
  Raw names by app version: which release began or ceased to send what. The one place where messages are counted by
  name; event_names_daily is its sum, so the two cannot disagree. A source has a handful of versions on a day; one
  that writes a build hash or a time into the field keeps its 50 commonest, and the rest is `other`.
-#}
{{ config(
    window='named_days'
) }}
with

open_days as (
    select day
    from {{ ref('int_open_days') }}
    where destination = ''
),

utc_days as (
    select {{ add_days('day', -1) }} as day from open_days
    union
    select day from open_days
    union
    select {{ add_days('day', 1) }} as day from open_days
),

slots as (
    select
        source,
        event_text,
        event_slug,
        substr(app_version, 1, 200) as app_version,
        {{ quarter_hour('timestamp') }} as slot,
        count(*) as messages
    from {{ ref('int_messages') }}
    where event_day in (select day from utc_days)
    group by 1, 2, 3, 4, 5
),

daily as (
    select
        open_days.day,
        slots.source,
        slots.event_text,
        slots.app_version,
        min(slots.event_slug) as event_slug,
        sum(slots.messages) as messages
    from slots
    cross join {{ source('inputs', 'input_run') }} as run
    inner join open_days on open_days.day = cast({{ local_time('slots.slot', 'run.workspace_timezone') }} as date)
    group by 1, 2, 3, 4
),

versions as (
    select
        day,
        source,
        app_version,
        row_number() over (partition by day, source order by sum(messages) desc, app_version) as commonness
    from daily
    where app_version is not null
    group by 1, 2, 3
)

select
    daily.day,
    daily.source,
    daily.event_text,
    cast(min(daily.event_slug) as varchar) as event_slug,
    case when versions.commonness > 50 then 'other' else daily.app_version end as app_version,
    cast(sum(daily.messages) as bigint) as messages
from daily
left join versions
    on daily.day = versions.day and daily.source = versions.source and daily.app_version = versions.app_version
group by 1, 2, 3, 5

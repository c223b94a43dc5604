{#-
  The raw name is the identity: names that fold into one table stay apart here. A run that is limited to some days
  still knows the names of all days that it read: what a name means to a contract must not depend on the limits.
-#}
{{ config(
    schema='reconciliation',
    window='named_days'
) }}
with

open_days as (
    select day
    from {{ ref('int_open_days') }}
    where destination = ''
),

daily as (
    select
        versions.day,
        versions.source,
        versions.event_text,
        min(versions.event_slug) as event_slug,
        sum(versions.messages) as messages
    from {{ ref('int_versions_daily') }} as versions
    inner join open_days on versions.day = open_days.day
    where {{ on_window_days('versions.day', 'named_days') }}
    group by 1, 2, 3
)

select
    cast(daily.day as date) as day,
    cast(daily.source as varchar) as source,
    cast(daily.event_text as varchar) as event_text,
    cast(daily.event_slug as varchar) as event_slug,
    cast(daily.messages as bigint) as messages,
    -- Nothing is unplanned in a source that has no plan.
    plan.event is not null or not sources.has_plan as planned
from daily
inner join {{ source('inputs', 'input_sources') }} as sources on daily.source = sources.source
left join {{ source('inputs', 'input_plan_events') }} as plan
    on daily.source = plan.source and daily.event_text = plan.event

{#- Messages that break the tracking plan. An unplanned name is one violation of the event, not of a property. -#}
{{ config(
    schema='reconciliation',
    window='workspace_days'
) }}
with

open_days as (
    select day
    from {{ ref('int_open_days') }}
    where destination = '' and in_scope
),

of_properties as (
    select
        violations.day,
        violations.source,
        violations.event,
        violations.property,
        violations.rule,
        sum(violations.messages) as messages,
        min(violations.sample_message_id) as sample_message_id
    from {{ ref('int_violation_versions_daily') }} as violations
    inner join open_days on violations.day = open_days.day
    where {{ on_window_days('violations.day', 'workspace_days') }} and violations.rule <> 'unplanned_property'
    group by 1, 2, 3, 4, 5
),

-- Columns that the plan of a closed event does not know: how often they are filled says it all, copies counted.
beside_the_plan as (
    select fill.day, fill.source, fill.event_text as event, fill.property, fill.filled as messages
    from {{ ref('int_property_fill_daily') }} as fill
    inner join open_days on fill.day = open_days.day
    inner join {{ source('inputs', 'input_closed_events') }} as closed
        on fill.source = closed.source and fill.event_text = closed.event
    where
        fill.filled > 0
        and not exists (
            select 1
            from {{ source('inputs', 'input_plan_columns') }} as planned
            where
                planned.source = fill.source
                and planned.event = fill.event_text
                and (
                    planned.column_name = fill.property
                    or planned.with_parts and starts_with(fill.property, planned.column_name || '_')
                )
        )
),

unplanned as (
    select names.day, names.source, names.event_text as event, names.messages
    from {{ ref('event_names_daily') }} as names
    inner join open_days on names.day = open_days.day
    where not names.planned
),

samples as (
    select messages.source, messages.event_text, min(messages.message_id) as sample_message_id
    from {{ ref('int_messages') }} as messages
    inner join (select distinct source, event from unplanned) as names
        on messages.source = names.source and messages.event_text = names.event
    where
        messages.event_day in (select day from open_days)
        and {{ on_window_days('messages.event_day', 'workspace_days') }}
    group by 1, 2
),

of_events as (
    select
        unplanned.day,
        unplanned.source,
        unplanned.event,
        cast(null as varchar) as property,
        'unplanned_event' as rule,
        unplanned.messages,
        samples.sample_message_id
    from unplanned
    left join samples on unplanned.source = samples.source and unplanned.event = samples.event_text
),

united as (
    select * from of_properties
    union all
    select
        day, source, event, property, 'unplanned_property' as rule, messages,
        cast(null as varchar) as sample_message_id
    from beside_the_plan
    union all
    select * from of_events
)

select
    cast(united.day as date) as day,
    cast(united.source as varchar) as source,
    cast(coalesce(calls.call, 'track') as varchar) as call,
    cast(united.event as varchar) as event,
    cast(united.property as varchar) as property,
    cast(united.rule as varchar) as rule,
    cast(united.messages as bigint) as messages,
    cast(united.sample_message_id as varchar) as sample_message_id
from united
-- The calls that have no event of their own stand under a name of ours.
left join (
    select distinct event, replace(replace(event, '(', ''), ')', '') as call
    from {{ source('inputs', 'input_segment_names') }}
    where event is not null
) as calls on united.event = calls.event

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
    from {{ ref('int_property_violations') }} as violations
    inner join open_days on violations.day = open_days.day
    group by 1, 2, 3, 4, 5
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
    select * from of_events
)

select
    cast(united.day as date) as day,
    cast(united.source as varchar) as source,
    cast(united.event as varchar) as event,
    cast(united.property as varchar) as property,
    cast(united.rule as varchar) as rule,
    cast(united.messages as bigint) as messages,
    cast(united.sample_message_id as varchar) as sample_message_id
from united

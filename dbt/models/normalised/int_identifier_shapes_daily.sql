{#- What the ids look like, in words; the values stay where they are. -#}
{{ config(
    window='workspace_days'
) }}
with

open_days as (
    select day
    from {{ ref('int_open_days') }}
    where destination = '' and in_scope
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
        coalesce(user_shape, 'null') as shape,
        {{ quarter_hour('timestamp') }} as slot,
        count(*) as messages
    from {{ ref('int_messages') }}
    where event_day in (select day from utc_days)
    group by 1, 2, 3, 4
)

select
    open_days.day,
    slots.source,
    slots.event_text as event,
    cast('user_id' as varchar) as identifier,
    slots.shape,
    cast(sum(slots.messages) as bigint) as messages
from slots
cross join {{ source('inputs', 'input_run') }} as run
inner join open_days on open_days.day = cast({{ local_time('slots.slot', 'run.workspace_timezone') }} as date)
group by 1, 2, 3, 4, 5

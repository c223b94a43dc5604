{#-
  Messages that repeat another one: the same source, name and user (user id, else anonymous id) at most ten seconds
  earlier under another id. A day's first messages may repeat the evening's last ones, so the day after each open day
  is counted again as well. Who has no id at all repeats nobody.
-#}
{{ config(
    window='workspace_days_and_next'
) }}
with

open_days as (
    select day
    from {{ ref('int_open_days') }}
    where destination = '' and in_scope
),

days as (
    select day from open_days
    union
    select {{ add_days('day', 1) }} as day from open_days
),

utc_days as (
    select {{ add_days('day', -1) }} as day from days
    union
    select day from days
    union
    select {{ add_days('day', 1) }} as day from days
),

messages as (
    select
        source,
        event_text,
        message_key,
        timestamp,
        {{ row_key("coalesce(nullif(user_id, ''), nullif(anonymous_id, ''))") }} as person_key
    from {{ ref('int_messages') }}
    where
        event_day in (select day from utc_days)
        and coalesce(nullif(user_id, ''), nullif(anonymous_id, '')) is not null
),

followed as (
    select
        source,
        event_text,
        message_key,
        timestamp,
        lag(message_key) over (
            partition by person_key, source, event_text order by timestamp, message_key
        ) as earlier_key,
        lag(timestamp) over (
            partition by person_key, source, event_text order by timestamp, message_key
        ) as earlier_at
    from messages
),

slots as (
    select
        source,
        event_text,
        {{ quarter_hour('timestamp') }} as slot,
        count(*) as messages
    from followed
    where
        -- A copy that came too late to be dropped has the same id, and is no second message.
        earlier_key <> message_key
        and timestamp <= {{ add_seconds('earlier_at', 10) }}
    group by 1, 2, 3
)

select
    days.day,
    slots.source,
    slots.event_text,
    cast(sum(slots.messages) as bigint) as messages
from slots
cross join {{ source('inputs', 'input_run') }} as run
inner join days on days.day = cast({{ local_time('slots.slot', 'run.workspace_timezone') }} as date)
group by 1, 2, 3

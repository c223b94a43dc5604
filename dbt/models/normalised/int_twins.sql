{#-
  Messages that repeat another one: the same source, name and user (user id, else anonymous id) at most ten seconds
  earlier under another id, received on the same day or a minute before it. Who has no id at all repeats nobody.
  Of a name with more than 50,000 messages in a day every n-th person stands for n: a rate of copies is as plain in
  50,000 messages, and to put ten million in order took 5 s of processor (2026-11-22).
-#}
{{ config(window='received_days') }}
with

shares as (
    select
        received_day,
        source,
        event_text,
        cast(ceil(sum(messages) / 50000.0) as {{ key_type() }}) as one_in
    from {{ ref('int_message_counts') }}
    where {{ on_window_days('received_day', 'received_days') }}
    group by 1, 2, 3
),

people as (
    select
        messages.source,
        messages.event_text,
        messages.message_key,
        messages.timestamp,
        messages.received_at,
        messages.received_day,
        messages.person_key
    from {{ ref('int_messages') }} as messages
    where
        {{ on_window_days('messages.received_day', 'received_days', before=1) }}
        and messages.person_key is not null
),

-- The day that is read, and the minute before it: a day's first messages may repeat the evening's last ones.
near_days as (
    select source, day as received_day, day as read_day
    from {{ source('inputs', 'input_received_days') }}
    union all
    select source, {{ add_days('day', -1) }} as received_day, day as read_day
    from {{ source('inputs', 'input_received_days') }}
),

messages as (
    select people.*, near_days.read_day, shares.one_in
    from people
    inner join near_days
        on people.source = near_days.source and people.received_day = near_days.received_day
    inner join shares
        on
            near_days.read_day = shares.received_day
            and people.source = shares.source
            and people.event_text = shares.event_text
    where
        people.received_at >= {{ add_seconds('cast(near_days.read_day as ' ~ type_timestamp() ~ ')', -60) }}
        and mod(people.person_key, shares.one_in) = 0
),

followed as (
    select
        *,
        lag(message_key) over (
            partition by read_day, person_key, source, event_text order by timestamp, message_key
        ) as earlier_key,
        lag(timestamp) over (
            partition by read_day, person_key, source, event_text order by timestamp, message_key
        ) as earlier_at
    from messages
),

slots as (
    select
        received_day,
        source,
        event_text,
        {{ quarter_hour('timestamp') }} as slot,
        sum(one_in) as messages
    from followed
    where
        -- A copy that came too late to be dropped has the same id, and is no second message.
        earlier_key <> message_key
        and timestamp <= {{ add_seconds('earlier_at', 10) }}
        and received_day = read_day
    group by 1, 2, 3, 4
)

select
    slots.received_day,
    cast({{ local_time('slots.slot', 'run.workspace_timezone') }} as date) as day,
    slots.source,
    slots.event_text,
    cast(sum(slots.messages) as bigint) as messages
from slots
cross join {{ source('inputs', 'input_run') }} as run
group by 1, 2, 3, 4

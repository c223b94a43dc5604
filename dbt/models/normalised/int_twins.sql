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
        counts.received_day as read_day,
        counts.source,
        counts.event_text,
        cast(ceil(sum(counts.messages) / 50000.0) as {{ key_type() }}) as one_in
    from {{ ref('int_message_counts') }} as counts
    inner join {{ source('inputs', 'input_received_days') }} as days
        on counts.source = days.source and counts.received_day = days.day
    where {{ on_window_days('counts.received_day', 'received_days') }}
    group by 1, 2, 3
),

people as (
    select message_key, source, event_text, timestamp, person_key, received_day, received_day as read_day
    from {{ ref('int_messages') }}
    where {{ on_window_days('received_day', 'received_days') }}
    union all
    -- The minute before it: a day's first messages may repeat the evening's last ones.
    select
        message_key, source, event_text, timestamp, person_key, received_day,
        {{ add_days('received_day', 1) }} as read_day
    from {{ ref('int_messages') }}
    where
        {{ on_window_days('received_day', 'received_days', before=1) }}
        and cast({{ add_seconds('received_at', 60) }} as date) > received_day
),

messages as (
    select people.*, shares.one_in
    from people
    inner join shares
        on people.read_day = shares.read_day and people.source = shares.source and people.event_text = shares.event_text
    where mod(people.person_key, shares.one_in) = 0
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

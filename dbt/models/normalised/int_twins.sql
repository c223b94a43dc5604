{#-
  Messages that repeat another one: the same source, name and user (user id, else anonymous id) at most ten seconds
  earlier under another id, received on the same day or a minute before it. Who has no id at all repeats nobody.
  Of a name with more than 20,000 messages in a day every n-th person stands for n: a share of 10% is known to half a
  point then, and what is told of it begins ten points above the usual. Messages are put in order by the number of their
  name, which is a day's own: by the two texts and the day it took half as long again (2026-11-23).
-#}
{{ config(window='received_days') }}
with

shares as (
    select
        counts.received_day as read_day,
        counts.source,
        counts.event_text,
        row_number() over (order by counts.received_day, counts.source, counts.event_text) as name_number,
        cast(ceil(sum(counts.messages) / 20000.0) as {{ key_type() }}) as one_in
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
    select
        people.message_key,
        people.timestamp,
        people.person_key,
        people.received_day = people.read_day as of_the_day,
        shares.name_number
    from people
    inner join shares
        on people.read_day = shares.read_day and people.source = shares.source and people.event_text = shares.event_text
    where mod(people.person_key, shares.one_in) = 0
),

followed as (
    select
        *,
        lag(message_key) over (partition by name_number, person_key order by timestamp, message_key) as earlier_key,
        lag(timestamp) over (partition by name_number, person_key order by timestamp, message_key) as earlier_at
    from messages
),

slots as (
    select
        name_number,
        {{ quarter_hour('timestamp') }} as slot,
        count(*) as messages
    from followed
    where
        -- A copy that came too late to be dropped has the same id, and is no second message.
        earlier_key <> message_key
        and timestamp <= {{ add_seconds('earlier_at', 10) }}
        and of_the_day
    group by 1, 2
)

select
    shares.read_day as received_day,
    cast({{ local_time('slots.slot', 'run.workspace_timezone') }} as date) as day,
    shares.source,
    shares.event_text,
    cast(sum(slots.messages * shares.one_in) as bigint) as messages
from slots
inner join shares on slots.name_number = shares.name_number
cross join {{ source('inputs', 'input_run') }} as run
group by 1, 2, 3, 4

{#-
  Every expected message that no delivery answers, a row a destination, and whether it is only `pending`: its day
  and the day it was received must both be over by complete_after, for a phone that was offline delivers late.
-#}
with

-- A zone's wall clock, and when its day is complete, are looked up once a slot or day and not once a row: 2.5 of 7 s of
-- the model's operators at a million rows (2026-11-29).
slots as (
    select
        differing.destination,
        differing.slot,
        {{ local_time('differing.slot', 'destinations.timezone') }} as local_slot
    from (select distinct destination, slot from {{ ref('int_id_differences') }} where wanted) as differing
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on differing.destination = destinations.destination
),

by_id as (
    select
        differences.destination,
        differences.message_key,
        differences.source,
        differences.event,
        slots.local_slot
    from {{ ref('int_id_differences') }} as differences
    left join slots on differences.destination = slots.destination and differences.slot = slots.slot
    left join {{ ref('int_variant_matches') }} as variants
        on differences.destination = variants.destination and differences.message_key = variants.message_key
    where differences.wanted and differences.copies = 0 and variants.message_key is null
),

unanswered as (
    select
        destination, message_key, source, event,
        cast(local_slot as date) as day,
        extract(hour from local_slot) as hour
    from by_id
    union all
    select destination, message_key, source, event, day, hour
    from {{ ref('int_user_matches') }}
    where outcome = 'missing'
),

messages as (
    select message_key, message_id, app_version, library_version, user_shape, received_at
    from {{ ref('int_kept_messages') }}
    where step_bits <> 0
    {%- if matched_by_user() %}
    union
    select message_key, message_id, app_version, library_version, user_shape, received_at
    from {{ ref('int_window_messages') }}
    where
        message_key in (
            select u.message_key from {{ ref('int_user_matches') }} as u where u.outcome = 'missing'
        )
    {%- endif %}
),

waiting_days as (
    select days.destination, days.day
    from (select distinct destination, day from unanswered) as days
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on days.destination = destinations.destination
    cross join {{ source('inputs', 'input_run') }} as run
    where run.as_of < {{ complete_at('days.day', 'destinations') }}
),

-- Every zone is whole quarters of an hour from UTC: a quarter stands on one day of it.
waiting_slots as (
    select destinations.destination, received.slot
    from (select distinct {{ quarter_hour('received_at') }} as slot from messages) as received
    cross join {{ source('inputs', 'input_destinations') }} as destinations
    cross join {{ source('inputs', 'input_run') }} as run
    where run.as_of < {{ complete_at(
        "cast(" ~ local_time('received.slot', 'destinations.timezone') ~ " as date)", 'destinations'
    ) }}
)

select
    unanswered.destination,
    unanswered.message_key,
    coalesce(messages.message_id, ids.message_id) as message_id,
    unanswered.source,
    unanswered.event,
    unanswered.day,
    unanswered.hour,
    messages.app_version,
    messages.library_version,
    messages.user_shape,
    messages.received_at,
    waiting_days.day is not null or waiting_slots.slot is not null as pending
from unanswered
inner join messages on unanswered.message_key = messages.message_key
left join {{ ref('int_ids') }} as ids on unanswered.message_key = ids.message_key
left join waiting_days on unanswered.destination = waiting_days.destination and unanswered.day = waiting_days.day
left join waiting_slots
    on
        unanswered.destination = waiting_slots.destination
        and {{ quarter_hour('messages.received_at') }} = waiting_slots.slot

{#-
  Every expected message that no delivery answers, a row a destination, and whether it is only `pending`: its day
  and the day it was received must both be over by complete_after, for a phone that was offline delivers late.
-#}
with

by_id as (
    select
        differences.destination,
        differences.message_key,
        differences.source,
        differences.event,
        {{ local_time('differences.slot', 'destinations.timezone') }} as local_slot
    from {{ ref('int_id_differences') }} as differences
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on differences.destination = destinations.destination
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
    (
        run.as_of < {{ complete_at('unanswered.day', 'destinations') }}
        or run.as_of < {{ complete_at(
            "cast(" ~ local_time('messages.received_at', 'destinations.timezone') ~ " as date)", 'destinations'
        ) }}
    ) as pending
from unanswered
inner join {{ source('inputs', 'input_destinations') }} as destinations
    on unanswered.destination = destinations.destination
inner join messages on unanswered.message_key = messages.message_key
left join {{ ref('int_ids') }} as ids on unanswered.message_key = ids.message_key
cross join {{ source('inputs', 'input_run') }} as run

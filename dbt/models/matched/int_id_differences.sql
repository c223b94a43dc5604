{#-
  The differing keys of the one join, a row a destination: missing, unexpected and copies beyond the first. The other
  half of a key may lie outside of this step.
-#}
with

singles as (
    select
        message_key,
        source,
        event_text,
        slot_timestamp,
        slot_received_at,
        slot_sent_at,
        slot_original_timestamp,
        want_id
    from {{ ref('int_matches') }}
    where message_key is not null and source is not null
    union all
    select
        message_key,
        source,
        event_text,
        {{ quarter_hour('timestamp') }} as slot_timestamp,
        {{ quarter_hour('received_at') }} as slot_received_at,
        {{ quarter_hour('sent_at') }} as slot_sent_at,
        {{ quarter_hour('original_timestamp') }} as slot_original_timestamp,
        want as want_id
    from {{ ref('int_far_messages') }}
),

copies as (
    select
        destination,
        delivery_key,
        min(day) as day,
        min(event) as event,
        count(*) as copies
    from {{ ref('int_kept_deliveries') }}
    where event is not null
    group by 1, 2
),

wanted as (
    select
        destinations.destination,
        destinations.clock,
        singles.*
    from singles
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on
            destinations.matching = 'message_id'
            and {{ bits_and('singles.want_id', bit('destinations.bit_index')) }} <> 0
),

paired as (
    select
        coalesce(wanted.destination, copies.destination) as destination,
        coalesce(wanted.message_key, copies.delivery_key) as message_key,
        copies.event as delivered_event,
        copies.day as delivered_day,
        wanted.destination is not null as wanted,
        coalesce(copies.copies, 0) as copies
    from wanted
    full outer join copies
        on wanted.destination = copies.destination and wanted.message_key = copies.delivery_key
    -- Wanted and held once is a match, also beside another destination's difference.
    where not (wanted.destination is not null and coalesce(copies.copies, 0) = 1)
)

select
    paired.destination,
    paired.message_key,
    singles.source,
    singles.event_text as event,
    paired.delivered_event,
    paired.delivered_day,
    case destinations.clock
        when 'received_at' then singles.slot_received_at
        when 'sent_at' then singles.slot_sent_at
        when 'original_timestamp' then singles.slot_original_timestamp
        else singles.slot_timestamp
    end as slot,
    paired.wanted,
    paired.copies
from paired
inner join {{ source('inputs', 'input_destinations') }} as destinations
    on paired.destination = destinations.destination
left join singles on paired.message_key = singles.message_key

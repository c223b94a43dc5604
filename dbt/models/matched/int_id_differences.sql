{#- The differing keys of the one join, a row a destination: missing, unexpected and copies beyond the first. -#}
with

singles as (
    select *
    from {{ ref('int_matches') }}
    where message_key is not null
),

copies as (
    select
        deliveries.destination,
        deliveries.delivery_key,
        min(deliveries.day) as day,
        min(deliveries.message_id) as message_id,
        min(deliveries.event) as event,
        count(*) as copies
    from {{ ref('int_window_deliveries') }} as deliveries
    where
        deliveries.matching = 'message_id'
        and deliveries.event is not null
        and deliveries.delivery_key in (select message_key from singles where got <> 0)
    group by 1, 2
)

select
    destinations.destination,
    singles.message_key,
    singles.source,
    singles.event_text as event,
    copies.event as delivered_event,
    copies.message_id as delivered_message_id,
    copies.day as delivered_day,
    case destinations.clock
        when 'received_at' then singles.slot_received_at
        when 'sent_at' then singles.slot_sent_at
        when 'original_timestamp' then singles.slot_original_timestamp
        else singles.slot_timestamp
    end as slot,
    {{ bits_and('singles.want_id', bit('destinations.bit_index')) }} <> 0 as wanted,
    coalesce(copies.copies, 0) as copies
from singles
inner join {{ source('inputs', 'input_destinations') }} as destinations
    on
        destinations.matching = 'message_id'
        and {{ bits_and(bits_or('singles.want_id', 'singles.got'), bit('destinations.bit_index')) }} <> 0
left join copies
    on singles.message_key = copies.delivery_key and destinations.destination = copies.destination
where
    -- Wanted and held once is a match, also beside another destination's difference.
    not (
        {{ bits_and('singles.want_id', bit('destinations.bit_index')) }} <> 0
        and coalesce(copies.copies, 0) = 1
    )

{#-
  Where the id of a key that differs stands as text: a message is kept by its key alone, a delivery too, for texts are
  most of what they weigh. One row per key whose text is not kept: the message that has it, or else a delivery.
-#}
{{ config(materialized='table') }}
{%- set carried = carried_days() %}
with

differing as (
    select distinct message_key from {{ ref('int_id_differences') }}
),

of_messages as (
    select
        messages.message_key,
        'source' as kind,
        messages.source as name,
        messages.received_day as day,
        messages.landed_position,
        messages.message_id
    from {{ ref('int_kept_messages') }} as messages
    inner join differing on messages.message_key = differing.message_key
    inner join {{ source('inputs', 'input_sources') }} as sources
        on messages.source = sources.source and (sources.healthy or messages.message_id is not null)
),

places as (
    select * from of_messages
    union all
    {%- if carried.days %}
    -- What differed of these days before has been told with its text.
    select
        differences.message_key,
        'source' as kind,
        cast(null as varchar) as name,
        cast(null as date) as day,
        cast(null as bigint) as landed_position,
        differences.message_id
    from {{ earlier_differences() }} as differences
    inner join differing on differences.message_key = differing.message_key
    where differences.message_id is not null and {{ on_carried_days('differences.day', carried) }}
    union all
    {%- endif %}
    select
        deliveries.delivery_key as message_key,
        'destination' as kind,
        deliveries.destination as name,
        deliveries.day,
        deliveries.landed_position,
        cast(null as varchar) as message_id
    from {{ ref('int_kept_deliveries') }} as deliveries
    inner join differing on deliveries.delivery_key = differing.message_key
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on deliveries.destination = destinations.destination and destinations.healthy
    where deliveries.delivery_key not in (select m.message_key from of_messages as m)
),

ranked as (
    select
        *,
        row_number() over (
            partition by message_key order by case when message_id is null then 1 else 0 end, name, day, landed_position
        ) as place
    from places
)

select message_key, kind, name, day, landed_position, message_id
from ranked
where place = 1

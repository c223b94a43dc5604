{#-
  One join by key for all destinations that hold message ids. `got` has a bit for each destination that holds the
  message under a name of its contract; `got` equal to the wanted id bits is a match, and matches are counted by
  quarter of an hour, never kept. What differs is kept as a row of its own (message_key not null), and so is what an
  earlier run found twice or without a message, for its other half may lie outside of this step.
  `repeated` is a message that some destination holds twice.
-#}
with

id_bits as (
    select coalesce({{ bits_any("case when matching = 'message_id' then " ~ bit('bit_index') ~ " end") }}, 0) as bits
    from {{ source('inputs', 'input_destinations') }}
),

-- Through the join and the groups a name goes as a number: as two texts it took half of the time (2026-11-23).
wanted as (
    select
        expected.*,
        {{ bits_and('expected.want', 'id_bits.bits') }} as want_id
    from {{ ref('int_window_expected') }} as expected
    cross join id_bits
),

delivered as (
    select
        delivery_key,
        {{ bits_any(bit('bit_index')) }} as got,
        {{ some_bit_twice(bit('bit_index')) }} as repeated
    from {{ ref('int_window_deliveries') }}
    where matching = 'message_id' and event is not null and delivery_key is not null
    group by 1
),

joined as (
    select
        coalesce(wanted.message_key, delivered.delivery_key) as message_key,
        wanted.name_number,
        {{ quarter_hour('wanted.timestamp') }} as slot_timestamp,
        {%- for clock in ['received_at', 'sent_at', 'original_timestamp'] %}
        -- Null unless a destination counts by this clock, which keeps the groups few.
        case
            when '{{ clock }}' in (select d.clock from {{ source('inputs', 'input_destinations') }} as d)
                then {{ quarter_hour('wanted.' ~ clock) }}
        end as slot_{{ clock }},
        {%- endfor %}
        coalesce(wanted.no_identifier, 0) as no_identifier,
        coalesce(wanted.bad_identifier, 0) as bad_identifier,
        coalesce(wanted.consent, 0) as consent,
        coalesce(wanted.want, 0) as want,
        coalesce(wanted.want_id, 0) as want_id,
        -- Where it is another day already, its delivery is another step's.
        coalesce({{ bits_and('wanted.want_id', 'wanted.step_bits') }}, 0) as want_here,
        coalesce(delivered.got, 0) as got,
        coalesce(delivered.repeated, false) as repeated
    from wanted
    full outer join delivered on wanted.message_key = delivered.delivery_key
),

marked as (
    select
        *,
        case
            when want_here <> got or repeated then message_key
            when message_key in (select r.message_key from {{ source('inputs', 'input_recalled_keys') }} as r)
                then message_key
        end as kept_key
    from joined
),

grouped as (
    select
        kept_key as message_key,
        name_number,
        slot_timestamp,
        slot_received_at,
        slot_sent_at,
        slot_original_timestamp,
        no_identifier,
        bad_identifier,
        consent,
        want,
        want_id,
        cast(count(*) as bigint) as messages
    from marked
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
)

select
    grouped.message_key,
    grouped.name_number,
    names.source,
    names.event_text,
    grouped.slot_timestamp,
    grouped.slot_received_at,
    grouped.slot_sent_at,
    grouped.slot_original_timestamp,
    grouped.no_identifier,
    grouped.bad_identifier,
    grouped.consent,
    grouped.want,
    grouped.want_id,
    grouped.messages
from grouped
left join {{ ref('int_names') }} as names on grouped.name_number = names.name_number

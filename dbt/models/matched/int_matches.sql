{#-
  One join by key for all destinations that hold message ids. `got` has a bit for each destination that holds the
  message under a name of its contract; `got` equal to the wanted id bits is a match, and matches are counted by
  quarter of an hour, never kept. What differs is kept as a row of its own (message_key not null), and so is what an
  earlier run found twice or without a message, for its other half may lie outside of this step.
  `repeated` is a message that some destination holds twice.

  Days that are carried on (see int_asked_keys) are matched for the keys that are asked again alone. What else was
  counted of them is taken from int_day_matches, less what was counted there of keys that are asked now; such rows count
  on one day only (only_day), for at its ends a day shares its hours with the next one. There a message of a day that is
  matched anew, which nobody asks on the carried one, counts on the former alone (anew_only).
-#}
{%- set carried = carried_days() %}
{%- set expected = ref('int_window_expected') %}
{%- set deliveries = ref('int_window_deliveries') %}
{%- if carried.days %}
{%- set expected = '(' ~ window_expected(ref('int_asked_keys'), part='anew') ~ ')' %}
{%- set deliveries = '(' ~ window_deliveries(ref('int_asked_keys'), carried) ~ ')' %}
{%- endif %}
with

id_bits as (
    select coalesce({{ bits_any("case when matching = 'message_id' then " ~ bit('bit_index') ~ " end") }}, 0) as bits
    from {{ source('inputs', 'input_destinations') }}
),

{% if carried.days -%}
asked as {{ kept_once() }} (  -- noqa: ST03
    select
        expected.*,
        {{ bits_and('expected.want', 'id_bits.bits') }} as want_id
    from ({{ window_expected(ref('int_asked_keys'), part='asked') }}) as expected
    cross join id_bits
),
{%- endif %}

-- Through the join and the groups a name goes as a number: as two texts it took half of the time (2026-11-23).
wanted as {{ not_kept() }} (
    select
        expected.*,
        {{ bits_and('expected.want', 'id_bits.bits') }} as want_id,
        {{ 'true' if carried.days else 'false' }} as anew_only
    from {{ expected }} as expected
    cross join id_bits
    {%- if carried.days %}
    union all
    select asked.*, false as anew_only
    from asked
    {%- endif %}
),

delivered as (
    select
        deliveries.delivery_key,
        {{ bits_any(bit('deliveries.bit_index')) }} as got,
        {{ some_bit_twice(bit('deliveries.bit_index')) }} as repeated
    from {{ deliveries }} as deliveries
    where
        deliveries.matching = 'message_id'
        and deliveries.event is not null
        and deliveries.delivery_key is not null
    group by 1
),

joined as (
    select
        coalesce(wanted.message_key, delivered.delivery_key) as message_key,
        wanted.name_number,
        {{ quarter_hour('wanted.timestamp') }} as slot_timestamp,
        {%- for clock in ['received_at', 'sent_at', 'original_timestamp'] %}
        {{ slot_in_use(clock, 'wanted') }} as slot_{{ clock }},
        {%- endfor %}
        coalesce(wanted.no_identifier, 0) as no_identifier,
        coalesce(wanted.bad_identifier, 0) as bad_identifier,
        coalesce(wanted.consent, 0) as consent,
        coalesce(wanted.want, 0) as want,
        coalesce(wanted.want_id, 0) as want_id,
        -- Where it is another day already, its delivery is another step's.
        coalesce({{ bits_and('wanted.want_id', 'wanted.step_bits') }}, 0) as want_here,
        coalesce(delivered.got, 0) as got,
        coalesce(delivered.repeated, false) as repeated,
        coalesce(wanted.anew_only, false) as anew_only
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
        anew_only,
        cast(count(*) as bigint) as messages
    from marked
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
),

named as (
    select
        cast(null as date) as only_day,
        grouped.anew_only,
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
    {%- if carried.days %}
    union all
    select
        counted.day as only_day,
        false as anew_only,
        counted.message_key,
        names.name_number,
        {%- for column in match_columns() %}
        counted.{{ column }},
        {%- endfor %}
        counted.messages
    from {{ earlier_day_matches() }} as counted
    left join {{ ref('int_names') }} as names
        on counted.source = names.source and counted.event_text = names.event_text
    where counted.message_key is null and {{ on_carried_days('counted.day', carried) }}
    union all
    -- Less what int_day_matches has counted of the messages that are asked again: all that were there when it was made,
    -- but for those that it has as a row of their own.
    select
        counted.day as only_day,
        false as anew_only,
        cast(null as {{ key_type() }}) as message_key,
        counted.name_number,
        {%- for column in match_columns() %}
        counted.{{ column }},
        {%- endfor %}
        cast(-count(*) as bigint) as messages
    from (
        select
            days.day,
            asked.name_number,
            asked.source,
            asked.event_text,
            {{ quarter_hour('asked.timestamp') }} as slot_timestamp,
            {%- for clock in ['received_at', 'sent_at', 'original_timestamp'] %}
            {{ slot_in_use(clock, 'asked') }} as slot_{{ clock }},
            {%- endfor %}
            asked.no_identifier,
            asked.bad_identifier,
            asked.consent,
            asked.want,
            asked.want_id
        from asked
        cross join (
            {%- for day in carried.days %}
            select {{ day }} as day{{ ' union all' if not loop.last }}
            {%- endfor %}
        ) as days
        left join {{ source('inputs', 'run_received_days') }} as received
            on asked.source = received.source and asked.received_day = received.day
        left join {{ earlier_day_matches() }} as kept
            on days.day = kept.day and asked.message_key = kept.message_key and kept.source is not null
        where
            kept.message_key is null
            and (
                {{ '1 = 0' if carried.with_new else '1 = 1' }}
                or received.day is null
                or asked.landed_position <= received.after_position
                or not {{ read_by_this_run('asked') }}
            )
    ) as counted
    group by counted.day, counted.name_number{% for column in match_columns() %}, counted.{{ column }}{% endfor %}
    {%- endif %}
)

select * from named

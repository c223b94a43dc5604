{# What of the messages and deliveries a step of the matched stage reads: days and slots as constants, then exactly. #}

{# The clocks that destinations go by; `timestamp` always, for the workspace's own days. #}
{% macro clocks_in_use() %}
    {%- set destinations = source('inputs', 'input_destinations') -%}
    {%- set clocks = ['timestamp'] -%}
    {%- if execute -%}
        {%- for clock in run_query(
            'select distinct clock from ' ~ destinations ~ ' order by 1'
        ).columns[0].values() if clock not in clocks -%}
            {%- do clocks.append(clock) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(clocks) }}
{% endmacro %}

{# Whether some destination is matched by user and second, for which the texts of ids are kept. #}
{% macro matched_by_user() %}
    {%- set destinations = source('inputs', 'input_destinations') -%}
    {%- if not execute -%}{{ return(false) }}{%- endif -%}
    {{ return(run_query("select 1 from " ~ destinations ~ " where matching = 'user_time' limit 1").rows | length > 0) }}
{% endmacro %}

{# Whether some destination changes ids on the way, or nobody knows yet whether it does. #}
{% macro ids_may_change() %}
    {%- set destinations = source('inputs', 'input_destinations') -%}
    {%- if not execute -%}{{ return(true) }}{%- endif -%}
    {{ return(run_query("select 1 from " ~ destinations ~ " where edge_days > 0 limit 1").rows | length > 0) }}
{% endmacro %}

{# The first and last slot of this step by clock, as ISO texts: clock -> [first, last]; read when the model runs. #}
{% macro slot_bounds(slots) %}
    {%- set bounds = {} -%}
    {%- if execute -%}
        {%- for row in run_query(
            'select clock, ' ~ timestamp_text('min(slot)') ~ ', ' ~ timestamp_text('max(slot)')
            ~ ' from ' ~ slots ~ ' group by 1 order by 1'
        ).rows -%}
            {%- do bounds.update({row[0]: (row[1], row[2])}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(bounds) }}
{% endmacro %}

{#
  Rows of int_messages on the slots of this step, with `step_bits`: the destinations on whose days they stand. The first
  and last slot stand there as constants, so that what lies outside is left on the disk.
#}
{% macro window_messages(messages, slots) -%}
    {%- set bounds = slot_bounds(slots) -%}
    select
        messages.*,
        {% set bits = namespace(of_all="coalesce(slots_timestamp.bits, 0)") -%}
        {%- for clock in bounds if clock != 'timestamp' -%}
            {%- set bits.of_all = bits_or(bits.of_all, 'coalesce(slots_' ~ clock ~ '.bits, 0)') -%}
        {%- endfor -%}
        {{ bits.of_all }} as step_bits
    from {{ messages }} as messages
    {%- for clock in ['timestamp'] + (bounds | reject('equalto', 'timestamp') | list) %}
    left join {{ slots }} as slots_{{ clock }}
        on slots_{{ clock }}.clock = '{{ clock }}' and {{ quarter_hour('messages.' ~ clock) }} = slots_{{ clock }}.slot
    {%- endfor %}
    where
        {{ between_slots(bounds) }}
        and ({% for clock in ['timestamp'] + (bounds | reject('equalto', 'timestamp') | list) -%}
            slots_{{ clock }}.slot is not null{{ ' or ' if not loop.last }}
        {%- endfor %})
{%- endmacro %}

{# The condition that rows of `messages` lie between the first and last slot by some clock, as constants. #}
{% macro between_slots(bounds) -%}
    (
        {%- for clock, between in bounds.items() %}
        (
            messages.{{ clock }} >= cast('{{ between[0] }}' as {{ type_timestamp() }})
            and messages.{{ clock }} < {{ add_seconds("cast('" ~ between[1] ~ "' as " ~ type_timestamp() ~ ")", 900) }}
        )
        {{- ' or' if not loop.last }}
        {%- else %}
        1 = 0
        {%- endfor %}
    )
{%- endmacro %}

{#
  Rows of int_messages with the number of their name and the bits of the destinations it is routed to.

  What reads a stretch of time puts it around this. An engine takes a join by slot for one of few rows, and a join of
  names behind it would be built of all messages: 1.5 s of processor for 6 million instead of 0.1 (2026-11-23).
  `where` says which rows are read.
#}
{% macro named_messages(messages, where=none) -%}
    select
        messages.*,
        names.name_number,
        coalesce(names.routed, 0) as routed
    from {{ messages }} as messages
    left join {{ ref('int_names') }} as names
        on messages.source = names.source and messages.event_text = names.event_text
    {%- if where %}
    where {{ where }}
    {%- endif %}
{%- endmacro %}

{#
  The expected grid, a bit a destination, of a relation of messages that know where they are routed (named_messages):
  `want` is where a message is expected, and each other bit says why it is not. Reasons are decided in the order
  no_identifier, bad_identifier, consent, and each bit is in one of them. `more` names columns to hand on besides.
#}
{% macro expected_grid(messages, more=[]) %}
with

identifier_bits as (
    select
        coalesce({{ bits_any("case when needs_user_id then " ~ bit('bit_index') ~ " end") }}, 0) as user_bits,
        coalesce({{ bits_any("case when needs_anonymous_id then " ~ bit('bit_index') ~ " end") }}, 0) as anonymous_bits
    from {{ source('inputs', 'input_destinations') }}
),

format_bits as (
    select misses.format_misses, {{ bits_any(bit('destinations.bit_index')) }} as refused
    from (select distinct format_misses from {{ messages }} where format_misses <> 0) as misses
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on {{ bits_and('misses.format_misses', 'destinations.format_bits') }} <> 0
    group by 1
),

consent_bits as (
    select denied.consent_denied, {{ bits_any(bit('destinations.bit_index')) }} as refused
    from (select distinct consent_denied from {{ messages }} where consent_denied <> 0) as denied
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on {{ bits_and('denied.consent_denied', bit('destinations.consent_index')) }} <> 0
    group by 1
),

looked_up as (
    select
        messages.message_key,
        messages.message_id,
        messages.source,
        messages.event_text,
        messages.user_id,
        messages.anonymous_id,
        messages.timestamp,
        messages.received_at,
        messages.sent_at,
        messages.original_timestamp,
        messages.app_version,
        messages.library_version,
        messages.user_shape,
        {%- for column in more %}
        messages.{{ column }},
        {%- endfor %}
        messages.routed,
        {{ bits_or(
            "case when not messages.has_user_id then identifier_bits.user_bits else 0 end",
            "case when not messages.has_anonymous_id then identifier_bits.anonymous_bits else 0 end"
        ) }} as lacking,
        coalesce(format_bits.refused, 0) as misshaped,
        coalesce(consent_bits.refused, 0) as denied
    from {{ messages }} as messages
    cross join identifier_bits
    left join format_bits on messages.format_misses = format_bits.format_misses
    left join consent_bits on messages.consent_denied = consent_bits.consent_denied
),

no_identifier as (
    select *, {{ bits_and('routed', 'lacking') }} as no_identifier
    from looked_up
),

bad_identifier as (
    select *, {{ bits_and(bits_without('routed', 'no_identifier'), 'misshaped') }} as bad_identifier
    from no_identifier
),

consent as (
    select
        *,
        {{ bits_and(bits_without(bits_without('routed', 'no_identifier'), 'bad_identifier'), 'denied') }} as consent
    from bad_identifier
)

select
    message_key,
    message_id,
    source,
    event_text,
    user_id,
    anonymous_id,
    timestamp,
    received_at,
    sent_at,
    original_timestamp,
    app_version,
    library_version,
    user_shape,
{%- for column in more %}
    {{ column }},
    {%- endfor %}
    routed,
    no_identifier,
    bad_identifier,
    consent,
    routed - no_identifier - bad_identifier - consent as want
from consent
{% endmacro %}

{# What of the messages and deliveries a step of the matched stage reads: days and slots as constants, then exactly. #}

{# The clocks that destinations go by, in order of their names. #}
{% macro destination_clocks() %}
    {%- set destinations = source('inputs', 'input_destinations') -%}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {{ return(run_query('select distinct clock from ' ~ destinations ~ ' order by 1').columns[0].values() | list) }}
{% endmacro %}

{# The clocks that rows are looked at by: those of destinations, and `timestamp` always, for the workspace's own days. #}
{% macro clocks_in_use() %}
    {{ return((['timestamp'] + destination_clocks()) | unique | list) }}
{% endmacro %}

{# Whether some destination is matched by user and second, for which the texts of ids are kept. #}
{% macro matched_by_user() %}
    {%- set destinations = source('inputs', 'input_destinations') -%}
    {#- When dbt parses it must see what is read where one is. -#}
    {%- if not execute -%}{{ return(true) }}{%- endif -%}
    {{ return(run_query("select 1 from " ~ destinations ~ " where matching = 'user_time' limit 1").rows | length > 0) }}
{% endmacro %}

{#
  Whether this step looks at a day, for ids that are changed on the way, that the run does not match: a quiet day. A day
  that it does match has edges of its own.
#}
{% macro looks_at_quiet_days() %}
    {%- if not execute -%}{{ return(true) }}{%- endif -%}
    {%- set sql -%}
        select 1
        from {{ ref('int_window_days') }} as window_days
        inner join {{ source('inputs', 'input_destinations') }} as destinations
            on window_days.destination = destinations.destination and destinations.edge_days > 0
        left join {{ ref('int_open_days') }} as open_days
            on
                window_days.destination = open_days.destination
                and window_days.day = open_days.day
                and open_days.in_scope
        where destinations.matching = 'message_id' and open_days.day is null
        limit 1
    {%- endset -%}
    {{ return(run_query(sql).rows | length > 0) }}
{% endmacro %}

{#
  The stretches of time that this step looks at: [clock, first, end, bits, anew bits] with ISO texts, in order, the end
  not in it; read when the model runs. Within a stretch the same destinations look (`bits`), and those of them match its
  day anew (`anew bits`): a day of all of them is one, with edges where it is a day ahead for some.
#}
{% macro slot_stretches(slots) %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {%- set sql -%}
        select
            clock,
            {{ timestamp_text('min(slot)') }} as opens,
            {{ timestamp_text(add_seconds('max(slot)', 900)) }} as closes,
            bits,
            anew_bits
        from (
            select clock, slot, bits, anew_bits, sum(begins) over (partition by clock order by slot) as stretch
            from (
                select
                    clock, slot, bits, anew_bits,
                    case
                        when
                            lag(bits) over (partition by clock order by slot) = bits
                            and lag(anew_bits) over (partition by clock order by slot) = anew_bits
                            and {{ add_seconds('lag(slot) over (partition by clock order by slot)', 900) }} = slot
                            then 0
                        else 1
                    end as begins
                from {{ slots }}
            ) as marked
        ) as stretches
        group by clock, stretch, bits, anew_bits
        order by clock, opens
    {%- endset -%}
    {%- set stretches = [] -%}
    {%- for row in run_query(sql).rows -%}
        {%- do stretches.append([row[0], row[1], row[2], row[3] | int, row[4] | int]) -%}
    {%- endfor -%}
    {{ return(stretches) }}
{% endmacro %}

{# Those of the stretches on which the day of some destination is carried on. #}
{% macro carried_stretches(stretches) %}
    {%- set carried = [] -%}
    {%- for each in stretches if each[3] != each[4] -%}{%- do carried.append(each) -%}{%- endfor -%}
    {{ return(carried) }}
{% endmacro %}

{# Rows of int_messages on the stretches of this step, with `step_bits`: the destinations on whose days they stand. #}
{% macro window_messages(messages, stretches) -%}
    select
        messages.*,
        {{ step_bits(stretches) }} as step_bits
    from {{ messages }} as messages
    where {{ on_slots(stretches) }}
{%- endmacro %}

{# The condition that rows of `messages` stand in a stretch of this step; where one follows the other the bounds say it. #}
{% macro on_slots(stretches) -%}
    {%- set gaps = namespace(found=stretches | map('first') | unique | list | length > 1) -%}
    {%- for each in stretches -%}
        {%- if not loop.first and loop.previtem[2] != each[1] -%}{%- set gaps.found = true -%}{%- endif -%}
    {%- endfor -%}
    {{ between_slots(stretches) }}
    {%- if gaps.found %}
    and {{ step_bits(stretches) }} <> 0
    {%- endif -%}
{%- endmacro %}

{#
  The bits of the destinations on whose days a row of `messages` stands in this step; 0 outside of it. Written out, and
  no join by slot: an engine takes such a join for one of few rows, and builds the next one of all messages (of 15
  million: 2.9 s of processor instead of 0.5, 2026-11-23). With `anew`, of the destinations that match the day anew.
#}
{% macro step_bits(stretches, anew=false) -%}
    {%- set bits = namespace(of_all='0') -%}
    {%- for clock in stretches | map('first') | unique -%}
        {%- set of_clock -%}
            case
            {%- for each in stretches if each[0] == clock %}
                when messages.{{ clock }} >= cast('{{ each[1] }}' as {{ type_timestamp() }})
                    and messages.{{ clock }} < cast('{{ each[2] }}' as {{ type_timestamp() }}) then {{ each[4] if anew else each[3] }}
            {%- endfor %}
                else 0
            end
        {%- endset -%}
        {%- set bits.of_all = of_clock if loop.first else bits_or(bits.of_all, of_clock) -%}
    {%- endfor -%}
    cast({{ bits.of_all }} as bigint)
{%- endmacro %}

{#
  The condition that rows of `messages` lie between the first and the last moment of this step by some clock: constants,
  so that what lies outside is left on the disk.
#}
{% macro between_slots(stretches) -%}
    (
        {%- for clock in stretches | map('first') | unique %}
        {%- set of_clock = stretches | selectattr(0, 'equalto', clock) | list %}
        (
            messages.{{ clock }} >= cast('{{ of_clock[0][1] }}' as {{ type_timestamp() }})
            and messages.{{ clock }} < cast('{{ of_clock[-1][2] }}' as {{ type_timestamp() }})
        )
        {{- ' or' if not loop.last }}
        {%- else %}
        1 = 0
        {%- endfor %}
    )
{%- endmacro %}

{#
  Rows of int_messages with the number of their name and the bits of the destinations it is routed to.

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

{#
  The deliveries of this step with what their name means; a null event is a name that no contract gives. Where some days
  are carried on, those of them of the keys in the relation `keys` alone: looked for before anything is joined, for an
  engine that thinks these days hold few deliveries puts all of them into memory to find few keys (24 of 26 s of
  processor, 2026-11-23).
#}
{% macro window_deliveries(keys=none, carried=none) %}
with

{% if keys -%}
asked as {{ kept_once() }} (
    select *
    from {{ ref('int_deliveries') }} as deliveries
    where
        {{ on_carried_days('deliveries.day', carried) }}
        and deliveries.delivery_key in (select k.message_key from {{ keys }} as k)
),

landed as {{ not_kept() }} (
    select * from asked
    union all
    select *
    from {{ ref('int_deliveries') }} as deliveries
    where
        {{ on_window_days('deliveries.day', 'anew_days') }}
        and not {{ on_carried_days('deliveries.day', carried) }}
)
{%- else -%}
landed as {{ not_kept() }} (
    select *
    from {{ ref('int_deliveries') }} as deliveries
    where {{ on_window_days('deliveries.day', 'step_days', before=1, after=1) }}
)
{%- endif %}

select
    window_days.destination,
    window_days.bit_index,
    window_days.matching,
    deliveries.day,
    deliveries.event_time,
    deliveries.pair_key,
    deliveries.delivery_key,
    route_names.event
from landed as deliveries
inner join {{ ref('int_window_days') }} as window_days
    on
        deliveries.destination_key = {{ row_key('window_days.destination') }}
        and deliveries.day = window_days.day
        and deliveries.event_time >= window_days.opens
        and deliveries.event_time < window_days.closes
left join {{ ref('int_route_names') }} as route_names
    on
        deliveries.destination_key = {{ row_key('route_names.destination') }}
        and deliveries.event_name = route_names.event_name
{% endmacro %}

{#
  The expected grid of the step's messages with the bits of the days they stand on.

  Where days are carried on, `keys` is the relation of the keys that are asked on them, and the step's messages are in two
  parts: `part` 'asked' has those keys' messages that stand on a carried day, with the bits of all their days; 'anew' has
  those of the days that are matched anew. What nobody asks stands there with the bits of those days alone: on the others
  it is counted already.
#}
{% macro window_expected(keys=none, part=none) %}
{%- set stretches = slot_stretches(ref('int_window_slots')) %}
{%- set carried = carried_stretches(stretches) %}
{%- set anew = stretches | rejectattr(4, 'equalto', 0) | list %}
{%- set of_both = '' %}
{%- set on_both = carried | rejectattr(4, 'equalto', 0) | list %}
{%- set alone = anew | reject('in', carried) | list %}
{%- if stretches | map('first') | unique | list | length > 1 %}
{#- By another clock a message may stand on a carried day though it does not by this one. -#}
{%- set on_both = anew %}
{%- set alone = anew %}
{%- set of_both = step_bits(stretches) ~ ' <> ' ~ step_bits(stretches, anew=true) %}
{%- endif %}
with

named as {{ not_kept() }} (
    {%- if part == 'asked' %}
    {{ named_messages(
        ref('int_messages'),
        where=on_slots(carried) ~ ' and messages.message_key in (select k.message_key from ' ~ keys ~ ' as k)'
    ) }}
    {%- else %}
    {{ named_messages(ref('int_messages'), where=between_slots(anew if part == 'anew' else stretches)) }}
    {%- endif %}
),

window_messages as {{ not_kept() }} (
    {%- if part == 'anew' %}
    select
        messages.*,
        {{ step_bits(stretches, anew=true) }} as step_bits
    from named as messages
    where
        {{ on_slots(alone) }}
        {{- ' and not (' ~ of_both ~ ')' if of_both }}
    {%- if on_both %}
    union all
    select
        messages.*,
        {{ step_bits(stretches, anew=true) }} as step_bits
    from named as messages
    where
        {{ on_slots(on_both) }}
        {{- ' and ' ~ of_both if of_both }}
        and messages.message_key not in (select k.message_key from {{ keys }} as k)
    {%- endif %}
    {%- else %}
    {{ window_messages('named', stretches) }}
    {%- endif %}
)

select * from (
    {{ expected_grid('window_messages', more=['step_bits', 'name_number', 'received_day', 'landed_position', 'read_epoch']) }}
) as expected
{% endmacro %}

{#
  The days of this step that are carried on from int_day_matches and not matched anew: `days`, as literals in order, and
  whether rows were added to them since (`with_new`) or they have been carried on in this run already.
#}
{% macro carried_days() %}
    {#- Parsed as if there were some, so that dbt sees what is read then. -#}
    {%- if not execute -%}{{ return({'days': [day_literal('2000-01-01')], 'with_new': true}) }}{%- endif -%}
    {%- if not keeps_positions() -%}{{ return({'days': [], 'with_new': false}) }}{%- endif -%}
    {%- set rows = run_query(
        'select ' ~ day_text('day') ~ ', with_new from ' ~ source('inputs', 'input_carried_days') ~ ' order by 1'
    ).rows -%}
    {%- set days = [] -%}
    {%- for row in rows -%}{%- do days.append(day_literal(row[0])) -%}{%- endfor -%}
    {{ return({'days': days, 'with_new': rows | length > 0 and rows[0][1]}) }}
{% endmacro %}

{# The condition that a date column lies on a day that is carried on; `carried` as carried_days gives it. #}
{% macro on_carried_days(column, carried) -%}
    {%- if carried.days -%} {{ column }} in ({{ carried.days | join(', ') }}) {%- else -%} 1 = 0 {%- endif -%}
{%- endmacro %}

{# The number of this run, which the rows it reads carry; 0 where nobody can know it. #}
{% macro read_epoch() -%}
    {%- if not execute or model.resource_type == 'unit_test' or not keeps_positions() -%}
        {{ return('0') }}
    {%- endif -%}
    {{ return(run_query('select epoch from ' ~ source('inputs', 'input_run')).columns[0].values()[0]) }}
{%- endmacro %}

{#
  Whether this run has read a row of int_messages or int_deliveries. A position alone does not say so: of a table that was
  made anew the rows of unchanged days keep the positions that they had in the old one.
#}
{% macro read_by_this_run(rows) -%} coalesce({{ rows }}.read_epoch, 0) = {{ read_epoch() }} {%- endmacro %}

{# A table of ours as an earlier run or step left it, for what it is itself made of and that cannot `ref` it. #}
{% macro earlier_table(name) -%}
    {{ return(api.Relation.create(database=target.database, schema='reconciliation_work', identifier=name)) }}
{%- endmacro %}

{# One macro each, so that a unit test can put rows of its own in the place of either. #}
{% macro earlier_day_matches() -%} {{ earlier_table('int_day_matches') }} {%- endmacro %}
{% macro earlier_differences() -%} {{ earlier_table('int_differences') }} {%- endmacro %}

{#
  The slot of a row of `messages` by a clock; null unless a destination counts by it, which keeps groups few. A constant
  then: three questions a row to the table of destinations took 1.2 s of int_matches' operators at 18 million (2026-11-29).
#}
{% macro slot_in_use(clock, messages) -%}
    {%- if clock in destination_clocks() -%} {{ quarter_hour(messages ~ '.' ~ clock) }}
    {%- else -%} cast(null as {{ type_timestamp() }})
    {%- endif -%}
{%- endmacro %}

{# What int_matches groups by besides the key, in order; names as texts, for a number is a run's own. #}
{% macro match_columns() %}
    {{ return([
        'source', 'event_text', 'slot_timestamp', 'slot_received_at', 'slot_sent_at', 'slot_original_timestamp',
        'no_identifier', 'bad_identifier', 'consent', 'want', 'want_id',
    ]) }}
{% endmacro %}

{# A null of the type of such a column. #}
{% macro null_match_column(column) -%}
    {%- if column in ['source', 'event_text'] -%} cast(null as varchar)
    {%- elif column.startswith('slot_') -%} cast(null as {{ type_timestamp() }})
    {%- else -%} cast(null as bigint)
    {%- endif -%}
{%- endmacro %}

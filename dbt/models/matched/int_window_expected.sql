{#-
  The expected grid, a bit a destination: `want` is where a message is expected, and each other bit says why it
  is not. Reasons are decided in the order no_identifier, bad_identifier, consent, and each bit is in one of them.
-#}
{{ config(materialized='view') }}
with

window_messages as (
    select *
    from {{ ref('int_messages') }}
    where
        event_day in (select day from {{ ref('int_window_days') }})
        or received_day in (select day from {{ ref('int_window_days') }})
        or message_key in (select message_key from {{ ref('int_far_messages') }})
        -- A phone's own clock may be days off: only who counts by it needs its days. What a template repeats
        -- inside a clause has no indent that the linter agrees with.
        -- noqa: disable=LT02
        {% for clock in ['sent_at', 'original_timestamp'] %}
        or (
            cast({{ clock }} as date) in (select day from {{ ref('int_window_days') }})
            and exists (select 1 from {{ source('inputs', 'input_destinations') }} as d where d.clock = '{{ clock }}')
        )
        {% endfor %}
),
-- noqa: enable=LT02

identifier_bits as (
    select
        coalesce({{ bits_any("case when needs_user_id then " ~ bit('bit_index') ~ " end") }}, 0) as user_bits,
        coalesce({{ bits_any("case when needs_anonymous_id then " ~ bit('bit_index') ~ " end") }}, 0) as anonymous_bits
    from {{ source('inputs', 'input_destinations') }}
),

format_bits as (
    select misses.format_misses, {{ bits_any(bit('destinations.bit_index')) }} as refused
    from (select distinct format_misses from window_messages where format_misses <> 0) as misses
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on {{ bits_and('misses.format_misses', 'destinations.format_bits') }} <> 0
    group by 1
),

consent_bits as (
    select denied.consent_denied, {{ bits_any(bit('destinations.bit_index')) }} as refused
    from (select distinct consent_denied from window_messages where consent_denied <> 0) as denied
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
        coalesce(names.routed, 0) as routed,
        {{ bits_or(
            "case when nullif(messages.user_id, '') is null then identifier_bits.user_bits else 0 end",
            "case when nullif(messages.anonymous_id, '') is null then identifier_bits.anonymous_bits else 0 end"
        ) }} as lacking,
        coalesce(format_bits.refused, 0) as misshaped,
        coalesce(consent_bits.refused, 0) as denied
    from window_messages as messages
    cross join identifier_bits
    left join {{ ref('int_names') }} as names
        on messages.source = names.source and messages.event_text = names.event_text
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
    routed,
    no_identifier,
    bad_identifier,
    consent,
    routed - no_identifier - bad_identifier - consent as want
from consent

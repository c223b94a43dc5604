{#- The rows of the days to read are replaced; everything later works on this table or on counts of it. -#}
{{ config(window='received_days') }}
with

staged as (
    {{ staged_rows('source', 'received_at') }}
),

keyed as (
    select
        *,
        {{ row_key('message_id') }} as message_key,
        cast(received_at as date) as received_day,
        cast(timestamp as date) as event_day
    from staged
    where message_id is not null
),

ranked as (
    select
        *,
        row_number() over (partition by message_key order by received_at, source, event_text) as copy_number,
        count(*) over (partition by message_key) as copies
    from keyed
)

select
    ranked.message_key,
    ranked.message_id,
    ranked.source,
    ranked.event_text,
    ranked.event_slug,
    ranked.user_id,
    ranked.anonymous_id,
    ranked.received_at,
    ranked.sent_at,
    ranked.original_timestamp,
    ranked.timestamp,
    ranked.app_version,
    ranked.library_version,
    ranked.consent_denied,
    {{ format_misses('ranked') }} as format_misses,
    {{ identifier_shape('ranked.user_id') }} as user_shape,
    ranked.copies,
    ranked.received_day,
    ranked.event_day
from ranked
-- noqa: disable=LT02
where
    ranked.copy_number = 1
    {% if has_history() %}
    and not exists (
        select 1
        from {{ this }} as earlier
        where
            earlier.message_key = ranked.message_key
            and earlier.received_day < ranked.received_day
            and earlier.received_day >= {{ add_days('ranked.received_day', '-' ~ var('dedupe_days')) }}
            and not exists (
                select 1 from {{ source('inputs', 'input_received_days') }} as r
                where r.source = earlier.source and r.day = earlier.received_day
            )
    )
    {% endif %}

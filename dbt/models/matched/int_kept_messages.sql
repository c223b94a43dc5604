{#-
  The messages of the keys that int_matches kept, read once for all that looks at them: those of this step, and those
  up to `reach_days` away, for an id does not care how far apart the days are (step_bits 0, as of those that nobody asks
  on a day which the step carries on).
-#}
{{ config(materialized='table') }}
{%- set reach = var('reach_days') | int + 1 %}
{%- set stretches = slot_stretches(ref('int_window_slots')) %}
{%- set carried = carried_days() %}
with

kept as {{ not_kept() }} (
    select
        -- One message in forty is kept, of every block of the table: each column costs as if all of it were read
        -- (of 75 million: 9.0 s of processor with all of them, 2026-11-29).
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
        messages.has_user_id,
        messages.has_anonymous_id,
        messages.format_misses,
        messages.consent_denied,
        messages.received_day,
        messages.landed_position,
        {%- if carried.days %}
        -- What nobody asks on a carried day is no part of this step there.
        case
            when messages.message_key in (select a.message_key from {{ ref('int_asked_keys') }} as a)
                then {{ step_bits(stretches) }}
            else {{ step_bits(stretches, anew=true) }}
        end as step_bits
        {%- else %}
        {{ step_bits(stretches) }} as step_bits
        {%- endif %}
    from {{ ref('int_messages') }} as messages
    where
        messages.message_key in (
            select matches.message_key from {{ ref('int_matches') }} as matches where matches.message_key is not null
        )
        and (
            {{ between_slots(stretches) }}
            or {{ on_window_days('messages.received_day', 'step_days', before=reach, after=reach) }}
        )
)

{{ named_messages('kept') }}

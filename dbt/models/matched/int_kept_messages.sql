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
        messages.*,
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

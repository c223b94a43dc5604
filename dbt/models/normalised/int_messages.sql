{#-
  The rows of the days to read are replaced; everything later works on this table or on counts of it. An id lands once
  as a rule, so only ids that are there twice are put in order: a window over every row would cost as much as reading
  them (8 of 16 s of processor at ten million rows, 2026-11-22).
  A message is its 64-bit key. Texts that name it, or a person, are kept only where they are needed: each costs as much
  to write as all else together.
-#}
{{ config(window='again_received_days') }}
{%- set by_user = '1 = 1' if matched_by_user() else '1 = 0' %}
with

staged as {{ not_kept() }} (
    {{ staged_rows('source', 'received_at') }}
),

repeated as (
    {{ repeated_values('staged', row_key('message_id'), 'message_key') }}
),

keyed as {{ not_kept() }} (
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
        row_number() over (partition by message_key order by received_at, source, event_text) as copy_number
    from keyed
    where message_key in (select r.message_key from repeated as r)
),

firsts as {{ not_kept() }} (
    select *, 1 as copy_number
    from keyed
    where message_key not in (select r.message_key from repeated as r)
    union all
    select *
    from ranked
    where copy_number = 1
)

select
    firsts.message_key,
    -- The id of what is told from here: a name outside of the plan; or all, where ids decide between equals.
    case when {{ by_user }} or (sources.has_plan and plan.event is null) then firsts.message_id end as message_id,
    firsts.source,
    firsts.event_text,
    firsts.event_slug,
    case when {{ by_user }} then firsts.user_id end as user_id,
    case when {{ by_user }} then firsts.anonymous_id end as anonymous_id,
    nullif(firsts.user_id, '') is not null as has_user_id,
    nullif(firsts.anonymous_id, '') is not null as has_anonymous_id,
    {{ row_key("coalesce(nullif(firsts.user_id, ''), nullif(firsts.anonymous_id, ''))") }} as person_key,
    {{ link_key('firsts.anonymous_id', 'firsts.user_id') }} as link_key,
    firsts.received_at,
    {%- for clock in ['sent_at', 'original_timestamp'] %}
    -- Null unless a destination counts by this clock: what nobody reads is not written.
    {{ 'firsts.' ~ clock if clock in clocks_in_use() else 'cast(null as ' ~ type_timestamp() ~ ')' }} as {{ clock }},
    {%- endfor %}
    firsts.timestamp,
    firsts.app_version,
    firsts.library_version,
    firsts.consent_denied,
    {{ format_misses('firsts') }} as format_misses,
    {{ identifier_shape('firsts.user_id') }} as user_shape,
    firsts.received_day,
    firsts.event_day,
    firsts.landed_position,
    cast({{ read_epoch() }} as bigint) as read_epoch
from firsts
inner join {{ source('inputs', 'input_sources') }} as sources on firsts.source = sources.source
left join {{ source('inputs', 'input_plan_events') }} as plan
    on firsts.source = plan.source and firsts.event_text = plan.event
-- No `not exists`: asked for a range, an engine puts all messages aside to ask it (7 of 20 s of processor, 2026-11-23).
left join {{ ref('int_known_copies') }} as known
    on
        firsts.message_key = known.message_key
        and known.received_day <= firsts.received_day
        and known.received_day >= {{ add_days('firsts.received_day', '-' ~ var('dedupe_days')) }}
where known.message_key is null

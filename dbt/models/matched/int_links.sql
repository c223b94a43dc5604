{#-
  Days outside of this step that a row read in this run belongs to by its message id: a late delivery answers a message
  of an earlier day, a late message takes away what was unexpected on a later one, a copy makes a duplicate of what was
  a match. Whoever runs the steps does these days again. One row per destination, day and key.
-#}
{{ config(materialized='table') }}
{%- set looks_beside = looks_at_quiet_days() %}
with

destinations as (
    select destination, timezone, clock, edge_days
    from {{ source('inputs', 'input_destinations') }}
    where matching = 'message_id'
),

far_deliveries as (
    select destination, day, delivery_key
    from {{ ref('int_kept_deliveries') }}
    where not in_step
),

far_keys as (
    select delivery_key as message_key from far_deliveries
    union
    select message_key from {{ ref('int_far_messages') }}
),

read_messages as (
    select
        messages.message_key,
        messages.timestamp,
        messages.received_at,
        messages.sent_at,
        messages.original_timestamp
    from {{ ref('int_kept_messages') }} as messages
    inner join {{ source('inputs', 'run_received_days') }} as days
        on messages.source = days.source and messages.received_day = days.day
    where messages.message_key in (select f.message_key from far_keys as f)
),

read_deliveries as (
    select deliveries.destination, deliveries.day, deliveries.delivery_key
    from {{ ref('int_kept_deliveries') }} as deliveries
    inner join {{ source('inputs', 'run_export_days') }} as days
        on deliveries.destination = days.destination and deliveries.day = days.day
    where deliveries.delivery_key in (select f.message_key from far_keys as f)
),

{%- set on_its_day -%}
cast({{ local_time(
    "case destinations.clock when 'received_at' then messages.received_at"
    ~ " when 'sent_at' then messages.sent_at"
    ~ " when 'original_timestamp' then messages.original_timestamp else messages.timestamp end",
    'destinations.timezone'
) }} as date)
{%- endset %}

{% if looks_beside %}
-- Days that the step looks at whole for halves that parted over midnight, and that this run does not match. A day that
-- it does match has such edges of its own: there the pair is found without being told.
quiet_days as (
    select
        window_days.destination,
        window_days.day,
        window_days.clock,
        {{ utc_time('window_days.opens', 'window_days.timezone') }} as opens,
        {{ utc_time('window_days.closes', 'window_days.timezone') }} as closes
    from {{ ref('int_window_days') }} as window_days
    inner join destinations on window_days.destination = destinations.destination
    left join {{ ref('int_open_days') }} as open_days
        on
            window_days.destination = open_days.destination
            and window_days.day = open_days.day
            and open_days.in_scope
    where destinations.edge_days > 0 and open_days.day is null
),

-- By slot, and not by the stretch of time, for which an engine would sort all messages of the step.
quiet_slots as (
    select distinct slots.clock, slots.slot
    from {{ ref('int_window_slots') }} as slots
    inner join quiet_days
        on slots.clock = quiet_days.clock and slots.slot >= quiet_days.opens and slots.slot < quiet_days.closes
),

quiet_messages as (
    {%- for clock in clocks_in_use() %}
    select messages.message_key
    from {{ ref('int_window_messages') }} as messages
    where {{ quarter_hour('messages.' ~ clock) }} in (select q.slot from quiet_slots as q where q.clock = '{{ clock }}')
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

{%- endif %}

-- One after the other: an `or` of the two would have every row of the step asked.
held as (
    {%- if looks_beside %}
    select deliveries.destination, deliveries.day, deliveries.delivery_key
    from {{ ref('int_window_deliveries') }} as deliveries
    inner join quiet_days on deliveries.destination = quiet_days.destination and deliveries.day = quiet_days.day
    union
    select deliveries.destination, deliveries.day, deliveries.delivery_key
    from {{ ref('int_window_deliveries') }} as deliveries
    inner join (select distinct destination from quiet_days) as edged
        on deliveries.destination = edged.destination
    where deliveries.delivery_key in (select q.message_key from quiet_messages as q)
    union
    {%- endif %}
    select distinct destination, day, delivery_key
    from {{ ref('int_kept_deliveries') }}
    where in_step
),

-- A key that differs in nothing stands in the step, and is looked for there only when its day's neighbours are quiet.
step_messages as (
    select * from {{ ref('int_window_messages') if looks_beside else ref('int_kept_messages') }}
    {{- ' where step_bits <> 0' if not looks_beside }}
),

-- Nearly all pairs stand on one day and were never apart: they are left out before anything is kept of them.
window_pairs as (
    select pairs.destination, pairs.delivered_day, pairs.message_key, pairs.day
    from (
        select
            held.destination,
            held.day as delivered_day,
            messages.message_key,
            {{ on_its_day }} as day
        from held
        inner join destinations on held.destination = destinations.destination
        inner join step_messages as messages on held.delivery_key = messages.message_key
        left join {{ source('inputs', 'run_export_days') }} as exported
            on held.destination = exported.destination and held.day = exported.day
        left join {{ source('inputs', 'run_received_days') }} as received
            on messages.source = received.source and messages.received_day = received.day
        where
            held.delivery_key is not null
            and (exported.day is not null or received.day is not null)
    ) as pairs
    where
        pairs.day <> pairs.delivered_day
        or pairs.message_key in (
            select r.message_key from {{ source('inputs', 'input_recalled_keys') }} as r
        )
),

-- Both halves on one day are that day's own: where this run matches it, it does not need this step to find them.
found as (
    select far.destination, far.day, far.delivery_key as message_key, far.day = {{ on_its_day }} as on_one_day
    from far_deliveries as far
    inner join destinations on far.destination = destinations.destination
    inner join read_messages as messages on far.delivery_key = messages.message_key
    union
    select far.destination, far.day, far.delivery_key as message_key, false as on_one_day
    from far_deliveries as far
    inner join read_deliveries
        on
            far.destination = read_deliveries.destination
            and far.delivery_key = read_deliveries.delivery_key
            and far.day <> read_deliveries.day
    union
    select
        read_deliveries.destination,
        {{ on_its_day }} as day,
        messages.message_key,
        read_deliveries.day = {{ on_its_day }} as on_one_day
    from {{ ref('int_far_messages') }} as messages
    inner join read_deliveries on messages.message_key = read_deliveries.delivery_key
    inner join destinations on read_deliveries.destination = destinations.destination
    union
    -- Both halves are looked at, and one of them stands on a day that this step does not match.
    select pairs.destination, pairs.day, pairs.message_key, false as on_one_day
    from window_pairs as pairs
    where pairs.day <> pairs.delivered_day
    union
    select pairs.destination, pairs.delivered_day as day, pairs.message_key, false as on_one_day
    from window_pairs as pairs
    where pairs.day <> pairs.delivered_day
    union
    -- Or both do, and an earlier run found one without the other.
    select pairs.destination, pairs.day, pairs.message_key, true as on_one_day
    from window_pairs as pairs
    where pairs.day = pairs.delivered_day
),

links as (
    select found.destination, found.day, found.message_key
    from found
    left join {{ ref('int_open_days') }} as open_days
        on found.destination = open_days.destination and found.day = open_days.day
    where not (found.on_one_day and coalesce(open_days.in_scope, false))
)

select distinct links.destination, links.day, links.message_key
from links
where
    not exists (
        select 1
        from {{ source('inputs', 'input_step_days') }} as step_days
        where step_days.destination = links.destination and step_days.day = links.day
    )
    -- A key leads to its days once a run: they have been told to look for it then.
    and links.message_key not in (
        select r.message_key from {{ source('inputs', 'input_recalled_keys') }} as r where r.linked
    )

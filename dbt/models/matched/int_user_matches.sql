{#-
  Third rung, for exports without message ids: user, name and time to the second as a one-to-one assignment.
  Rows that agree in all three are paired by rank; what is left is paired with the second after, then the second
  before (a tool that rounds instead of cutting). Times are compared in the destination's wall clock, so the hour
  that a clock change repeats cannot part a pair. A left-over delivery of a paired group is a duplicate.
-#}
{%- set asked = matched_by_user() %}
with

destinations as (
    select *
    from {{ source('inputs', 'input_destinations') }}
    where matching = 'user_time'
),

wanted_rows as (
    select
        destinations.destination,
        expected.message_key,
        expected.message_id,
        expected.source,
        expected.event_text as event,
        {{ pair_key('expected', 'coalesce(routes.destination_name, expected.event_text)', 'destinations') }}
            as pair_key,
        {{ local_time(
            "case destinations.clock when 'received_at' then expected.received_at when 'sent_at' then expected.sent_at"
            ~ " when 'original_timestamp' then expected.original_timestamp else expected.timestamp end",
            'destinations.timezone'
        ) }} as local_at
    from {{ ref('int_window_expected') }} as expected
    inner join destinations
        on {{ bits_and(bits_and('expected.want', 'expected.step_bits'), bit('destinations.bit_index')) }} <> 0
    left join {{ source('inputs', 'input_routes') }} as routes
        on
            destinations.destination = routes.destination
            and expected.source = routes.source
            and expected.event_text = routes.event
    {{- '\n    -- Nobody asks, and an engine would read everything to find that out.\n    where 1 = 0' if not asked }}
),

wanted as (
    select
        *,
        date_trunc('second', local_at) as second
    from wanted_rows
),

delivered_rows as (
    select
        deliveries.destination,
        deliveries.day,
        deliveries.event,
        deliveries.event_time,
        deliveries.pair_key
    from {{ ref('int_window_deliveries') }} as deliveries
    inner join destinations on deliveries.destination = destinations.destination
    where deliveries.event is not null{{ ' and 1 = 0' if not asked }}
),

delivered as (
    select
        *,
        date_trunc('second', event_time) as second,
        row_number() over (order by destination, event_time, pair_key) as delivery_number
    from delivered_rows
),

-- noqa: disable=LT02
{%- for shift in [0, 1, -1] %}
{%- set step = loop.index %}

wanted_{{ step }} as (
    select
        *,
        row_number() over (
            partition by destination, pair_key, second order by local_at, message_id
        ) as pair_rank
    from wanted
    {%- if step > 1 %}
    where not exists (
        select 1 from paired_{{ step - 1 }} as p
        where p.destination = wanted.destination and p.message_key = wanted.message_key
    )
    {%- endif %}
),

delivered_{{ step }} as (
    select
        *,
        row_number() over (
            partition by destination, pair_key, second order by event_time, delivery_number
        ) as pair_rank
    from delivered
    {%- if step > 1 %}
    where delivery_number not in (select p.delivery_number from paired_{{ step - 1 }} as p)
    {%- endif %}
),

paired_{{ step }} as (
    select
        w.destination, w.message_key, d.delivery_number, w.pair_key, d.second as delivered_second
    from wanted_{{ step }} as w
    inner join delivered_{{ step }} as d
        on
            w.destination = d.destination
            and w.pair_key = d.pair_key
            and w.pair_rank = d.pair_rank
            and d.second = {{ add_seconds('w.second', shift) }}
    {%- if step > 1 %}
    union all
    select * from paired_{{ step - 1 }}
    {%- endif %}
),
{%- endfor %}

paired_groups as (
    select distinct destination, pair_key, delivered_second from paired_3
)

select
    wanted.destination,
    wanted.message_key,
    wanted.source,
    wanted.event,
    cast(wanted.local_at as date) as day,
    extract(hour from wanted.local_at) as hour,
    case when paired.message_key is not null then 'delivered' else 'missing' end as outcome
from wanted
left join paired_3 as paired
    on wanted.destination = paired.destination and wanted.message_key = paired.message_key
union all
select
    delivered.destination,
    cast(null as {{ key_type() }}) as message_key,
    cast(null as varchar) as source,
    delivered.event,
    delivered.day,
    extract(hour from delivered.event_time) as hour,
    case when paired_groups.pair_key is not null then 'duplicate' else 'unexpected' end as outcome
from delivered
left join paired_groups
    on
        delivered.destination = paired_groups.destination
        and delivered.pair_key = paired_groups.pair_key
        and delivered.second = paired_groups.delivered_second
where delivered.delivery_number not in (select p.delivery_number from paired_3 as p)

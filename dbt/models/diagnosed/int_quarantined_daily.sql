{#-
  What the published numbers leave out: messages that a destination should have and that break the plan in a way the
  contract names. Each counts once, under the first of those ways, on the destination's day, like in its books. Whether
  one was delivered is known by its id; one that landed too late to be judged yet is `undecided`.
-#}
{{ config(window='open_days') }}
{%- set asked = quarantine_asked() %}
{%- if asked %}
{%- set clock_days = {
    'received_at': 'received_day', 'sent_at': 'cast(sent_at as date)',
    'original_timestamp': 'cast(original_timestamp as date)',
} %}
{%- set clocks = clocks_in_use() %}
{%- set on_days = [] %}
{%- for clock in clocks %}
{%- do on_days.append('(' ~ on_window_days(clock_days.get(clock, 'event_day'), 'open_days', before=1, after=1) ~ ')') %}
{%- endfor %}
with

open_days as (
    select destination, day
    from {{ ref('int_open_days') }}
    where in_scope and destination <> ''
),

-- The rows of the days by whichever clock a destination goes by; a local day lies within one day of its UTC day.
messages as (
    select *
    from {{ ref('int_messages') }}
    where {{ on_days | join(' or ') }}
),

breaches as (
    select
        broken.message_key, broken.source, broken.event, broken.property, broken.rule
    from {{ ref('int_broken_rows') }} as broken
    {%- if clocks | reject('in', ['timestamp', 'received_at']) | list == [] %}
    where
        ({{ on_window_days('broken.event_day', 'open_days', before=1, after=1) }})
        or ({{ on_window_days('broken.received_day', 'open_days', before=1, after=1) }})
    {%- endif %}
    union all
    select
        messages.message_key, messages.source, messages.event_text as event,
        cast(null as varchar) as property, cast('unplanned_event' as varchar) as rule
    from messages
    inner join {{ source('inputs', 'input_sources') }} as sources on messages.source = sources.source
    left join {{ source('inputs', 'input_plan_events') }} as plan
        on messages.source = plan.source and messages.event_text = plan.event
    where sources.has_plan and plan.event is null
),

ranked as (
    select
        breaches.*,
        row_number() over (
            partition by breaches.message_key, breaches.source
            order by quarantine.place, breaches.property, breaches.rule
        ) as choice
    from breaches
    inner join {{ source('inputs', 'input_quarantine') }} as quarantine
        on
            (quarantine.source is null or quarantine.source = breaches.source)
            and (quarantine.event is null or quarantine.event = breaches.event)
            and (quarantine.property is null or quarantine.property = breaches.property)
            and (quarantine.rule is null or quarantine.rule = breaches.rule)
),

quarantined as (
    select messages.*, ranked.property, ranked.rule
    from messages
    inner join ranked
        on
            messages.message_key = ranked.message_key
            and messages.source = ranked.source
            and messages.event_text = ranked.event
    where ranked.choice = 1
),

named as (
    {{ named_messages('quarantined') }}
),

grid as (
    {{ expected_grid('named', more=['property', 'rule']) }}
),

wanted as (
    select
        destinations.destination,
        cast({{ local_time(
            "case destinations.clock when 'received_at' then grid.received_at when 'sent_at' then grid.sent_at"
            ~ " when 'original_timestamp' then grid.original_timestamp else grid.timestamp end",
            'destinations.timezone'
        ) }} as date) as day,
        grid.source,
        grid.event_text as event,
        grid.property,
        grid.rule,
        grid.message_key,
        run.as_of < {{ complete_at(
            "cast(" ~ local_time('grid.received_at', 'destinations.timezone') ~ " as date)", 'destinations'
        ) }} as undecided
    from grid
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on {{ bits_and('grid.want', bit('destinations.bit_index')) }} <> 0
    cross join {{ source('inputs', 'input_run') }} as run
),

missing as (
    select distinct destination, day, message_key
    from {{ ref('int_differences') }}
    where difference = 'missing' and {{ on_window_days('day', 'open_days') }}
)

select
    cast(wanted.day as date) as day,
    cast(wanted.destination as varchar) as destination,
    cast(wanted.source as varchar) as source,
    cast(wanted.event as varchar) as event,
    cast(wanted.property as varchar) as property,
    cast(wanted.rule as varchar) as rule,
    cast(count(*) as bigint) as messages,
    cast(count(missing.message_key) as bigint) as missing,
    cast(sum(case when wanted.undecided and missing.message_key is null then 1 else 0 end) as bigint) as undecided
from wanted
inner join open_days on wanted.destination = open_days.destination and wanted.day = open_days.day
left join missing
    on
        wanted.destination = missing.destination
        and wanted.day = missing.day
        and wanted.message_key = missing.message_key
group by 1, 2, 3, 4, 5, 6
{%- else %}
-- depends_on: {{ ref('int_open_days') }}, {{ ref('int_messages') }}, {{ ref('int_broken_rows') }}
-- depends_on: {{ ref('int_differences') }}, {{ ref('int_names') }}, {{ source('inputs', 'input_run') }}
select
    cast(null as date) as day,
    cast(null as varchar) as destination,
    cast(null as varchar) as source,
    cast(null as varchar) as event,
    cast(null as varchar) as property,
    cast(null as varchar) as rule,
    cast(null as bigint) as messages,
    cast(null as bigint) as missing,
    cast(null as bigint) as undecided
where 1 = 0
{%- endif %}

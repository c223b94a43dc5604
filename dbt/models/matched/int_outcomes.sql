{#-
  Every message of the window with its one outcome for every destination of its source, counted by local day
  and hour: delivered, missing, pending, or not expected and why. The books of the matched stage.
-#}
{%- set carried = carried_days() %}
with

clocks as (
    select distinct clock, timezone from {{ source('inputs', 'input_destinations') }}
),

slots as (
    {%- for clock in ['timestamp', 'received_at', 'sent_at', 'original_timestamp'] %}
    select distinct '{{ clock }}' as clock, slot_{{ clock }} as slot
    from {{ ref('int_matches') }}
    where slot_{{ clock }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- A zone's wall clock is looked up once a slot, not once a row: the engines take their time over it.
local_slots as (
    select
        clocks.clock,
        clocks.timezone,
        slots.slot,
        {{ local_time('slots.slot', 'clocks.timezone') }} as local_slot
    from slots
    inner join clocks on slots.clock = clocks.clock
),

-- Summed by hour before it is spread over the destinations, of which many share a zone.
hourly as (
    select
        clocks.clock,
        clocks.timezone,
        cast(local_slots.local_slot as date) as day,
        extract(hour from local_slots.local_slot) as hour,
        matches.name_number,
        matches.want,
        matches.no_identifier,
        matches.bad_identifier,
        matches.consent,
        sum(matches.messages) as messages
    from {{ ref('int_matches') }} as matches
    cross join clocks
    left join local_slots
        on
            clocks.clock = local_slots.clock
            and clocks.timezone = local_slots.timezone
            and case clocks.clock
                when 'received_at' then matches.slot_received_at
                when 'sent_at' then matches.slot_sent_at
                when 'original_timestamp' then matches.slot_original_timestamp
                else matches.slot_timestamp
            end = local_slots.slot
    where
        matches.source is not null
        and (matches.only_day is null or matches.only_day = cast(local_slots.local_slot as date))
        and not (matches.anew_only and {{ on_carried_days('cast(local_slots.local_slot as date)', carried) }})
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9
),

daily as (
    select
        destinations.destination,
        destinations.matching,
        hourly.day,
        hourly.hour,
        names.source,
        names.event_text as event,
        case
            when {{ bits_and('hourly.want', bit('destinations.bit_index')) }} <> 0 then 'expected'
            when {{ bits_and('hourly.no_identifier', bit('destinations.bit_index')) }} <> 0 then 'no_identifier'
            when {{ bits_and('hourly.bad_identifier', bit('destinations.bit_index')) }} <> 0 then 'bad_identifier'
            when {{ bits_and('hourly.consent', bit('destinations.bit_index')) }} <> 0 then 'consent'
            else 'not_routed'
        end as reason,
        sum(hourly.messages) as messages
    from hourly
    inner join {{ ref('int_names') }} as names on hourly.name_number = names.name_number
    inner join (
        select distinct destination, source from {{ source('inputs', 'input_routes') }}
    ) as routed_sources on names.source = routed_sources.source
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on
            routed_sources.destination = destinations.destination
            and hourly.clock = destinations.clock
            and hourly.timezone = destinations.timezone
    group by 1, 2, 3, 4, 5, 6, 7
),

missing as (
    select destination, day, hour, source, event, pending, count(*) as messages
    from {{ ref('int_missing') }}
    group by 1, 2, 3, 4, 5, 6
),

variants as (
    select
        variants.destination,
        cast({{ local_time('differences.slot', 'destinations.timezone') }} as date) as day,
        extract(hour from {{ local_time('differences.slot', 'destinations.timezone') }}) as hour,
        differences.source,
        differences.event,
        count(*) as messages
    from {{ ref('int_variant_matches') }} as variants
    inner join {{ ref('int_id_differences') }} as differences
        on variants.destination = differences.destination and variants.message_key = differences.message_key
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on variants.destination = destinations.destination
    group by 1, 2, 3, 4, 5
),

unanswered as (
    select destination, day, hour, source, event, sum(messages) as messages
    from missing
    group by 1, 2, 3, 4, 5
)

select
    daily.destination, daily.day, cast(daily.hour as integer) as hour, daily.source, daily.event,
    'delivered' as outcome,
    case daily.matching when 'user_time' then 'user_time' else 'message_id' end as matched_by,
    cast(daily.messages - coalesce(unanswered.messages, 0) - coalesce(variants.messages, 0) as bigint) as messages
from daily
left join unanswered
    on
        daily.destination = unanswered.destination and daily.day = unanswered.day
        and daily.hour = unanswered.hour and daily.source = unanswered.source and daily.event = unanswered.event
left join variants
    on
        daily.destination = variants.destination and daily.day = variants.day
        and daily.hour = variants.hour and daily.source = variants.source and daily.event = variants.event
where daily.reason = 'expected' and daily.matching <> 'counts'
union all
select
    destination, day, cast(hour as integer) as hour, source, event,
    'delivered' as outcome, 'message_id_variant' as matched_by, cast(messages as bigint) as messages
from variants
union all
select
    destination, day, cast(hour as integer) as hour, source, event,
    case when pending then 'pending' else 'missing' end as outcome,
    cast(null as varchar) as matched_by, cast(messages as bigint) as messages
from missing
union all
select
    destination, day, cast(hour as integer) as hour, source, event,
    reason as outcome, cast(null as varchar) as matched_by, cast(messages as bigint) as messages
from daily
where reason <> 'expected'
union all
-- Counts decide these per day and name, in int_cells_daily; here they are only known to be expected.
select
    destination, day, cast(hour as integer) as hour, source, event,
    'expected' as outcome, 'counts' as matched_by, cast(messages as bigint) as messages
from daily
where reason = 'expected' and matching = 'counts'

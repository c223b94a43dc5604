{#- Late rows re-open exactly the days they belong to, in the clock and zone of each destination. -#}
{{ config(materialized='table') }}
with

slots as (
    {%- for clock in clocks_in_use() %}
    select distinct
        messages.source,
        '{{ clock }}' as clock,
        {{ quarter_hour('messages.' ~ clock) }} as slot
    from {{ ref('int_messages') }} as messages
    inner join {{ source('inputs', 'run_received_days') }} as days
        on messages.source = days.source and messages.received_day = days.day
    where
        {{ on_window_days('messages.received_day', 'run_received_days') }}
        and messages.{{ clock }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

routed_sources as (
    select distinct destination, source
    from {{ source('inputs', 'input_routes') }}
),

days as (
    select
        destinations.destination,
        cast({{ local_time('slots.slot', 'destinations.timezone') }} as date) as day
    from slots
    inner join {{ source('inputs', 'input_destinations') }} as destinations on slots.clock = destinations.clock
    inner join routed_sources
        on destinations.destination = routed_sources.destination and slots.source = routed_sources.source
    union
    -- The workspace's own days carry an empty destination.
    select '' as destination, cast({{ local_time('slots.slot', 'run.workspace_timezone') }} as date) as day
    from slots
    cross join {{ source('inputs', 'input_run') }} as run
    where slots.clock = 'timestamp'
    union
    select destination, day
    from {{ source('inputs', 'state_open_days') }}
)

select
    days.destination,
    days.day,
    (run.from_day is null or days.day >= run.from_day)
    and (run.to_day is null or days.day <= run.to_day) as in_scope
from days
cross join {{ source('inputs', 'input_run') }} as run
where days.day >= run.starts_on

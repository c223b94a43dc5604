{#-
  Destinations that export daily counts: the count of a name answers the expected messages of the events that
  have this name there, in the order of the events' names; what is over is unexpected.
-#}
with

expected as (
    select outcomes.destination, outcomes.day, outcomes.event, sum(outcomes.messages) as expected
    from {{ ref('int_outcomes') }} as outcomes
    where outcomes.outcome = 'expected'
    group by 1, 2, 3
),

named as (
    select distinct
        expected.destination,
        expected.day,
        expected.event,
        expected.expected,
        coalesce(routes.destination_name, expected.event) as event_name
    from expected
    left join (
        select destination, event, min(destination_name) as destination_name
        from {{ source('inputs', 'input_routes') }}
        where event is not null
        group by 1, 2
    ) as routes on expected.destination = routes.destination and expected.event = routes.event
),

exported as (
    select destination, day, event_name, messages
    from {{ ref('int_export_counts') }}
    where {{ on_window_days('day', 'step_days') }}
    union all
    -- An export of events that names neither message nor user can still be counted.
    select deliveries.destination, deliveries.day, deliveries.event_name, sum(deliveries.deliveries) as messages
    from {{ ref('int_delivery_counts') }} as deliveries
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on deliveries.destination = destinations.destination and destinations.matching = 'counts'
    where {{ on_window_days('deliveries.day', 'step_days') }}
    group by 1, 2, 3
),

counted as (
    select counts.destination, counts.day, counts.event_name, route_names.event, counts.messages
    from exported as counts
    inner join {{ ref('int_route_names') }} as route_names
        on counts.destination = route_names.destination and counts.event_name = route_names.event_name
),

allotted as (
    select
        named.*,
        coalesce(counted.messages, 0) as counted,
        coalesce(sum(named.expected) over (
            partition by named.destination, named.day, named.event_name
            order by named.event rows between unbounded preceding and 1 preceding
        ), 0) as before,
        row_number() over (
            partition by named.destination, named.day, named.event_name order by named.event desc
        ) as from_last
    from named
    left join counted
        on
            named.destination = counted.destination
            and named.day = counted.day
            and named.event_name = counted.event_name
)

select
    destination,
    day,
    event,
    expected,
    least(expected, greatest(counted - before, 0)) as delivered,
    case when from_last = 1 then greatest(counted - before - expected, 0) else 0 end as unexpected
from allotted
union all
select
    counted.destination,
    counted.day,
    counted.event,
    0 as expected,
    0 as delivered,
    counted.messages as unexpected
from counted
left join named
    on
        counted.destination = named.destination
        and counted.day = named.day
        and counted.event_name = named.event_name
where named.event is null

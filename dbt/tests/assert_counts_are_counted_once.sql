-- Where counts decide, every delivery under a name of the contract is delivered or unexpected, once, on its day.
with

counted as (
    select
        cells.day,
        cells.destination,
        sum(cells.delivered + cells.unexpected) as messages
    from {{ ref('int_cells_daily') }} as cells
    inner join {{ source('inputs', 'input_destinations') }} as destinations
        on cells.destination = destinations.destination
    where destinations.matching = 'counts'
    group by 1, 2
),

held as (
    select
        day,
        destination,
        sum(deliveries) as messages
    from {{ ref('int_delivery_names_daily') }}
    where routable
    group by 1, 2
)

select
    counted.day,
    counted.destination,
    counted.messages as counted,
    coalesce(held.messages, 0) as held
from counted
left join held on counted.day = held.day and counted.destination = held.destination
where counted.messages <> coalesce(held.messages, 0)

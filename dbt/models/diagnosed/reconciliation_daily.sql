{#- The books of a destination's day with their status. How much is too much was decided in Python. -#}
{{ config(
    schema='reconciliation',
    window='open_days'
) }}
with

cells as (
    select cells.*
    from {{ ref('int_cells_daily') }} as cells
    inner join {{ ref('int_open_days') }} as open_days
        on cells.destination = open_days.destination and cells.day = open_days.day
    where open_days.in_scope
),

limits as (
    select
        cells.*,
        greatest(coalesce(tolerances.tolerance, 0.0) * cells.expected, coalesce(tolerances.floor, 1) - 1) as allowed
    from cells
    left join {{ source('inputs', 'diagnosis_tolerances') }} as tolerances
        on cells.destination = tolerances.destination and cells.event = tolerances.event
),

expected_days as (
    select destination, day, sum(expected) as expected
    from cells
    group by 1, 2
)

select
    cast(limits.day as date) as day,
    cast(limits.destination as varchar) as destination,
    cast(limits.event as varchar) as event,
    cast(limits.expected as bigint) as expected,
    cast(limits.delivered as bigint) as delivered,
    cast(limits.missing as bigint) as missing,
    cast(limits.pending as bigint) as pending,
    cast(limits.duplicates as bigint) as duplicates,
    cast(limits.unexpected as bigint) as unexpected,
    cast(limits.matched_by as varchar) as matched_by,
    cast(
        case
            when not limits.mature then 'pending'
            when not limits.exported and expected_days.expected > 0 then 'no_export'
            when limits.missing > limits.allowed then 'discrepant'
            when limits.duplicates > limits.allowed then 'discrepant'
            when limits.unexpected > limits.allowed then 'discrepant'
            when limits.pending > limits.allowed then 'pending'
            else 'reconciled'
        end as varchar
    ) as status
from limits
inner join expected_days
    on limits.destination = expected_days.destination and limits.day = expected_days.day

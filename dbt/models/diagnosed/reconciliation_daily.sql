{#- The books of a destination's day with their status. How much is too much was decided in Python, for all judges. -#}
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

judged as (
    select
        cells.*,
        limits.allowed_missing,
        limits.allowed_duplicates,
        limits.allowed_unexpected
    from cells
    left join {{ source('inputs', 'diagnosis_limits') }} as limits
        on
            cells.destination = limits.destination
            and cells.day = limits.day
            and cells.event = limits.event
),

expected_days as (
    select destination, day, sum(expected) as expected
    from cells
    group by 1, 2
)

select
    cast(judged.day as date) as day,
    cast(judged.destination as varchar) as destination,
    cast(judged.event as varchar) as event,
    cast(judged.expected as bigint) as expected,
    cast(judged.delivered as bigint) as delivered,
    cast(judged.missing as bigint) as missing,
    cast(judged.pending as bigint) as pending,
    cast(judged.duplicates as bigint) as duplicates,
    cast(judged.unexpected as bigint) as unexpected,
    cast(judged.matched_by as varchar) as matched_by,
    cast(
        case
            when not judged.mature then 'pending'
            when not judged.exported and expected_days.expected > 0 then 'no_export'
            when judged.missing > judged.allowed_missing then 'discrepant'
            when judged.duplicates > judged.allowed_duplicates then 'discrepant'
            when judged.unexpected > judged.allowed_unexpected then 'discrepant'
            when judged.pending > coalesce(judged.allowed_missing, 0) then 'pending'
            -- Nobody has judged this cell: no difference is a fact all the same, and any other is still open.
            when
                judged.allowed_missing is null
                and judged.missing + judged.duplicates + judged.unexpected > 0
                then 'pending'
            else 'reconciled'
        end as varchar
    ) as status
from judged
inner join expected_days
    on judged.destination = expected_days.destination and judged.day = expected_days.day

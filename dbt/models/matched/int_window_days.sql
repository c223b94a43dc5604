{#- UTC days that can hold a message of an open day: a local day lies within one day of the UTC day of its name. -#}
{{ config(materialized='table') }}
with

open_days as (
    select distinct day
    from {{ ref('int_open_days') }}
    where in_scope and destination <> ''
)

select {{ add_days('day', -1) }} as day from open_days
union
select day from open_days
union
select {{ add_days('day', 1) }} as day from open_days

{#- The differences counted, which is all that the diagnosis reads of them. -#}
{{ config(materialized='view') }}
select
    day,
    destination,
    source,
    event,
    difference,
    cast(sum(copies) as bigint) as messages
from {{ ref('int_differences') }}
group by 1, 2, 3, 4, 5

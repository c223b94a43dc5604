{#- Messages that repeat another one, by the day they stand on, whenever they were received. -#}
{{ config(materialized='view') }}
select
    day,
    source,
    event_text,
    cast(sum(messages) as bigint) as messages
from {{ ref('int_twins') }}
group by 1, 2, 3

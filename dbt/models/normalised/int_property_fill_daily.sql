{#- How often each property had a value on a day, whenever its messages were received. -#}
{{ config(materialized='view') }}
select
    day,
    source,
    event_text,
    property,
    cast(sum(filled) as bigint) as filled,
    cast(sum(messages) as bigint) as messages
from {{ ref('int_event_table_reads') }}
where kind = 'filled'
group by 1, 2, 3, 4

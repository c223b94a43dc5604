{#-
  How often each version had a value in a property, of the properties in which versions differ. What is not here is
  filled by each version as int_property_fill_daily says of all.
-#}
{{ config(materialized='view') }}
select
    day,
    source,
    event_text,
    property,
    app_version,
    cast(sum(filled) as bigint) as filled,
    cast(sum(messages) as bigint) as messages
from {{ ref('int_event_table_reads') }}
where kind = 'filled_by_version'
group by 1, 2, 3, 4, 5

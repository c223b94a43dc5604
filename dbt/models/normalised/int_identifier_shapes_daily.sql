{#-
  What the ids look like, in words; the values stay where they are. Track calls by raw name, the other calls by what
  stands in its place.
-#}
{{ config(materialized='view') }}
with

of_calls as (
    select
        day, source, event_text, property as identifier, shape,
        sum(filled) as found, sum(messages) as messages
    from {{ ref('int_event_table_reads') }}
    where kind = 'shape'
    group by 1, 2, 3, 4, 5
)

select
    day,
    source,
    event_text as event,
    cast('user_id' as varchar) as identifier,
    coalesce(user_shape, 'null') as shape,
    cast(sum(messages) as bigint) as messages
from {{ ref('int_message_counts') }}
group by 1, 2, 3, 5
union all
select day, source, event_text as event, identifier, shape, cast(found as bigint) as messages
from of_calls
where found > 0
union all
select
    day, source, event_text as event, identifier,
    cast('other' as varchar) as shape,
    cast(max(messages) - sum(found) as bigint) as messages
from of_calls
group by 1, 2, 3, 4
having max(messages) > sum(found)

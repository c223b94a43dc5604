{#- What the ids look like, in words; the values stay where they are. -#}
{{ config(materialized='view') }}
select
    day,
    source,
    event_text as event,
    cast('user_id' as varchar) as identifier,
    coalesce(user_shape, 'null') as shape,
    cast(sum(messages) as bigint) as messages
from {{ ref('int_message_counts') }}
group by 1, 2, 3, 5

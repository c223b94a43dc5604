{#-
  Raw names by app version: which release began or ceased to send what. event_names_daily is its sum, so the two
  cannot disagree.
-#}
{{ config(materialized='view') }}
select
    day,
    source,
    event_text,
    min(event_slug) as event_slug,
    app_version,
    cast(sum(messages) as bigint) as messages
from {{ ref('int_message_counts') }}
group by 1, 2, 3, 5

{#- Daily counts that a destination exports; the days to read are replaced. -#}
{{ config(
    materialized='day_window',
    window='again_export_days'
) }}
select
    destination,
    day,
    event_name,
    cast(sum(messages) as bigint) as messages
from (
    {{ staged_rows('destination', 'day', 'daily_counts') }}
) as staged
group by 1, 2, 3

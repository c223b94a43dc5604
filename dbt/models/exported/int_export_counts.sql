{#- Daily counts that a destination exports; the days to read are replaced. -#}
{{ config(
    materialized='day_window',
    delete_where="exists (select 1 from " ~ source('inputs', 'input_export_days') ~ " as d where d.destination = int_export_counts.destination and d.day = int_export_counts.day)"
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

{#- Event-grain exports in one shape; the rows of the days to read are replaced. -#}
{{ config(
    materialized='day_window',
    delete_where="exists (select 1 from " ~ source('inputs', 'input_export_days') ~ " as d where d.destination = int_deliveries.destination and d.day = int_deliveries.day)"
) }}
select
    destination,
    cast(event_time as date) as day,
    event_name,
    event_time,
    user_id,
    anonymous_id,
    message_id,
    {{ row_key('message_id') }} as delivery_key
from (
    {{ staged_rows('destination', 'event_time', 'event') }}
) as staged
